"""doctor, completion, manual page, dry runs: what the program says about itself and about work it has not done."""
import os
import shutil
import subprocess

import support
from bad_inputs import AXIS
from support import ProgramTest, small_config, write_images


class MannersTest(ProgramTest):
    def run_with(self, environment, *arguments):
        return subprocess.run([support.PROGRAM, *arguments], cwd=self.folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)

    def test_the_doctor_finds_what_is_missing(self):
        told = self.run_with({"PATH": "/nowhere", "CROSSTILE_PYTHON": "/nowhere/python"}, "doctor")
        self.assertEqual(told.returncode, 1, told.stdout)
        for part in ("SUNDIALS", "HDF5", "threads", "GiB", "python3-matplotlib", "Debian package ngspice"):
            self.assertIn(part, told.stdout)
        self.assertEqual(told.stderr, "crosstile: error: missing: python, needed for run, report, device-figures, pictures of study\n")
        healthy = self.run_program("doctor", "--json")
        state = {one["what"]: one["state"] for one in support.json.loads(healthy.stdout)["findings"]}
        self.assertEqual(state["crosstile"], "ok")
        self.assertEqual(healthy.returncode, 0 if state["python"] == "ok" else 1)

    def completed(self, *words):
        script = 'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _crosstile; echo "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", script, "bash", "crosstile", *words], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash_completes_commands_flags_values_and_files(self):
        self.write("script", self.succeed("completion", "bash").stdout)
        self.write("given.toml", "")
        self.assertEqual(self.completed("gen"), ["generate"])
        self.assertEqual(self.completed("fit", "--for"), ["--form"])
        self.assertEqual(self.completed("fit", "--form", "lad"), ["ladder"])
        self.assertEqual(self.completed("--quiet", "study", "mnist-ir"), ["mnist-irdrop"])
        self.assertEqual(self.completed("train", "giv"), ["given.toml"])
        self.assertIn("--threads", self.completed("study", "mnist-irdrop", "--"))
        # Every command of the overview is there.
        commands = [line.split()[0] for line in self.succeed("--help").stdout.split("Subcommands:")[1].split("Exit codes")[0].splitlines()
                    if line.startswith("  ") and line[2] != " "]
        self.assertLessEqual(set(commands), set(self.completed("")))

    def test_other_shells_accept_their_scripts(self):
        for shell in ("zsh", "fish"):
            self.write("script." + shell, self.succeed("completion", shell).stdout)
            if shutil.which(shell):
                done = subprocess.run([shell, "-n", "script." + shell], cwd=self.folder, capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""), shell)
        with open(self.path("script.fish")) as file:
            self.assertIn("-l form -r -f -a 'calibrated closure", file.read())

    def test_the_manual_page_has_every_command(self):
        page = self.succeed("completion", "man").stdout
        self.assertTrue(page.startswith(".TH CROSSTILE 1"))
        for part in (".SS crosstile study mnist\\-irdrop", "\\fB\\-\\-target\\-error\\fR", ".SH EXIT CODES", "130 interrupted"):
            self.assertIn(part, page)
        for line in page.splitlines():
            self.assertTrue(not line.startswith(".") or line.split()[0] in (".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi"), line)
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_dry_run_writes_nothing(self):
        write_images(self.folder, "train", 60, 1)
        write_images(self.folder, "test", 20, 2)
        self.write("small.toml", small_config(vectors=8, epochs=2))
        self.write("sweep.toml", small_config(epochs=1) + AXIS % ("seed", "[1, 2, 3]"))
        before = self.everything_below()
        for arguments, stages in ((["generate", "small.toml", "--out", "r.h5"], ["reference data"]), (["train", "small.toml", "--out", "n.h5"], ["training"]),
                                  (["run", "small.toml"], ["training", "reference data"]), (["sweep", "sweep.toml", "--out", "s"], ["sweep"])):
            told = self.succeed_json(*arguments, "--dry-run")
            self.assertEqual([one["stage"] for one in told["stages"]], stages)
            self.assertGreater(told["seconds"], 0.0)
            self.assertGreater(told["peak_bytes"], 1e6)
            self.assertEqual(self.everything_below(), before)
        # Mistakes are found as in a run.
        self.write("bad.toml", small_config(epochs=2).replace("batch = 20", "batch = 0"))
        done = self.run_program("train", "bad.toml", "--out", "n.h5", "--dry-run")
        self.assertEqual(done.returncode, 2)
        self.assertIn("training.batch = 0", done.stderr)
