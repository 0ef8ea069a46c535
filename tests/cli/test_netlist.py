"""netlist and solve --method ngspice: decks that run as they are, and the same answer as the program's own transient."""
import os
import re
import subprocess

from support import ProgramTest, codes, conductances, difference, read_csv

TILE = """[tile]
drive = "%s"
r_row_ohm = 2.0
r_col_ohm = 3.0
r_sense_ohm = 10.0
sense = "alternate"
[tile.pulse]
dac_bits = 5
passes = "split"
split_bits = 2
"""


def run_deck(path):
    """Charges that ngspice prints for a deck, by column."""
    done = subprocess.run(["ngspice", "-n", "-b", path], capture_output=True, text=True, timeout=120, check=True)
    found = re.findall(r"^charge_(\d+) = (\S+)$", done.stdout, re.M)
    assert [int(j) for j, _ in found] == list(range(len(found))), done.stdout
    return [float(value) for _, value in found]


class NetlistTest(ProgramTest):
    INPUTS = ["--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv"]

    def setUp(self):
        super().setUp()
        self.write("t.toml", TILE % "gated")
        self.write_table("g.csv", conductances(4, 3, 1))
        self.write_table("gm.csv", conductances(4, 3, 2))
        self.write_table("k.csv", codes(2, 4, -15, 15, 3) + [[0, 0, 0, 0], [1, 0, 2, 3]])

    def solve(self, method, *more):
        self.succeed("solve", *self.INPUTS, "--method", method, "--out", "q_%s.csv" % method, *more)
        return read_csv(self.path("q_%s.csv" % method))

    def test_ngspice_gives_the_charges_of_the_transient(self):
        for drive in ("gated", "level"):
            self.write("t.toml", TILE % drive)
            more = ["--conductances-minus", "gm.csv"]
            charge = self.solve("ngspice", *more)
            self.assertLess(difference(charge, self.solve("transient", *more)), 2e-6, drive)
            self.assertEqual(charge[2], [0.0] * 3)
            self.assertTrue(self.read_bytes("q_ngspice.csv").startswith(b"# charge_coulomb"))

    def test_ngspice_takes_part_in_adc_energy_and_threads(self):
        self.write("t.toml", TILE % "gated" + "[tile.adc]\nenabled = true\nbits = 6\nfull_scale_coulomb = 2e-13\n")
        self.assertEqual(self.solve("ngspice", "--energy", "--threads", "1"), self.solve("transient"))
        first = self.read_bytes("q_ngspice.csv")
        self.solve("ngspice", "--threads", "2")
        self.assertEqual(self.read_bytes("q_ngspice.csv"), first)
        self.assertTrue(os.path.exists(self.path("q_ngspice_energy.csv")))

    def test_decks_run_as_they_are_and_their_weighted_sum_is_the_product(self):
        report = self.succeed_json("netlist", *self.INPUTS, "--conductances-minus", "gm.csv", "--vector", "2", "--out", "d.cir")
        names = [deck["file"] for deck in report["decks"]]
        self.assertEqual(report["vector"], 2)
        self.assertEqual(sorted(names), sorted(n for n in self.everything_below() if n.endswith(".cir")))
        self.assertIn("d_plus_pass1.cir", names)
        self.assertIn("d_minus_pass2.cir", names)
        total = [0.0] * 3
        for deck in report["decks"]:
            charge = run_deck(self.path(deck["file"]))
            total = [t + deck["weight"] * q for t, q in zip(total, charge)]
        self.assertLess(difference([total], [self.solve("ngspice", "--conductances-minus", "gm.csv")[1]]), 1e-12)

    def test_a_single_deck_has_the_name_asked_for_and_is_the_same_every_time(self):
        self.write("t.toml", "[tile]\n")
        done = self.succeed("netlist", *self.INPUTS, "--vector", "4", "--out", "d.cir")
        self.assertIn("d.cir: pass 1", done.stdout)
        first = self.read_bytes("d.cir")
        self.assertTrue(first.startswith(b"* crosstile"))
        self.succeed("netlist", *self.INPUTS, "--vector", "4", "--out", "d.cir")
        self.assertEqual(self.read_bytes("d.cir"), first)
        self.succeed("netlist", *self.INPUTS, "--vector", "4", "--out", "e.cir", "--relative-tolerance", "1e-5")
        self.assertEqual(self.read_bytes("e.cir"), first.replace(b"reltol=1e-06", b"reltol=1e-05"))

    def refused(self, code, parts, *arguments, environment=None):
        before = self.everything_below()
        done = subprocess.run([os.environ["CROSSTILE"], *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120, env=environment)
        self.assertEqual(done.returncode, code, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertEqual(self.everything_below(), before)

    def test_bad_requests(self):
        for code, parts, more in (
                (2, ["--vector 5", "1 to 4"], ["--vector", "5", "--out", "d.cir"]),
                (2, ["--vector 0", "1 to 4"], ["--vector", "0", "--out", "d.cir"]),
                (3, ["k.csv", "vector 3", "0"], ["--vector", "3", "--out", "d.cir"]),
                (5, ["none", "does not exist"], ["--out", "none/d.cir"]),
                (5, ["/proc"], ["--out", "/proc/d.cir"]),
                (2, ["--relative-tolerance"], ["--out", "d.cir", "--relative-tolerance", "1"]),
                (2, ["--out"], [])):
            with self.subTest(more):
                self.refused(code, parts, "netlist", *self.INPUTS, *more)
        self.write_table("k.csv", [[1, 2, 3, 16]])
        self.refused(3, ["k.csv", "16", "-15 to 15"], "netlist", *self.INPUTS, "--out", "d.cir")

    def test_a_missing_ngspice_is_said_so(self):
        self.refused(2, ["ngspice is not installed", "PATH"], "solve", *self.INPUTS, "--method", "ngspice", "--out", "q.csv",
                     environment={**os.environ, "PATH": ""})

    def test_an_ngspice_without_an_answer_is_not_an_answer(self):
        os.mkdir(self.path("bin"))
        with open(self.path("bin/ngspice"), "w") as script:
            script.write("#!/bin/sh\necho timestep too small\n")
        os.chmod(self.path("bin/ngspice"), 0o755)
        self.refused(4, ["vector 1", "did not print", "timestep too small"], "solve", *self.INPUTS, "--method", "ngspice", "--out", "q.csv",
                     "--threads", "1", environment={**os.environ, "PATH": self.path("bin")})
