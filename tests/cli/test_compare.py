"""compare with a design of experiments: many points, resumable; worst vectors that `solve` takes."""
import csv
import os
import signal
import subprocess
import time
import unittest

from support import PROGRAM, ProgramTest, difference, read_csv

DESIGN = """seed = 2
[tile]
preset = "pcm-512-mesh"
rows = 12
cols = 8
[tile.pulse]
dac_bits = 4
[reference]
vectors = 16
held_out_share = 0.5
draws = 1
[model]
form = "closure"
[design]
ngspice_rows = 0
timing_seconds = 0.0
[[design.axis]]
key = ["tile.r_row_ohm", "tile.r_col_ohm"]
values = [1, 10, 100]
[[design.point]]
name = "split, centred"
tile.pulse.passes = "split"
tile.pulse.split_bits = 2
tile.pulse.align = "centre"
"""
TIMES = ("circuit_seconds", "fast_seconds", "setup_seconds", "speed_up", "point_seconds")


class CompareDesignTest(ProgramTest):
    def rows(self, folder):
        with open(self.path(folder + "/compare.csv"), newline="") as file:
            return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]

    def test_a_design_can_go_on_and_its_worst_vectors_can_be_solved_again(self):
        self.write("design.toml", DESIGN)
        dry = self.succeed_json("compare", "design.toml", "--out", "whole", "--dry-run")
        self.assertIn("2 vectors at each of 4 points", dry["stages"][0]["measured"])
        self.assertFalse(os.path.exists(self.path("whole")))
        told = self.succeed_json("compare", "design.toml", "--out", "whole", "--threads", "2")
        self.assertEqual((told["points"], told["computed"], told["failed"]), (4, 4, 0))
        rows = self.rows("whole")
        self.assertEqual([r["name"] for r in rows], ["r_row_ohm 1", "r_row_ohm 10", "r_row_ohm 100", "split, centred"])
        errors = [float(r["ideal_lsb"]) for r in rows]
        self.assertLess(errors[0], errors[1])
        self.assertLess(errors[1], errors[2])
        for name in ("compare.h5", "compare.svg", "results.json"):
            self.assertTrue(os.path.exists(self.path("whole/" + name)), name)
        self.assertEqual(self.succeed_json("info", "whole/compare.h5")["hash"], "ok")

        os.remove(self.path("whole/points/point-000001.json"))
        self.assertEqual(self.succeed_json("compare", "design.toml", "--out", "whole")["computed"], 1)
        self.assertEqual(self.rows("whole"), rows)

        worst = "whole/points/worst-000003"
        self.succeed("solve", "--tile", worst + ".toml", "--conductances", worst + ".h5:g_plus_siemens",
                     "--conductances-minus", worst + ".h5:g_minus_siemens", "--codes", worst + ".h5:codes", "--method", "charge", "--out", "q.csv")
        self.assertEqual(len(read_csv(self.path("q.csv"))[0]), 8)

    def test_a_design_that_is_interrupted_goes_on(self):
        self.write("design.toml", DESIGN.replace("vectors = 16", "vectors = 400").replace("rows = 12", "rows = 48"))
        running = subprocess.Popen([PROGRAM, "compare", "design.toml", "--out", "parts", "--threads", "1"], cwd=self.folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not os.path.exists(self.path("parts/points/point-000000.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
        if running.returncode == 0:
            self.skipTest("the design was finished before the signal")
        self.assertEqual(running.returncode, 130, said)
        self.assertIn("run the same command again", said)
        told = self.succeed_json("compare", "design.toml", "--out", "parts")
        self.assertLess(told["computed"], 4)

    def test_flags_that_do_not_go_together_are_refused(self):
        self.write("design.toml", DESIGN)
        for arguments, part in ((["design.toml"], "--out"), (["design.toml", "--out", "d", "--model", "m.h5"], "--model"),
                                (["ref.h5"], "--model")):
            done = self.run_program("compare", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(part, done.stderr)
        self.assertEqual(self.everything_below(), ["design.toml"])

    def test_mistakes_of_a_budget_study_are_refused_before_anything_is_written(self):
        self.write("bad.toml", "[tile]\ndrive = \"level\"\n[study]\ndraw = 2\n")
        done = self.run_program("study", "irdrop", "bad.toml", "--out", "out")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("gated", done.stderr)
        self.assertIn("study.draws", done.stderr)
        self.assertEqual(self.everything_below(), ["bad.toml"])


if __name__ == "__main__":
    unittest.main()
