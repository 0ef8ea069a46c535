#!/usr/bin/env python3
"""kill -9 at random moments: nothing that was finished is lost, and what is resumed gives the bytes of an undisturbed run.

    kill_test.py PROGRAM [--kills 10] [--seed 1] [--commands generate,fit,train,sweep] [--json FILE]

Every command has a small job. First it runs undisturbed; then again, killed with SIGKILL at random moments and started anew until
it is done. After every kill:
  * the output is absent or has the bytes of the undisturbed run (it is written to a temporary and renamed);
  * a finished shard, point or table is there after the next start too, with the same bytes;
  * a checkpoint is whole (`info` reads it with its hash) and holds no fewer epochs than before.
A kill counts when it hit a live process. The exit code is 0 when every count was reached and nothing was wrong, else 1.
Standard library only."""
import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from support import small_config, write_images  # noqa: E402

TIMEOUT_S = 300
AXES = """
[sweep]
[[sweep.axis]]
key = "training.learning_rate"
values = [0.1, 0.05, 0.02]
[[sweep.axis]]
key = "network.activation"
values = ["relu", "tanh"]
"""


class Job:
    """One command: its arguments, what it makes, where it keeps finished work."""

    def __init__(self, name, arguments, outputs, work, threads=True):
        self.name, self.arguments, self.outputs, self.work, self.threads = name, arguments, outputs, work, threads


JOBS = {
    "generate": Job("generate", ["generate", "small.toml", "--out", "ref.h5"], ["ref.h5"], "ref.h5.work"),
    "fit": Job("fit", ["fit", "input.h5", "--out", "model.h5", "--target-error", "1000"], ["model.h5"], None, threads=False),
    "train": Job("train", ["train", "small.toml", "--out", "net.h5"], ["net.h5"], "net.h5.work"),
    # sweep.h5 holds wall times; the table does not.
    "sweep": Job("sweep", ["sweep", "sweep.toml", "--out", "sweep"], ["sweep/sweep.csv"], "sweep"),
}


class Failure(Exception):
    pass


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Trial:
    """One job in one folder, killed again and again until it is done."""

    def __init__(self, program, folder, job, expected, draw):
        self.program, self.folder, self.job, self.expected, self.draw = program, folder, job, expected, draw
        self.kills = self.kept_seen = 0
        self.kept, self.epochs = {}, 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        threads = ["--threads", str(self.draw.choice((1, 2, 3)))] if self.job.threads else []
        return subprocess.Popen([self.program, *self.job.arguments, *threads, "--quiet"], cwd=self.folder,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def clean(self):
        for name in [*self.job.outputs, self.job.work]:
            if name and os.path.isdir(self.path(name)):
                shutil.rmtree(self.path(name))
            elif name and os.path.exists(self.path(name)):
                os.remove(self.path(name))
        self.kept, self.epochs = {}, 0

    def finished_files(self):
        """What the job has put in place so far: shards, points, tables; not temporaries, not the checkpoint that is replaced."""
        found = {}
        if not self.job.work:
            return found
        for folder, _, names in os.walk(self.path(self.job.work)):
            for name in names:
                if not name.endswith(".tmp") and name not in ("checkpoint.h5", "sweep.h5"):
                    path = os.path.join(folder, name)
                    found[os.path.relpath(path, self.folder)] = digest(path)
        return found

    def check_outputs(self):
        whole = True
        for name in self.job.outputs:
            if not os.path.exists(self.path(name)):
                whole = False
            elif digest(self.path(name)) != self.expected[name]:
                raise Failure("%s: %s differs from the undisturbed run" % (self.job.name, name))
        return whole

    def check_checkpoint(self):
        checkpoint = self.path(os.path.join(self.job.work or ".", "checkpoint.h5"))
        if not os.path.exists(checkpoint):
            if self.epochs > 0 and not os.path.exists(self.path(self.job.outputs[0])):
                raise Failure("%s: the checkpoint of %d epochs is gone" % (self.job.name, self.epochs))
            return
        done = subprocess.run([self.program, "info", checkpoint, "--json"], capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode != 0:
            raise Failure("%s: damaged checkpoint: %s" % (self.job.name, done.stderr.strip()))
        epochs = json.loads(done.stdout)["epochs done"]
        if epochs < self.epochs:
            raise Failure("%s: %d epochs in the checkpoint after %d" % (self.job.name, epochs, self.epochs))
        self.kept_seen += epochs > self.epochs
        self.epochs = epochs

    def check(self):
        """What must hold at any moment; True when the output is whole."""
        whole = self.check_outputs()
        now = self.finished_files()
        work_removed = whole and self.job.work and self.job.work not in self.job.outputs[0]
        for name, before in self.kept.items():
            if name not in now and not work_removed:
                raise Failure("%s: %s was finished and is lost" % (self.job.name, name))
            if now.get(name, before) != before:
                raise Failure("%s: %s was finished and is changed" % (self.job.name, name))
        self.kept_seen += len(now) - len(self.kept) if len(now) > len(self.kept) else 0
        self.kept = now
        self.check_checkpoint()
        return whole

    def run_killed(self, wanted, seconds):
        """Kills up to `wanted` times; ends with a run that is left alone."""
        self.clean()
        while self.kills < wanted:
            process = self.start()
            try:
                process.wait(timeout=self.draw.uniform(0.0, 1.1 * seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=TIMEOUT_S)
            if process.returncode == -signal.SIGKILL:
                self.kills += 1
                self.check()
                continue
            if process.returncode != 0 or not self.check():
                raise Failure("%s: exit code %d before its time" % (self.job.name, process.returncode))
            self.clean()  # done: from the start
        self.finish()

    def finish(self):
        process = self.start()
        _, told = process.communicate(timeout=TIMEOUT_S)
        if process.returncode != 0:
            raise Failure("%s: cannot go on after a kill (exit %d): %s" % (self.job.name, process.returncode, told.strip()))
        if not self.check():
            raise Failure("%s: no output after the last run" % self.job.name)


def write_inputs(folder):
    write_images(folder, "train", 300, 1)
    write_images(folder, "test", 40, 2)
    with open(os.path.join(folder, "small.toml"), "w") as out:
        out.write(small_config(rows=48, cols=32, r_row=1.0, vectors=160, epochs=60))
    with open(os.path.join(folder, "sweep.toml"), "w") as out:
        out.write(small_config(epochs=40) + AXES)


def undisturbed(program, folder, job):
    begin = time.monotonic()
    done = subprocess.run([program, *job.arguments, "--quiet"], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise Failure("%s: the undisturbed run failed: %s" % (job.name, done.stderr.strip()))
    return time.monotonic() - begin, {name: digest(os.path.join(folder, name)) for name in job.outputs}


def shares(total, parts):
    return [total // parts + (1 if k < total % parts else 0) for k in range(parts)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", default="generate,fit,train,sweep")
    parser.add_argument("--json", help="counts, for a scorecard")
    arguments = parser.parse_args()
    commands = arguments.commands.split(",")
    if unknown := [name for name in commands if name not in JOBS]:
        parser.error("no job for %s; there are: %s" % (", ".join(unknown), ", ".join(JOBS)))
    program = os.path.abspath(arguments.program)
    draw = random.Random(arguments.seed)
    report, failures = [], []
    folder = tempfile.mkdtemp(prefix="crosstile-kill-")
    try:
        write_inputs(folder)
        subprocess.run([program, "generate", "small.toml", "--out", "input.h5", "--quiet"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, timeout=TIMEOUT_S)
        for name, kills in zip(commands, shares(arguments.kills, len(commands))):
            trial = None
            try:
                seconds, expected = undisturbed(program, folder, JOBS[name])
                trial = Trial(program, folder, JOBS[name], expected, draw)
                trial.run_killed(kills, seconds)
            except Failure as failure:
                failures.append(str(failure))
            report.append({"command": name, "kills": trial.kills if trial else 0, "finished_pieces_seen": trial.kept_seen if trial else 0,
                           "undisturbed_s": round(seconds, 3)})
            print("%-9s %3d kills, %4d finished pieces seen and kept, %.2f s undisturbed" %
                  (name, report[-1]["kills"], report[-1]["finished_pieces_seen"], seconds), flush=True)
        stale = sum(name.endswith(".tmp") for _, _, names in os.walk(folder) for name in names)
        print("%d temporaries of killed processes left behind" % stale)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for failure in failures:
        print("FAILED " + failure)
    total = sum(one["kills"] for one in report)
    print("%d kills, %d failures (seed %d)" % (total, len(failures), arguments.seed))
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump({"kills": total, "failures": failures, "commands": report}, out, indent=1)
    return 0 if not failures and total == arguments.kills else 1


if __name__ == "__main__":
    sys.exit(main())
