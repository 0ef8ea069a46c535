#!/usr/bin/env python3
"""Tests of the program as its users call it: run_cli_tests.py PROGRAM [unittest arguments]."""
import os
import sys
import unittest

if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit("usage: run_cli_tests.py PROGRAM [unittest arguments]")
    os.environ["CROSSTILE"] = os.path.abspath(sys.argv[1])
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    sys.dont_write_bytecode = True
    if len(sys.argv) > 2:
        unittest.main(module=None, argv=[sys.argv[0]] + sys.argv[2:])
    suite = unittest.defaultTestLoader.discover(here, pattern="test_*.py")
    sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1)
