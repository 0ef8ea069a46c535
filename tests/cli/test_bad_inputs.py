"""A catalogue of bad inputs: each gives one clear message, its documented exit code, and leaves nothing behind."""
import json
import os
import resource
import shutil
import subprocess

import bad_inputs
import support
from bad_inputs import CATALOGUE
from support import ProgramTest, codes, conductances, small_config, write_images

USAGE, BAD_DATA, NOT_CONVERGED, IO = 2, 3, 4, 5

THREE_MISTAKES = """seed = 3
[tile]
rows = 16
r_row_ohm = -3.0
r_colohm = 1.0
drive = 7
"""

G = [[1e-6] * 4 for _ in range(4)]


def changed(row, col, value):
    table = [list(line) for line in G]
    table[row][col] = value
    return table


# name, files to write (text, or a table), T.toml, further arguments, exit code, what the message must contain
SOLVE_CASES = [
    ("negative conductance", {"g.csv": changed(2, 1, -1e-6)}, "", [], BAD_DATA, ["g.csv", "line 3", "column 2", "-1e-06"]),
    ("conductance is not a number", {"g.csv": "1e-6,1e-6\nnan,1e-6\n"}, "", [], BAD_DATA, ["g.csv", "line 2", "column 1", "nan"]),
    ("infinite conductance", {"g.csv": "1e-6,inf\n1e-6,1e-6\n"}, "", [], BAD_DATA, ["g.csv", "line 1", "column 2", "inf"]),
    ("conductance above 1 siemens", {"g.csv": changed(0, 3, 2.5)}, "", [], BAD_DATA, ["line 1", "column 4", "2.5", "0 to 1"]),
    ("text among the conductances", {"g.csv": "# g\n1e-6,1e-6\n1e-6,x\n"}, "", [], BAD_DATA, ["line 3", "column 2", '"x"']),
    ("ragged conductances", {"g.csv": "1e-6,1e-6\n1e-6\n"}, "", [], BAD_DATA, ["line 2", "1 columns"]),
    ("no conductances", {"g.csv": ""}, "", [], BAD_DATA, ["g.csv", "no numbers"]),
    ("an .h5 that is not one", {"g.h5": "1e-6,1e-6\n"}, "", ["--conductances", "g.h5"], BAD_DATA, ["g.h5"]),
    ("code beyond the DAC", {"k.csv": [[1, 2, 3, 128]]}, "", [], BAD_DATA, ["k.csv", "line 1", "column 4", "128", "-127 to 127"]),
    ("code beyond a small DAC", {"k.csv": [[1, 2, 3, -8]]}, "[tile.pulse]\ndac_bits = 4\n", [], BAD_DATA, ["column 4", "-8", "-7 to 7"]),
    ("code that is not whole", {"k.csv": [[1, 2, 2.5, 3]]}, "", [], BAD_DATA, ["line 1", "column 3", "2.5", "whole numbers", "-127 to 127"]),
    ("too few codes", {"k.csv": [[1, 2, 3]]}, "", [], BAD_DATA, ["k.csv", "3 codes", "4 rows"]),
    ("rows that do not match", {}, "[tile]\nrows = 5\n", [], BAD_DATA, ["g.csv", "4 rows", "t.toml", "tile.rows = 5"]),
    ("columns that do not match", {}, "[tile]\ncols = 3\n", [], BAD_DATA, ["g.csv", "4 cols", "tile.cols = 3"]),
    ("minus of another shape", {"gm.csv": G[:3]}, "", ["--conductances-minus", "gm.csv"], BAD_DATA, ["gm.csv", "3 x 4", "4 x 4"]),
    ("three mistakes at once", {}, THREE_MISTAKES, [], USAGE,
     ["t.toml:4", "r_row_ohm = -3", "0 to 1e+06", "t.toml:5", 'did you mean "tile.r_col_ohm"', "t.toml:6", "drive = 7"]),
    ("a TOML syntax error", {}, "[tile]\nrows = = 3\n", [], USAGE, ["t.toml:2"]),
    ("an unknown table", {}, "[tiles]\nrows = 4\n", [], USAGE, ["t.toml:1", "tiles"]),
    ("an unknown preset", {}, '[tile]\npreset = "pcm-13nm"\n', [], USAGE, ["preset", "pcm-13nm", "pcm-14nm"]),
    ("nan in the configuration", {}, "[tile]\nr_col_ohm = nan\n", [], USAGE, ["t.toml:2", "r_col_ohm"]),
    ("a negative seed", {}, "seed = -1\n", [], USAGE, ["t.toml:1", "seed = -1"]),
    ("effective on a gated tile", {}, "", ["--method", "effective"], USAGE, ["effective", "gated", "linear"]),
    ("effective with sinh cells", {}, '[tile]\ndrive = "level"\n[tile.cell]\nlaw = "sinh"\n', ["--method", "effective"], USAGE, ["effective", "sinh"]),
    ("ladder on a level tile", {}, '[tile]\ndrive = "level"\n', ["--method", "ladder"], USAGE, ["ladder", "level", "gated"]),
    ("single with a minus file", {"gm.csv": G}, '[tile]\nweight_layout = "single"\n', ["--conductances-minus", "gm.csv"], USAGE, ["single", "minus"]),
    ("bipolar without a minus file", {}, '[tile]\ndrive = "bipolar"\n', [], USAGE, ["bipolar", "--conductances-minus"]),
    ("bipolar drive of pair columns", {}, '[tile]\ndrive = "bipolar"\nweight_layout = "pair-columns"\n', [], USAGE, ["bipolar", "pair-columns"]),
    ("an op-amp with the event-driven method", {}, '[tile.front_end]\nkind = "integrator"\n', [], USAGE, ["integrator", "transient"]),
    ("an unknown method", {}, "", ["--method", "magic"], USAGE, ["--method", "magic", "charge"]),
    ("an unknown flag", {}, "", ["--fast"], USAGE, ["--fast"]),
    ("threads below zero", {}, "", ["--threads", "-2"], USAGE, ["--threads"]),
    ("a tolerance out of range", {}, "", ["--relative-tolerance", "0.5"], USAGE, ["--relative-tolerance"]),
    ("a tile file that is not there", {}, "", ["--tile", "none.toml"], IO, ["none.toml"]),
    ("codes that are not there", {}, "", ["--codes", "none.csv"], IO, ["none.csv"]),
    ("codes that are a folder", {}, "", ["--codes", "."], IO, ["folder"]),
    ("an output folder that cannot be written", {}, "", ["--out", "/proc/q.csv"], IO, ["/proc"]),
    ("an output folder that is not there", {}, "", ["--out", "none/q.csv"], IO, ["none/q.csv"]),
    ("an output that is a folder", {}, "", ["--out", "."], IO, ["folder"]),
    ("a network that does not settle", {"k.csv": [[1, 2, 3, 4]]}, "[tile]\nr_col_ohm = 1e3\nc_col_farad = 1e-12\n", [], NOT_CONVERGED,
     ["not settled", "slowest time constant", "shortest interval", "transient"]),
]


class BadInputTest(ProgramTest):
    def refused(self, arguments, code, parts, lines=1, as_json=True):
        """Runs, and checks exit code, message, and that nothing appeared or disappeared."""
        before = self.everything_below()
        done = self.run_program(*arguments)
        told = "%s\nexit %s\n%s\n%s" % (arguments, done.returncode, done.stdout, done.stderr)
        self.assertEqual(done.returncode, code, told)
        self.assertTrue(done.stderr.startswith("crosstile: error: "), told)
        self.assertEqual(done.stderr.count("crosstile: error: "), 1, told)
        self.assertEqual(len(done.stderr.splitlines()), lines, told)
        self.assertEqual(done.stdout, "", told)
        for part in parts:
            self.assertIn(part, done.stderr, told)
        self.assertEqual(self.everything_below(), before, told)
        if not as_json:
            return
        report = json.loads(self.run_program(*arguments, "--json").stdout)
        kind = {USAGE: "usage", BAD_DATA: "bad_data", NOT_CONVERGED: "not_converged", IO: "io"}[code]
        self.assertEqual((report["error"]["kind"], report["error"]["exit_code"]), (kind, code), told)
        self.assertEqual(report["error"]["message"], done.stderr[len("crosstile: error: "):].rstrip("\n"))

    def test_catalogue_of_solve(self):
        for name, files, tile, more, code, parts in SOLVE_CASES:
            with self.subTest(name):
                for stale in self.everything_below():
                    os.remove(self.path(stale))
                self.write("t.toml", tile)
                for file, content in {"g.csv": G, "k.csv": [[1, 2, 3, 4]], **files}.items():
                    (self.write if isinstance(content, str) else self.write_table)(file, content)
                flags = {"--tile": "t.toml", "--conductances": "g.csv", "--codes": "k.csv", "--method": "charge", "--out": "q.csv"}
                extra = list(more)
                while len(extra) >= 2 and extra[0] in flags:
                    flags[extra[0]] = extra[1]
                    extra = extra[2:]
                arguments = ["solve"] + [word for pair in flags.items() for word in pair] + extra
                self.refused(arguments, code, parts, lines=3 if tile is THREE_MISTAKES else 1, as_json=tile is THREE_MISTAKES)

    def whole_files(self):
        """One of everything a command reads, small."""
        write_images(self.folder, "train", 60, 1)
        write_images(self.folder, "test", 20, 2)
        self.write("good.toml", small_config(vectors=8, epochs=1))
        self.write("sweep.toml", small_config(epochs=1))
        self.write("t.toml", "[tile]\n")
        self.write_table("g.csv", G)
        self.write_table("k.csv", [[1, 2, 3, 4]])
        reads = [[d, 1e-5, t, 1e-5 * (1 + 0.01 * (d % 5)) * t ** -0.05] for d in range(20) for t in (20.0, 200.0, 2000.0)]
        self.write_table("reads.csv", reads, "device,target_siemens,time_s,conductance_siemens")
        self.succeed("generate", "good.toml", "--out", "ref.h5")
        self.succeed("fit", "ref.h5", "--out", "model.h5", "--form", "ideal")
        self.succeed("train", "good.toml", "--out", "net.h5")
        return {name: self.read_bytes(name) for name in self.everything_below()}

    def put(self, name, content, whole):
        if callable(content):
            content = content(whole[name])
        if content is None:
            os.remove(self.path(name))
        elif isinstance(content, bytes):
            with open(self.path(name), "wb") as out:
                out.write(content)
        else:
            (self.write if isinstance(content, str) else self.write_table)(name, content)

    def test_catalogue(self):
        whole = self.whole_files()
        for name, arguments, files, code, parts in CATALOGUE:
            with self.subTest(name):
                for file, content in files.items():
                    self.put(file, content, whole)
                before = {file: self.read_bytes(file) for file in self.everything_below()}
                done = self.run_program(*arguments, "--json")
                told = "%s\nexit %s\n%s" % (arguments, done.returncode, done.stderr)
                try:
                    report = json.loads(done.stdout)["error"]
                    self.assertEqual((done.returncode, report["exit_code"]), (code, code), told)
                    self.assertTrue(done.stderr.startswith("crosstile: error: "), told)
                    self.assertEqual(done.stderr.count("crosstile: "), 1, told)
                    self.assertEqual(report["message"], done.stderr[len("crosstile: error: "):].rstrip("\n"), told)
                    for part in parts:
                        self.assertIn(part, report["message"], told)
                    self.assertLess(len(report["message"]), 1200, told)
                    self.assertEqual({file: self.read_bytes(file) for file in self.everything_below() if os.path.isfile(self.path(file))}, before,
                                     told)
                finally:
                    for file in self.everything_below():
                        path = self.path(file)
                        if file not in whole and os.path.exists(path):
                            (shutil.rmtree if os.path.isdir(path) else os.remove)(path)
                    for file in files:
                        if file in whole:
                            self.put(file, whole[file], whole)

    def run_on_a_full_disk(self, limit, *arguments):
        """Files cannot grow beyond `limit` bytes; a write beyond it fails as one on a full disk does."""
        return subprocess.run([support.PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))

    def test_a_full_disk(self):
        self.whole_files()
        self.write("axes.toml", small_config(epochs=1) + bad_inputs.AXIS % ("seed", "[1, 2]"))
        commands = (["generate", "good.toml", "--out", "out"], ["fit", "ref.h5", "--out", "out"], ["train", "good.toml", "--out", "out"],
                    ["compare", "ref.h5", "--model", "model.h5", "--out", "out"], ["sweep", "axes.toml", "--out", "out"],
                    [*bad_inputs.SOLVE[:-1], "out"], [*bad_inputs.NETLIST[:-1], "out.cir"], [*bad_inputs.CHARACTERIZE[:-1], "out"])
        for arguments in commands:
            for limit in (0, 20, 200, 1000):
                with self.subTest(command=arguments[0], limit=limit):
                    done = self.run_on_a_full_disk(limit, *arguments)
                    told = "%s\nexit %s\n%s\n%s" % (arguments, done.returncode, done.stdout, done.stderr)
                    left = [name for name in self.everything_below() if name.endswith(".tmp")]
                    self.assertEqual(left, [], told)
                    if done.returncode == 0:  # all of its files are smaller
                        self.assertTrue(os.path.exists(self.path(arguments[-1])), told)
                        self.assertGreater(limit, 100, told)
                    else:
                        self.assertEqual(done.returncode, IO, told)
                        self.assertEqual(done.stderr.count("crosstile: error: "), 1, told)
                        self.assertIn("out", done.stderr, told)
                        self.assertFalse(os.path.isfile(self.path(arguments[-1])), told)
            whole = self.succeed(*arguments)  # what a full disk has left stands in nobody's way
            self.assertTrue(whole)
            for name in ("out", "out.work", "out.cir"):
                if os.path.isdir(self.path(name)):
                    shutil.rmtree(self.path(name))
                elif os.path.exists(self.path(name)):
                    os.remove(self.path(name))

    def test_a_read_only_folder(self):
        whole = self.whole_files()
        closed = self.path("closed")
        os.mkdir(closed)
        user = {}
        if os.geteuid() == 0:  # root writes anywhere: go on as nobody, where the program can be run at all
            user = {"user": 65534, "group": 65534, "extra_groups": []}
            os.chmod(self.folder, 0o755)
            for name in whole:
                os.chmod(self.path(name), 0o644)
            try:
                if subprocess.run([support.PROGRAM, "info"], cwd=self.folder, capture_output=True, **user).returncode != 0:
                    raise PermissionError
            except PermissionError:
                self.skipTest("another user cannot run " + support.PROGRAM)
        os.chmod(closed, 0o555)
        before = self.everything_below()
        for arguments in (["generate", "good.toml", "--out", "closed/o.h5"], ["fit", "ref.h5", "--out", "closed/o.h5"], ["run", "good.toml", "--out", "closed/run"],
                          ["train", "good.toml", "--out", "closed/o.h5"], ["device-figures", "--out", "closed/figures", "--devices", "10"]):
            done = subprocess.run([support.PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120, **user)
            told = "%s\nexit %s\n%s" % (arguments, done.returncode, done.stderr)
            self.assertEqual(done.returncode, IO, told)
            self.assertIn("closed", done.stderr, told)
            self.assertIn("ermission denied", done.stderr, told)
            self.assertEqual(self.everything_below(), before, told)

    def test_catalogue_is_long_enough(self):
        self.assertGreaterEqual(len(SOLVE_CASES), 25)
        self.assertGreaterEqual(len(CATALOGUE), 100)
        self.assertEqual(len({name for name, *_ in CATALOGUE}), len(CATALOGUE))

    def test_command_lines(self):
        for arguments, part in (([], "subcommand"), (["--nothing"], "--nothing"), (["nothing"], "nothing"), (["solve"], "--tile"),
                                (["config"], "--template"), (["generate"], "FILE"), (["fit", "a.h5", "--out", "b.h5", "--form", "magic"], "magic"),
                                (["config", "--template", "--check", "x"], "exclude")):
            with self.subTest(arguments):
                self.refused(arguments, USAGE, [part])

    def test_all_mistakes_of_a_configuration_are_reported(self):
        self.write("t.toml", THREE_MISTAKES)
        for arguments in (["config", "--check", "t.toml"], ["run", "t.toml"], ["generate", "t.toml", "--out", "r.h5"], ["train", "t.toml", "--out", "n.h5"]):
            self.refused(arguments, USAGE, ["t.toml:4", "r_row_ohm", "t.toml:5", "r_colohm", "t.toml:6", "drive = 7"], lines=3)

    def test_damaged_images(self):
        write_images(self.folder, "train", 40, 1)
        write_images(self.folder, "test", 20, 2)
        self.write("small.toml", small_config())
        whole = self.read_bytes("train-images")
        for content, parts in ((whole[:-100], ["train-images"]), (whole[:9], ["train-images"]), (b"\x00\x00\x08\x02" + whole[4:], ["train-images"]),
                               (whole[:4] + b"\x7f\xff\xff\xff" + whole[8:], ["train-images"]), (b"", ["train-images"])):
            with open(self.path("train-images"), "wb") as out:
                out.write(content)
            self.refused(["train", "small.toml", "--out", "n.h5"], BAD_DATA, parts)
            self.refused(["run", "small.toml", "--out", "folder"], BAD_DATA, parts)
        os.remove(self.path("train-images"))
        self.refused(["train", "small.toml", "--out", "n.h5"], IO, ["train-images"])

    def test_damaged_artefacts(self):
        write_images(self.folder, "train", 40, 1)
        write_images(self.folder, "test", 20, 2)
        self.write("small.toml", small_config(vectors=16, epochs=1))
        self.succeed("generate", "small.toml", "--out", "ref.h5")
        self.succeed("fit", "ref.h5", "--out", "model.h5")
        self.succeed("train", "small.toml", "--out", "net.h5")
        whole = self.read_bytes("ref.h5")
        for place in (3, 30, 300, 600, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            with open(self.path("bad.h5"), "wb") as out:
                out.write(damaged)
            for arguments in (["fit", "bad.h5", "--out", "m.h5"], ["compare", "bad.h5", "--model", "model.h5"], ["info", "bad.h5"]):
                self.refused(arguments, BAD_DATA, ["bad.h5"])
        with open(self.path("bad.h5"), "wb") as out:
            out.write(whole[: len(whole) // 2])
        self.refused(["fit", "bad.h5", "--out", "m.h5"], BAD_DATA, ["bad.h5", "truncated"])
        self.refused(["fit", "net.h5", "--out", "m.h5"], BAD_DATA, ["net.h5", "network", "reference-set"])
        self.refused(["compare", "ref.h5", "--model", "net.h5"], BAD_DATA, ["net.h5", "tile-model"])
        self.refused(["evaluate", "small.toml", "--network", "model.h5"], BAD_DATA, ["model.h5", "network"])
        self.refused(["fit", "ref.h5", "--out", "m.h5", "--form", "effective"], USAGE, ["effective", "gated"])
        self.refused(["fit", "ref.h5", "--out", "/proc/m.h5"], IO, ["/proc"])
        self.refused(["generate", "small.toml", "--out", "/proc/r.h5"], IO, ["/proc"])
        self.refused(["train", "small.toml", "--out", "/proc/n.h5"], IO, ["/proc"])
        self.refused(["run", "small.toml", "--out", "/proc/folder"], IO, ["/proc"])
        self.refused(["info", "none.h5"], IO, ["none.h5"])
        self.refused(["report", "none"], IO, ["none"])
        os.mkdir(self.path("empty"))
        self.refused(["report", "empty"], USAGE, ["empty"])
        self.refused(["info", "empty"], IO, ["manifest.json"])
        self.write("text.txt", "hello\n")
        self.refused(["info", "text.txt"], BAD_DATA, ["text.txt"])

    def test_generate_names_the_vector_that_does_not_settle(self):
        self.write("slow.toml", "[tile]\nrows = 8\ncols = 4\nr_col_ohm = 1e3\nc_col_farad = 1e-12\n[reference]\nvectors = 4\n")
        done = self.run_program("generate", "slow.toml", "--out", "r.h5")
        self.assertEqual(done.returncode, NOT_CONVERGED, done.stderr)
        self.assertIn("transient", done.stderr)
        self.assertFalse(os.path.exists(self.path("r.h5")))
        shutil.rmtree(self.path("r.h5.work"))

    def test_a_work_folder_of_another_configuration_is_refused(self):
        self.write("a.toml", small_config())
        os.mkdir(self.path("r.h5.work"))
        self.write("r.h5.work/reference.job.json", '{"fingerprint": "another", "name": "reference", "shards": 8}')
        self.refused(["generate", "a.toml", "--out", "r.h5"], USAGE, ["r.h5.work", "another configuration"])

    def test_standard_output_that_is_full(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            done = subprocess.run([support.PROGRAM, "config", "--template"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, IO)
        self.assertIn("standard output", done.stderr)

    def test_tables_are_checked_before_any_work(self):
        self.write_table("g.csv", conductances(16, 16, 1))
        self.write_table("k.csv", codes(400, 16, -127, 127, 1)[:399] + [[999] * 16])
        self.write("t.toml", "[tile]\n")
        self.refused(["solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv", "--method", "charge", "--out", "q.csv"], BAD_DATA,
                     ["k.csv", "line 400", "column 1", "999"])
