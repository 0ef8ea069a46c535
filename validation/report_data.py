# The report script, part 1: reading a run folder, and numbers as people write them.
# The parts report_data.py, report_figures.py, report_sweep.py, report.css (as the text STYLE) and report.py are joined to one script, embedded in the
# library, and run as "python3 - RUN_FOLDER PAGE". Only numpy, matplotlib and h5py are needed besides the standard library.
import sys

sys.path[:] = [p for p in sys.path if p]  # nothing in the current folder may pose as a package

import base64
import csv
import html
import io
import json
import math
import os
import re
import warnings

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")  # reading needs no lock, and some file systems have none
PACKAGES_MISSING = 86
try:
    import numpy as np
    import h5py
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import ticker
    from matplotlib.colors import Normalize
except Exception as problem:  # a broken package is as good as none
    sys.stderr.write("%s: %s" % (type(problem).__name__, problem))
    sys.exit(PACKAGES_MISSING)

warnings.filterwarnings("ignore")


class DataFile:
    """One HDF5 file of the run folder; its hash and format were checked before this script was started."""

    def __init__(self, path):
        self.file = h5py.File(path, "r")
        self.folder = os.path.dirname(path)

    def has(self, name):
        return name in self.file or name in self.file.attrs

    def array(self, name):
        return np.asarray(self.file[name][()], dtype=float)

    def vector(self, name):
        return self.array(name).reshape(-1)

    def text(self, name, fallback=""):
        # long texts are data sets, short ones attributes
        value = self.file[name][()] if name in self.file else self.file.attrs.get(name, fallback)
        if isinstance(value, np.ndarray):
            value = value.reshape(-1)[0]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return str(value).rstrip("\0")

    def number(self, name, fallback=None):
        return float(np.asarray(self.file.attrs[name]).reshape(-1)[0]) if name in self.file.attrs else fallback

    def labels(self, name):
        return json.loads(self.text(name, "[]") or "[]")


def kind_of(path):
    """The kind that a file of ours states in its first line; "" for others."""
    with open(path, "rb") as source:
        words = source.readline(200).split()
    return words[1].decode("ascii", "replace") if len(words) > 2 and words[0] == b"crosstile" else ""


def read_json(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as source:
        return json.load(source)


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def power_of_ten(n):
    return "10" + str(n).translate(SUPERSCRIPT)


def number_text(value, digits=None, whole=True):
    """A number for reading: three significant digits (four from ten on), powers of ten beyond 10^-3 .. 10^6; whole
    numbers in full, unless they stand among others (whole=False)."""
    value = float("%.12g" % value)
    if value == 0:
        return "0"
    size = abs(value)
    digits = digits or (4 if size >= 10 else 3)
    if whole and value == round(value) and size < 1e7:
        text = "{:,d}".format(int(value)).replace(",", "\u202f") if size >= 1e4 else str(int(value))
    elif 1e-3 <= size < 1e6:
        text = "{:.{}f}".format(value, max(0, digits - 1 - int(math.floor(math.log10(size)))))
    else:
        exponent = int(math.floor(math.log10(size)))
        text = "{:.{}f} × {}".format(value / 10.0**exponent, digits - 1, power_of_ten(exponent))
    return text.replace("-", "−")


def prefix_for(largest):
    """The factor and the SI prefix that bring `largest` to 1 .. 1000."""
    if not largest > 0:
        return 1.0, ""
    exponent = 3 * int(math.floor(math.log10(largest) / 3.0 + 1e-12))
    exponent = min(max(exponent, -18), 9)
    return 10.0**-exponent, PREFIXES[exponent]


def time_text(seconds):
    factor, prefix = prefix_for(seconds)
    return "%s\u202f%ss" % (number_text(seconds * factor, 3), prefix)


def percent_text(fraction, decimals=2):
    return "{:.{}f}\u202f%".format(100.0 * fraction, decimals).replace("-", "−")
