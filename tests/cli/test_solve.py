"""solve: against data made outside this project, and its own methods against each other."""
import json
import os

from support import BIPOLAR, NGSPICE, ProgramTest, codes, conductances, difference, read_csv

# The tile of tests/reference/ngspice_16x16; rows and columns come from the conductances.
NGSPICE_TILE = """[tile]
drive = "%s"
weight_layout = "single"
r_row_ohm = 0.35
r_col_ohm = 0.35
r_sense_ohm = 50.0
c_row_farad = 0.5e-15
c_col_farad = 0.5e-15
sense = "south"
"""
BIPOLAR_TILE = """[tile]
drive = "bipolar"
weight_layout = "bipolar"
r_col_ohm = 0.35
sense_segment = 0.5
c_row_farad = 0.0
c_col_farad = 0.0
"""
RC_TILE = """[tile]
r_row_ohm = 5.0
r_col_ohm = 5.0
c_row_farad = %s
c_col_farad = %s
sense = "south"
"""


class SolveTest(ProgramTest):
    def tile_files(self, rows=16, cols=16, low=-127, high=127, vectors=3):
        self.write_table("g.csv", conductances(rows, cols, 1))
        self.write_table("gm.csv", conductances(rows, cols, 2), "# conductances, siemens")
        self.write_table("k.csv", codes(vectors, rows, low, high, 3))

    def solve(self, method, out, *more, tile="t.toml", g="g.csv", k="k.csv"):
        return self.succeed("solve", "--tile", tile, "--conductances", g, "--codes", k, "--method", method, "--out", out, *more)

    def solved(self, method, *more, **files):
        name = "q_%s.csv" % method
        self.solve(method, name, *more, **files)
        return read_csv(self.path(name))

    def test_charges_of_ngspice(self):
        for drive, more in (("level", "[tile.pulse]\nt_edge_s = 0.1e-9\n"), ("gated", "[tile.selector]\nr_on_ohm = 1.0\n")):
            self.write("t.toml", NGSPICE_TILE % drive + more)
            stored = [[row[1] for row in read_csv(os.path.join(NGSPICE, "q_%s_16.csv" % drive))]]
            for method in ("charge", "transient") + (("effective",) if drive == "level" else ()):
                charge = self.solved(method, g=os.path.join(NGSPICE, "G_16.csv"), k=os.path.join(NGSPICE, "codes_16.csv"))
                self.assertLess(difference(charge, stored), 1e-6, (drive, method))

    def test_charges_of_the_public_bipolar_model(self):
        self.write("t.toml", BIPOLAR_TILE)
        stored = read_csv(os.path.join(BIPOLAR, "charge.csv"))
        for method in ("charge", "effective", "transient"):
            charge = self.solved(method, "--conductances-minus", os.path.join(BIPOLAR, "g_minus.csv"), "--check",
                                 g=os.path.join(BIPOLAR, "g_plus.csv"), k=os.path.join(BIPOLAR, "codes.csv"))
            self.assertLess(difference(charge, stored), 1e-10, method)

    def test_event_driven_and_transient_charge_agree_where_rc_matters(self):
        self.tile_files(low=1, high=4, vectors=1)
        self.write("t.toml", RC_TILE % ("50e-15", "50e-15"))
        report = json.loads(self.solve("charge", "q.csv", "--json").stdout)
        self.assertGreater(report["rc_share"], 1e-4)
        self.assertLess(difference(read_csv(self.path("q.csv")), self.solved("transient")), 1e-7)

    def test_a_tile_that_does_not_settle_is_refused_and_the_transient_answers(self):
        self.tile_files(low=1, high=4, vectors=1)
        self.write("t.toml", RC_TILE % ("500e-15", "500e-15"))
        done = self.run_program("solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv", "--method", "charge", "--out", "q.csv")
        self.assertEqual(done.returncode, 4)
        for part in ("not settled", "slowest time constant", "shortest interval", "1e-09 s", "--method transient"):
            self.assertIn(part, done.stderr)
        self.assertFalse(os.path.exists(self.path("q.csv")))
        coarse = self.solved("transient", "--relative-tolerance", "1e-6")
        self.assertLess(difference(coarse, self.solved("transient")), 1e-7)

    def test_ladder_is_the_circuit_for_ideal_supply_and_binned_comes_close(self):
        self.tile_files(rows=20, cols=6)
        self.write("t.toml", "[tile]\nr_col_ohm = 3.0\nc_row_farad = 0.0\nc_col_farad = 0.0\n")
        exact = self.solved("charge", "--check")
        self.assertLess(difference(self.solved("ladder", "--check"), exact), 1e-12)
        coarse = difference(self.solved("binned", "--segments", "4", "--time-bins", "8"), exact)
        fine = difference(self.solved("binned", "--segments", "20", "--time-bins", "128", "--check"), exact)
        self.assertLess(fine, 1e-12)
        self.assertTrue(1e-9 < coarse < 1e-3, coarse)

    def test_pair_columns_are_plus_minus_minus_and_one_array_alone_is_itself(self):
        self.tile_files()
        self.write("t.toml", "[tile]\nr_row_ohm = 2.0\nr_col_ohm = 2.0\n")
        for method in ("charge", "steady", "ladder"):
            both = self.solved(method, "--conductances-minus", "gm.csv")
            plus, minus = self.solved(method), self.solved(method, g="gm.csv")
            self.assertEqual(both, [[a - b for a, b in zip(r, s)] for r, s in zip(plus, minus)], method)

    def test_steady_has_every_row_with_a_code_on_with_its_sign(self):
        self.tile_files(rows=5, cols=4)
        self.write("t.toml", "[tile]\nr_col_ohm = 0.0\n")
        g = read_csv(self.path("g.csv"))
        self.write_table("k.csv", [[3, 0, -120, 1, 0], [0, 0, 0, 0, 0]])
        current = self.solved("steady", "--check")
        for j in range(4):
            self.assertAlmostEqual(current[0][j] / (0.2 * (g[0][j] - g[2][j] + g[3][j])), 1.0, places=13)
        self.assertEqual(current[1], [0.0] * 4)

    def test_first_line_names_quantity_and_unit(self):
        self.tile_files()
        self.write("t.toml", "[tile]\n")
        for method, name, unit in (("charge", "charge_coulomb", "coulomb"), ("steady", "current_ampere", "ampere")):
            self.solve(method, "q.csv")
            first = self.read_bytes("q.csv").decode().splitlines()[0]
            self.assertTrue(first.startswith("# " + name), first)
            self.assertIn("unit: " + unit, first)
            self.assertEqual(len(read_csv(self.path("q.csv"))), 3)

    def test_h5_in_and_out_give_the_same_bits_as_csv(self):
        # Currents of one row at a time are numbers of the size of conductances: a table in both formats.
        self.write_table("one.csv", [[1 if i == v else 0 for i in range(16)] for v in range(16)])
        self.tile_files()
        self.write("t.toml", "[tile]\n")
        for kind in ("csv", "h5"):
            self.solve("steady", "table." + kind, k="one.csv")
            self.solve("charge", "q_%s.csv" % kind, g="table." + kind)
            self.solve("charge", "q_%s.h5" % kind, g="table." + kind)
        self.assertEqual(self.read_bytes("q_csv.csv"), self.read_bytes("q_h5.csv"))
        self.assertEqual(self.read_bytes("q_csv.h5"), self.read_bytes("q_h5.h5"))
        facts = self.succeed_json("info", "q_h5.h5")
        self.assertEqual((facts["kind"], facts["hash"], facts["charge_coulomb"]), ("solution", "ok", "3 x 16"))

    def test_threads_do_not_change_a_bit(self):
        self.tile_files(vectors=9)
        self.write("t.toml", "[tile]\nr_row_ohm = 1.0\n")
        for method in ("charge", "transient", "binned", "steady"):
            for threads in ("1", "3"):
                self.solve(method, "q%s.csv" % threads, "--threads", threads, "--conductances-minus", "gm.csv", "--energy")
            self.assertEqual(self.read_bytes("q1.csv"), self.read_bytes("q3.csv"), method)
            self.assertEqual(self.read_bytes("q1_energy.csv"), self.read_bytes("q3_energy.csv"), method)

    def test_energies_add_up(self):
        self.tile_files()
        self.write("t.toml", '[tile]\npreset = "pcm-512-mesh"\n')
        for method, unit in (("charge", "joule"), ("steady", "watt"), ("ladder", "joule")):
            done = self.solve(method, "q.csv", "--energy")
            self.assertIn(unit, done.stdout)
            self.assertIn("unit: " + unit, self.read_bytes("q_energy.csv").decode().splitlines()[0])
            for source, *lost in read_csv(self.path("q_energy.csv")):
                self.assertEqual(len(lost), 5 if method == "steady" else 6)
                self.assertAlmostEqual(sum(lost[:5]) / source, 1.0, places=10)
                if method != "steady":
                    self.assertGreater(lost[5], 0.0)

    def test_supply_currents_are_those_of_the_energies(self):
        # With ideal supply every row sits at V, so V times the mean current times the time of all windows is the source's energy.
        self.tile_files(low=1, high=100, vectors=4)
        self.write("t.toml", "[tile]\nr_col_ohm = 3.0\n")
        for minus in (False, True):
            done = json.loads(self.solve("charge", "q.csv", "--energy", "--json", *(["--conductances-minus", "gm.csv"] if minus else [])).stdout)
            supply = read_csv(self.path("q_supply.csv"))
            self.assertEqual((len(supply), len(supply[0])), (16, 4 if minus else 2))
            mean = sum(row[0] + (row[2] if minus else 0.0) for row in supply)
            source = sum(line[0] for line in read_csv(self.path("q_energy.csv"))) / 4
            self.assertAlmostEqual(mean * 0.2 * 129e-9 / source, 1.0, places=9)
            peaks = [peak for row in supply for peak in row[1::2]]
            self.assertEqual(done["peak_supply"]["ampere"], max(peaks))
            for row in supply:
                self.assertLess(row[0], row[1])

    def test_energy_does_not_change_the_charge(self):
        self.tile_files()
        for drive in ("level", "gated"):
            self.write("t.toml", '[tile]\ndrive = "%s"\nr_row_ohm = 1.0\n' % drive)
            self.solve("charge", "a.csv")
            self.solve("charge", "b.csv", "--energy")
            self.assertEqual(self.read_bytes("a.csv"), self.read_bytes("b.csv"))

    def test_the_converter_acts_on_each_bit_line_before_the_subtraction(self):
        self.tile_files(low=0, high=127)
        tile = "[tile]\n[tile.adc]\nbits = 6\nfull_scale_coulomb = %r\nenabled = %s\n"
        full_scale = 3e-13
        self.write("t.toml", tile % (full_scale, "false"))
        plus, minus = self.solved("charge"), self.solved("charge", g="gm.csv")
        self.write("t.toml", tile % (full_scale, "true"))
        both = self.solved("charge", "--conductances-minus", "gm.csv")
        lsb = full_scale / 63

        def convert(q):
            return min(max(round(q / lsb), 0), 63)

        self.assertEqual([[round(x / lsb) for x in row] for row in both],
                         [[convert(a) - convert(b) for a, b in zip(r, s)] for r, s in zip(plus, minus)])
        self.assertTrue(any(convert(x) == 63 for row in plus for x in row))

    def test_check_lists_invariants_and_fails_where_double_precision_does(self):
        self.tile_files()
        self.write("t.toml", "[tile]\nr_row_ohm = 1.0\n")
        report = json.loads(self.solve("charge", "q.csv", "--check", "--json").stdout)
        verdict = {line["name"]: line["verdict"] for line in report["checks"]}
        for name in ("Kirchhoff", "power balance", "current balance", "maximum principle", "reciprocity", "superposition", "ideal limit",
                     "uniform ladder", "charge = transient"):
            self.assertEqual(verdict[name], "PASS", name)
        # Wires a million times above the cells: the answer is rounding, and must not be handed out after --check.
        self.write("t.toml", '[tile]\ndrive = "level"\nr_row_ohm = 1e6\nr_col_ohm = 1e6\nr_driver_ohm = 1e6\ng_max_siemens = 0.5\n'
                             "c_row_farad = 0.0\nc_col_farad = 0.0\n")
        self.write_table("g.csv", [[0.05 + ((7 * i + 5 * j) % 9) * 0.1 for j in range(12)] for i in range(16)])
        done = self.run_program("solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv", "--method", "steady", "--out",
                                "bad.csv", "--check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAIL", done.stdout)
        self.assertIn("check failed: ", done.stderr)
        self.assertFalse(os.path.exists(self.path("bad.csv")))
