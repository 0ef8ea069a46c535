"""What the tests of the program share: running it, small data sets, tables as lists. Standard library only."""
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = os.environ.get("CROSSTILE", "")  # set by run_cli_tests.py
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REFERENCE = os.path.join(SOURCE, "tests", "reference")
NGSPICE = os.path.join(REFERENCE, "ngspice_16x16")
BIPOLAR = os.path.join(REFERENCE, "bipolar_ladder_64x16")


def read_csv(path):
    with open(path) as lines:
        return [[float(x) for x in line.split(",")] for line in lines if line.strip() and not line.startswith("#")]


def write_csv(path, table, header=None):
    with open(path, "w") as out:
        if header:
            out.write(header + "\n")
        for row in table:
            out.write(",".join(repr(x) for x in row) + "\n")


def difference(a, b):
    """Largest |a - b| over the largest |b|."""
    assert len(a) == len(b) and all(len(x) == len(y) for x, y in zip(a, b)), "shapes differ"
    largest = max(abs(x) for row in b for x in row)
    return max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s)) / largest


def conductances(rows, cols, seed):
    draw = random.Random(seed)
    return [[1e-7 + 24.9e-6 * draw.random() for _ in range(cols)] for _ in range(rows)]


def codes(vectors, rows, low, high, seed):
    draw = random.Random(seed)
    return [[draw.randint(low, high) for _ in range(rows)] for _ in range(vectors)]


def write_images(folder, name, count, seed):
    """Labelled 8 x 8 images in IDX; every class has stripes of its own."""
    draw = random.Random(seed)
    with open(os.path.join(folder, name + "-images"), "wb") as images, open(os.path.join(folder, name + "-labels"), "wb") as labels:
        images.write(struct.pack(">IIII", 0x803, count, 8, 8))
        labels.write(struct.pack(">II", 0x801, count))
        for k in range(count):
            kind = k % 10
            images.write(bytes(draw.randint(0, 60) + (180 if (i // 8 + i * kind) % 10 == kind else 0) for i in range(64)))
            labels.write(bytes([kind]))


SMALL = """title = "small"
seed = 5
[tile]
rows = {rows}
cols = {cols}
r_row_ohm = {r_row}
r_col_ohm = 2.0
[data]
train_images = "train-images"
train_labels = "train-labels"
test_images = "test-images"
test_labels = "test-labels"
[network]
layers = [64, 12, 10]
[training]
epochs = {epochs}
batch = 20
max_shift_pixels = 0
[reference]
vectors = {vectors}
vectors_per_shard = 4
[model]
form = "binned"
[noise]
devices = 20
[evaluation]
calibration_images = 50
draws = 2
times_s = [0.0, 3600.0]
[compare]
images = 30
transient_vectors = 1
"""


def small_config(rows=24, cols=12, r_row=0.0, vectors=32, epochs=6):
    return SMALL.format(rows=rows, cols=cols, r_row=r_row, vectors=vectors, epochs=epochs)


class ProgramTest(unittest.TestCase):
    """Every test works in a folder of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="crosstile-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        return name

    def write_table(self, name, table, header=None):
        write_csv(self.path(name), table, header)
        return name

    def read_bytes(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def run_program(self, *arguments, stdin=None):
        return subprocess.run([PROGRAM, *arguments], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=120)

    def succeed(self, *arguments, stdin=None):
        done = self.run_program(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, "%s\n%s\n%s" % (" ".join(arguments), done.stdout, done.stderr))
        return done

    def succeed_json(self, *arguments):
        return json.loads(self.succeed(*arguments, "--json").stdout)

    def everything_below(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.folder) for folder, folders, names in os.walk(self.folder)
                      for name in folders + names)
