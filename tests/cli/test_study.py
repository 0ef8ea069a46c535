"""study: whole studies that go on after an interrupt."""
import json
import os
import shutil
import unittest

from support import ProgramTest, write_images

SMALL_STUDY = """title = "small"
[tile]
preset = "pcm-14nm"
rows = 32
cols = 12
sense = "south"
[tile.adc]
enabled = true
[data]
train_images = "train-images"
train_labels = "train-labels"
test_images = "test-images"
test_labels = "test-labels"
[network]
layers = [64, 12, 10]
[training]
epochs = 4
batch = 20
"""
IRDROP = SMALL_STUDY + """
[gaussian]
noise_levels = [0.05]
epochs = 1
[tiles]
epochs = 1
[study]
r_col_ohm = [50.0, 400.0]
seeds = 1
calibration_images = 40
confirm_images = 2
confirm_ohm = [400.0]
"""
LIFETIME = SMALL_STUDY + """
[hardware_aware]
epochs = 1
[study]
times_s = [1.0, 86400.0]
compensations = ["none", "per-column"]
seeds = 1
draws = 2
calibration_images = 40
parts_time_s = 0
"""


class StudyTest(ProgramTest):
    def setUp(self):
        super().setUp()
        write_images(self.folder, "train", 100, 1)
        write_images(self.folder, "test", 40, 2)

    def headlines(self, folder):
        with open(self.path(folder + "/results.json")) as file:
            return {item["label"]: item["value"] for item in json.load(file)["headline"]}

    def check_study(self, name, config, stem, lost):
        """Runs, loses some pieces, goes on: the same bytes, and only these pieces are computed."""
        self.write("study.toml", config)
        before = self.everything_below()
        dry = self.succeed_json("study", name, "study.toml", "--out", "run", "--dry-run")
        self.assertEqual(self.everything_below(), before)
        told = self.succeed_json("study", name, "study.toml", "--out", "run")
        self.assertEqual(sum(stage["pieces"] for stage in dry["stages"]), told["computed"])
        self.assertGreater(min(stage["seconds"] for stage in dry["stages"]), 0.0)
        self.assertEqual(told["kept"], 0)
        self.assertEqual(self.succeed_json("info", "run/%s.h5" % stem)["hash"], "ok")
        self.assertEqual(self.run_program("info", "run").returncode, 0)
        shutil.copytree(self.path("run"), self.path("again"))
        for piece in lost:
            os.remove(self.path("again/pieces/" + piece))
        again = self.succeed_json("study", name, "study.toml", "--out", "again", "--threads", "1")
        self.assertEqual((again["computed"], again["kept"]), (len(lost), told["computed"] - len(lost)))
        for ending in (".csv", ".h5", ".svg"):
            self.assertEqual(self.read_bytes("run/" + stem + ending), self.read_bytes("again/" + stem + ending))
        self.write("study.toml", config.replace("seeds = 1", "seeds = 2"))
        other = self.run_program("study", name, "study.toml", "--out", "run")
        self.assertEqual(other.returncode, 2)
        self.assertIn("another configuration", other.stderr)

    def test_the_study_of_wires(self):
        self.check_study("mnist-irdrop", IRDROP, "irdrop", ["s1-50ohm-direct.json", "s1-400ohm-through-tiles-circuit.json"])
        self.assertIn("training through tiles falls below A* 0.99 at", self.headlines("run"))

    def test_the_study_of_a_lifetime(self):
        self.check_study("mnist-lifetime", LIFETIME, "lifetime", ["s1-direct-none-1s-all.json", "energy.json"])
        self.assertIn("hardware-aware, compensation per-column, after 1 d", self.headlines("run"))

    def test_bad_configurations_are_refused_before_anything_runs(self):
        cases = [("mnist-irdrop", IRDROP.replace("confirm_ohm = [400.0]", "confirm_ohm = [7.0]\nohm = 1"),
                  ("study.confirm_ohm", "not among", "unknown key", "ohm")),
                 ("mnist-lifetime", LIFETIME.replace("\"per-column\"", "\"columns\"").replace("draws = 2", "draws = 0"),
                  ("\"columns\"", "allowed: \"none\"", "study.draws", "1 to"))]
        for name, config, parts in cases:
            self.write("bad.toml", config)
            done = self.run_program("study", name, "bad.toml", "--out", "bad")
            self.assertEqual(done.returncode, 2, done.stderr)
            for part in parts:
                self.assertIn(part, done.stderr)
            self.assertFalse(os.path.exists(self.path("bad")))
        self.write("lost.toml", IRDROP.replace("train-images", "nowhere"))
        done = self.run_program("study", "mnist-irdrop", "lost.toml", "--out", "bad")
        self.assertEqual(done.returncode, 5)
        self.assertFalse(os.path.exists(self.path("bad")))


if __name__ == "__main__":
    unittest.main()
