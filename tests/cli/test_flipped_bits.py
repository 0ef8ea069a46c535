"""One flipped bit in every kind of file the program makes is noticed: by `info`, or by the command that reads the file."""
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

import support
from bad_inputs import AXIS
from support import ProgramTest, small_config, write_images

USAGE, BAD_DATA = 2, 3
SAMPLES = int(os.environ.get("CROSSTILE_FLIPS", "6"))  # places besides the first and the last byte


class FlippedBitTest(ProgramTest):
    def setUp(self):
        super().setUp()
        write_images(self.folder, "train", 60, 1)
        write_images(self.folder, "test", 20, 2)
        self.write("good.toml", small_config(vectors=8, epochs=1))

    def flips(self, name, seed=1):
        """Places spread over the file, its first and last bytes among them; the file is whole again afterwards."""
        whole = self.read_bytes(name)
        draw = random.Random(seed)
        places = {0, len(whole) - 1} | {draw.randrange(len(whole)) for _ in range(SAMPLES)}
        try:
            for place in sorted(places):
                damaged = bytearray(whole)
                damaged[place] ^= 1 << draw.randrange(8)
                with open(self.path(name), "wb") as out:
                    out.write(damaged)
                yield place
        finally:
            with open(self.path(name), "wb") as out:
                out.write(whole)

    def noticed(self, name, arguments, codes=(BAD_DATA,), word=None):
        for place in self.flips(name):
            done = self.run_program(*arguments)
            told = "%s, byte %d: exit %d\n%s\n%s" % (name, place, done.returncode, done.stdout, done.stderr)
            self.assertIn(done.returncode, codes, told)
            self.assertIn(word or os.path.basename(name), done.stderr, told)

    def noticed_by_info(self, name, kind=None):
        facts = self.succeed_json("info", name)
        if kind:
            self.assertEqual((facts["kind"], facts["hash"]), (kind, "ok"), name)
        self.noticed(name, ["info", name])

    def shards_without_a_set(self):
        """A work folder with all its shards: the disk was full when the set was to be written."""
        limit = 20_000
        done = subprocess.run([support.PROGRAM, "generate", "good.toml", "--out", "late.h5"], cwd=self.folder, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual(done.returncode, 5, done.stderr)

    def checkpoint(self):
        self.write("long.toml", small_config(epochs=5000))
        process = subprocess.Popen([support.PROGRAM, "train", "long.toml", "--out", "late-net.h5", "--quiet"], cwd=self.folder, stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while not os.path.exists(self.path("late-net.h5.work/checkpoint.h5")) and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)

    def test_files_with_their_own_hash(self):
        self.succeed("generate", "good.toml", "--out", "ref.h5")
        self.succeed("fit", "ref.h5", "--out", "model.h5", "--form", "calibrated", "--block-rows", "8")
        self.succeed("compare", "ref.h5", "--model", "model.h5", "--out", "comparison.h5")
        self.succeed("train", "good.toml", "--out", "net.h5")
        self.write("t.toml", "[tile]\n")
        self.write_table("g.csv", support.conductances(24, 3, 4))
        self.succeed("solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "ref.h5:codes", "--method", "ladder", "--out", "solution.h5")
        self.write("axes.toml", small_config(epochs=1) + AXIS % ("seed", "[1, 2]"))
        self.succeed("sweep", "axes.toml", "--out", "sweep")
        for name, kind in (("ref.h5", "reference-set"), ("model.h5", "tile-model"), ("comparison.h5", "comparison"), ("net.h5", "network"),
                           ("solution.h5", "solution"), ("sweep/sweep.h5", "sweep")):
            with self.subTest(kind):
                self.noticed_by_info(name, kind)
        # A table inside a damaged file is no input either.
        self.noticed("ref.h5", ["solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "ref.h5:codes", "--method", "ladder", "--out", "s.csv"])

    def test_work_that_is_not_finished(self):
        self.shards_without_a_set()
        self.noticed_by_info("late.h5.work/reference-000000.h5", "reference-shard")
        self.noticed("late.h5.work/reference-000001.h5", ["generate", "good.toml", "--out", "late.h5"])
        # Whatever it says, it is not the job of this configuration.
        self.noticed("late.h5.work/reference.job.json", ["generate", "good.toml", "--out", "late.h5"], (USAGE, BAD_DATA), "late.h5.work")
        self.succeed("generate", "good.toml", "--out", "ref.h5")
        self.succeed("generate", "good.toml", "--out", "late.h5")
        self.assertEqual(self.read_bytes("late.h5"), self.read_bytes("ref.h5"))
        self.checkpoint()
        self.noticed_by_info("late-net.h5.work/checkpoint.h5", "network")
        self.noticed("late-net.h5.work/checkpoint.h5", ["train", "long.toml", "--out", "late-net.h5"])

    def test_a_device_model(self):
        reads = [[d, 1e-5, t, 1e-5 * (1 + 0.01 * (d % 5)) * t ** -0.05] for d in range(20) for t in (20.0, 200.0, 2000.0)]
        self.write_table("reads.csv", reads, "device,target_siemens,time_s,conductance_siemens")
        self.succeed("characterize", "reads.csv", "--out", "mine.toml")
        for place in self.flips("mine.toml"):
            done = self.run_program("info", "mine.toml")
            # Bits of line 1 before the hash make it an ordinary comment; all numbers stand below it.
            self.assertTrue(done.returncode in (USAGE, BAD_DATA) or place < 11, "byte %d: %s" % (place, done.stdout))
        self.succeed("device-figures", "--out", "figures", "--device", "mine.toml", "--devices", "10")
        self.noticed_by_info("figures/device_figures.h5")

    def test_a_run_folder(self):
        done = self.run_program("run", "good.toml", "--out", "folder")
        if done.returncode == 5 and "python3-matplotlib" in done.stderr:
            self.skipTest("no Python with matplotlib and h5py for the report")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.noticed("folder/manifest.json", ["info", "folder"])
        self.noticed("folder/results.json", ["info", "folder"])
        self.noticed("folder/results.json", ["info", "folder/results.json"])
        self.noticed("folder/model.h5", ["info", "folder"])
        self.noticed("folder/model.h5", ["run", "good.toml", "--out", "folder"])

    def test_a_point_of_a_sweep(self):
        self.write("axes.toml", small_config(epochs=1) + AXIS % ("seed", "[1, 2]"))
        self.succeed("sweep", "axes.toml", "--out", "sweep")
        with open(self.path("sweep/points/point-000000.json")) as file:
            if "hash" not in json.load(file):
                self.skipTest("points of a sweep carry no hash yet")
        self.noticed("sweep/points/point-000000.json", ["sweep", "axes.toml", "--out", "sweep"])
        self.noticed("sweep/sweep.fingerprint", ["sweep", "axes.toml", "--out", "sweep"], (USAGE, BAD_DATA), "sweep")
        shutil.rmtree(self.path("sweep"))


if __name__ == "__main__":
    unittest.main()
