"""The other commands: the whole way on small data, info, config, interrupts."""
import json
import os
import pty
import shutil
import signal
import subprocess
import time

import support
from support import ProgramTest, small_config, write_images


class CommandTest(ProgramTest):
    def setUp(self):
        super().setUp()
        write_images(self.folder, "train", 200, 1)
        write_images(self.folder, "test", 60, 2)
        self.write("small.toml", small_config())

    def test_help_teaches(self):
        overview = self.succeed("--help").stdout
        self.assertIn("Exit codes:", overview)
        for command in ("run", "generate", "fit", "train", "evaluate", "compare", "report", "info", "config", "solve", "netlist"):
            self.assertIn("\n  %s " % command, overview)
            text = self.succeed(command, "--help").stdout
            self.assertIn("Example:\n  crosstile " + command, text)
        self.assertRegex(self.succeed("--version").stdout, r"^crosstile \d+\.\d+\.\d+\n$")

    def test_the_template_is_a_valid_configuration(self):
        template = self.succeed("config", "--template").stdout
        self.assertIn("[tile.pulse]", template)
        self.assertEqual(self.succeed("config", "--check", "-", stdin=template).stdout, "ok\n")
        self.assertEqual(self.succeed("config", "--check", self.write("t.toml", template)).stdout, "ok\n")

    def test_every_command_of_the_pipeline_and_info_on_what_it_makes(self):
        self.assertIn("32 vectors (8 held out)", self.succeed("generate", "small.toml", "--out", "ref.h5").stdout)
        self.assertFalse(os.path.exists(self.path("ref.h5.work")))
        table = self.succeed("fit", "ref.h5", "--out", "model.h5", "--form", "binned", "--segments", "4", "--time-bins", "4").stdout
        for part in ("fit ", "held-out", "before correction", "after correction", "RMS (LSB)"):
            self.assertIn(part, table)
        self.succeed("fit", "ref.h5", "--out", "plain.h5", "--form", "ideal", "--no-correction")
        chosen = self.succeed_json("fit", "ref.h5", "--out", "chosen.h5", "--target-error", "1000")
        self.assertEqual((chosen["form"], chosen["target_met"], len(chosen["trials"]["rows"])), ("ideal", True, 1))
        refused = self.run_program("fit", "ref.h5", "--out", "best.h5", "--target-error", "1e-9")
        self.assertEqual(refused.returncode, 4)
        self.assertIn("no form comes within 1e-09 LSB", refused.stderr)
        self.assertEqual(self.succeed_json("info", "best.h5")["kind"], "tile-model")
        self.assertIn("column_wire", self.succeed("fit", "ref.h5", "--out", "c.h5", "--form", "calibrated", "--block-rows", "8").stdout)
        compared = self.succeed_json("compare", "ref.h5", "--model", "model.h5", "--out", "comparison.h5")["comparison"]
        error = {one["key"]: one["bit_line"]["rms_lsb"] for one in compared["competitors"]}
        self.assertLess(error["fast"], error["one_gain"])
        self.assertIn("test accuracy", self.succeed("train", "small.toml", "--out", "net.h5").stdout)
        accuracy = self.succeed_json("evaluate", "small.toml", "--network", "net.h5", "--model", "model.h5")["accuracy"]
        self.assertGreater(accuracy[0]["accuracy"], 0.9)
        self.assertEqual(len(accuracy), 6)
        for name, kind, key, value in (("ref.h5", "reference-set", "vectors", 32), ("model.h5", "tile-model", "form", "binned"),
                                       ("comparison.h5", "comparison", "compared vectors", 8), ("net.h5", "network", "layers", [64, 12, 10])):
            facts = self.succeed_json("info", name)
            self.assertEqual((facts["kind"], facts["hash"], facts[key]), (kind, "ok", value), name)
            self.assertGreaterEqual(facts["format version"], 1)
            self.assertIn(facts["software version"], self.succeed("--version").stdout)
        for name, kind in (("train-images", "idx-images"), ("test-labels", "idx-labels"), ("small.toml", "configuration")):
            self.assertEqual(self.succeed_json("info", name)["kind"], kind, name)
        # Tables inside an artefact are inputs too.
        self.write_table("g.csv", support.conductances(24, 3, 4))
        self.write("t.toml", "[tile]\n")
        self.succeed("solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "ref.h5:codes", "--method", "ladder", "--out", "q.csv")
        self.assertEqual(len(support.read_csv(self.path("q.csv"))), 32)

    def test_info_names_version_threads_and_libraries(self):
        facts = self.succeed_json("info")
        for key in ("version", "instruction set", "threads", "Eigen", "SUNDIALS", "HDF5", "Boost", "CLI11"):
            self.assertTrue(facts[key], key)

    def test_run_leaves_a_complete_run_folder_and_starts_no_other_run_in_it(self):
        self.write("small.toml", small_config(vectors=16, epochs=2))
        done = self.run_program("run", "small.toml")
        if done.returncode == 5 and "python3-matplotlib" in done.stderr:
            self.skipTest("no Python with matplotlib and h5py for the report")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Report: runs/small/report.html", done.stdout)
        self.assertIn("Digital test accuracy", done.stdout)
        facts = self.succeed_json("info", "runs/small")
        self.assertEqual((facts["kind"], facts["complete"], facts["model.h5"]), ("run-folder", True, "hash ok"))
        self.succeed("report", "runs/small")
        before = self.read_bytes("runs/small/results.json")
        self.write("other.toml", small_config(vectors=20, epochs=2))
        other = self.run_program("run", "other.toml", "--out", "runs/small")
        self.assertEqual(other.returncode, 2)
        self.assertIn("another configuration", other.stderr)
        self.assertEqual(self.read_bytes("runs/small/results.json"), before)

    def start(self, *arguments, **more):
        return subprocess.Popen([support.PROGRAM, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def wait_for_shard(self, folder, process):
        """Until the first shard is there: a moment in the middle of the job."""
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if os.path.isdir(folder) and any(name.endswith(".h5") and not name.startswith(".") for name in os.listdir(folder)):
                return
            time.sleep(0.002)
        self.fail("the job ended before it could be interrupted")

    def test_an_interrupted_generate_goes_on_to_the_same_bytes(self):
        self.write("slow.toml", small_config(rows=64, cols=48, r_row=1.0, vectors=400))
        self.succeed("generate", "slow.toml", "--out", "whole.h5")
        work = self.path("part.h5.work")
        for number in (signal.SIGINT, signal.SIGTERM):
            shutil.rmtree(work, ignore_errors=True)
            process = self.start("generate", "slow.toml", "--out", "part.h5", "--json")
            self.wait_for_shard(work, process)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn("run the same command again", err)
            self.assertEqual(json.loads(out)["error"]["kind"], "interrupted")
            self.assertFalse(os.path.exists(self.path("part.h5")))
            self.assertFalse([name for name in os.listdir(work) if name.endswith(".tmp")])
        kept = len([name for name in os.listdir(work) if name.endswith(".h5")])
        self.assertTrue(0 < kept < 100, kept)
        self.succeed("generate", "slow.toml", "--out", "part.h5", "--threads", "1")
        self.assertEqual(self.read_bytes("part.h5"), self.read_bytes("whole.h5"))
        self.assertFalse(os.path.exists(work))

    def test_two_signals_stop_at_once(self):
        # One transient that takes much longer than this test: only the second signal can end it.
        self.write_table("g.csv", support.conductances(128, 128, 5))
        self.write_table("k.csv", support.codes(1, 128, 1, 127, 6))
        self.write("t.toml", "[tile]\nr_row_ohm = 5.0\nr_col_ohm = 5.0\nc_row_farad = 1e-13\nc_col_farad = 1e-13\n")
        process = self.start("solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv", "--method", "transient", "--out", "q.csv")
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        self.assertIsNone(process.poll(), "the first signal waits for a safe point")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        self.assertEqual(process.returncode, 130)
        self.assertFalse(os.path.exists(self.path("q.csv")))

    def test_a_terminal_sees_a_bar_and_quiet_sees_nothing(self):
        self.write("slow.toml", small_config(rows=48, cols=32, r_row=1.0, vectors=160))
        for more, expected in (([], True), (["--quiet"], False)):
            leader, follower = pty.openpty()
            process = subprocess.Popen([support.PROGRAM, "generate", "slow.toml", "--out", "bar.h5", *more], cwd=self.folder,
                                       stdout=subprocess.DEVNULL, stderr=follower)
            os.close(follower)
            seen = b""
            while True:
                try:
                    block = os.read(leader, 4096)
                except OSError:  # the last writer has closed its end
                    break
                if not block:
                    break
                seen += block
            os.close(leader)
            self.assertEqual(process.wait(timeout=60), 0)
            self.assertEqual(b"\r" in seen and b"%" in seen, expected, seen[:200])
