"""sweep: many trainings from one configuration."""
import csv
import os
import unittest

from support import ProgramTest, small_config, write_images

AXES = """
[sweep]
[[sweep.axis]]
key = "training.learning_rate"
values = [0.1, 0.02]
[[sweep.axis]]
key = "network.activation"
values = ["relu", "tanh"]
"""


class SweepTest(ProgramTest):
    def setUp(self):
        super().setUp()
        write_images(self.folder, "train", 100, 1)
        write_images(self.folder, "test", 40, 2)
        self.write("sweep.toml", small_config(epochs=2) + AXES)

    def rows(self, name):
        with open(self.path(name), newline="") as file:
            return list(csv.DictReader(file))

    def refused(self, axes, *parts):
        self.write("bad.toml", small_config(epochs=2) + axes)
        done = self.run_program("sweep", "bad.toml", "--out", "bad")
        self.assertEqual(done.returncode, 2, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertFalse(os.path.exists(self.path("bad")))

    def test_a_sweep_that_goes_on_and_one_in_shards_give_the_same_bytes(self):
        told = self.succeed_json("sweep", "sweep.toml", "--out", "whole", "--threads", "2")
        self.assertEqual((told["points"], told["ok"], told["computed"]), (4, 4, 4))
        self.assertEqual(self.succeed_json("info", "whole/sweep.h5")["hash"], "ok")
        rows = self.rows("whole/sweep.csv")
        self.assertEqual([(r["training.learning_rate"], r["network.activation"]) for r in rows],
                         [("0.1", "relu"), ("0.1", "tanh"), ("0.02", "relu"), ("0.02", "tanh")])
        self.assertEqual(len({r["loss"] for r in rows}), 4)
        # One point is what `train` makes of the same keys.
        alone = small_config(epochs=2).replace("[training]", "activation = \"tanh\"\n[training]\nlearning_rate = 0.1")
        self.write("alone.toml", alone)
        trained = self.succeed_json("train", "alone.toml", "--out", "net.h5")
        self.assertEqual((float(rows[1]["loss"]), float(rows[1]["accuracy"])), (trained["loss"], trained["test_accuracy"]))

        whole = self.read_bytes("whole/sweep.csv")
        for name in ("point-000001.json", "point-000002.json"):
            os.remove(self.path("whole/points/" + name))
        os.remove(self.path("whole/sweep.csv"))
        self.assertEqual(self.succeed_json("sweep", "sweep.toml", "--out", "whole")["computed"], 2)
        self.assertEqual(self.read_bytes("whole/sweep.csv"), whole)

        self.assertIn("2 of 4 points", self.succeed("sweep", "sweep.toml", "--out", "parts", "--shard", "1/2").stdout)
        self.assertFalse(os.path.exists(self.path("parts/sweep.csv")))
        self.succeed("sweep", "sweep.toml", "--out", "parts", "--shard", "2/2", "--threads", "1")
        self.assertEqual(self.read_bytes("parts/sweep.csv"), whole)

        self.write("sweep.toml", small_config(epochs=3) + AXES)
        other = self.run_program("sweep", "sweep.toml", "--out", "parts")
        self.assertEqual(other.returncode, 2)
        self.assertIn("another sweep", other.stderr)

    def test_points_that_fail_or_diverge_are_recorded_and_stop_nothing(self):
        self.write("mixed.toml", small_config(epochs=2) + """
[sweep]
mode = "list"
[[sweep.axis]]
key = "data.train_images"
values = ["nowhere", "train-images", "train-images"]
[[sweep.axis]]
key = "training.learning_rate"
values = [0.1, 1000, 0.1]
""")
        told = self.succeed_json("sweep", "mixed.toml", "--out", "mixed")
        self.assertEqual((told["ok"], told["diverged"], told["failed"]), (1, 1, 1))
        rows = self.rows("mixed/sweep.csv")
        self.assertEqual([r["status"] for r in rows], ["failed", "diverged", "ok"])
        self.assertIn("nowhere", rows[0]["reason"])
        self.assertTrue(rows[1]["reason"])
        self.assertEqual((rows[0]["accuracy"], rows[1]["accuracy"]), ("", ""))
        self.assertGreater(float(rows[2]["accuracy"]), 0.0)

    def test_wrong_axes_are_refused_before_anything_runs(self):
        axis = "[sweep]\n[[sweep.axis]]\nkey = \"%s\"\nvalues = %s\n"
        self.refused(axis % ("training.learning_rat", "[0.1]"), "training.learning_rat", "did you mean", "learning_rate\"")
        self.refused(axis % ("training.momentum", "[0.5, 2]"), "point 1", "training.momentum = 2", "allowed: 0 to")
        self.refused(axis % ("seed.more", "[1]"), "sweep.axis \"seed.more\"", "not a table")
        self.refused(axis % ("seed", "[]"), "bad.toml:", "sweep.axis \"seed\"", "at least one value")
        self.refused("[sweep]\nmodus = \"grid\"\n", "unknown key \"modus\"")
        self.refused("[sweep]\nmode = \"list\"\n" + AXES.split("[sweep]")[1] + "[[sweep.axis]]\nkey = \"seed\"\nvalues = [1]\n",
                     "sweep.axis \"seed\"", "1 values")
        self.refused("", "needs a table [sweep]")
        for shard in ("0/2", "3/2", "1", "1/2x"):
            done = self.run_program("sweep", "sweep.toml", "--out", "bad", "--shard", shard)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--shard " + shard, done.stderr)


if __name__ == "__main__":
    unittest.main()
