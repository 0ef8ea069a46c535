"""generate: every kind of weights and inputs from one configuration, and what it says when something is missing."""
import json
import os

from support import ProgramTest, small_config, write_images

USAGE, IO = 2, 5


class GenerateTest(ProgramTest):
    def config(self, name, reference, **sizes):
        self.write(name, small_config(**sizes).replace("[reference]\n", "[reference]\n" + reference))

    def data(self):
        write_images(self.folder, "train", 120, 1)
        write_images(self.folder, "test", 60, 2)

    def test_every_kind_of_weights_and_inputs_is_the_same_for_any_threads(self):
        self.data()
        self.config("net.toml", "")
        self.succeed("train", "net.toml", "--out", "net.h5")
        network = 'weights = "network"\nnetwork_file = "net.h5"\n'
        kinds = {
            "uniform": 'weights = "uniform"\ninput_distribution = "uniform"\nsigned_inputs = true\n',
            "lognormal": 'weights = "lognormal"\nlognormal_sigma = 0.8\ninput_distribution = "constant"\n',
            "columns": 'weights = "bimodal"\ncolumn_share = 1.0\nbimodal_spread = 0.0\n',
            "correlated": "correlated_share = 0.7\ncorrelation_length_rows = 8.0\ncorrelation_length_cols = 3.0\nrow_share = 0.2\n",
            "held": "draws = 4\nheld_out_draws = 1\n",
            "network": network,
            "layer": network + 'inputs = "activations"\nnetwork_layer = 1\n',
            "active": network + 'inputs = "activations"\nnetwork_rows = "active"\nimages = "train"\nfirst_image = 7\n',
            "pixels": 'inputs = "activations"\n',
        }
        hashes = set()
        for kind, reference in kinds.items():
            self.config("c.toml", reference)
            one = self.succeed_json("generate", "c.toml", "--out", "one.h5", "--threads", "1")
            three = self.succeed_json("generate", "c.toml", "--out", "three.h5", "--threads", "3")
            self.assertEqual(self.read_bytes("one.h5"), self.read_bytes("three.h5"), kind)
            self.assertEqual(one["vectors"], 32, kind)
            self.assertEqual(one["held_out"], 14 if kind == "held" else 8, kind)
            self.assertEqual(one["peak_supply"], three["peak_supply"], kind)
            self.assertEqual(one["rows"], {"network": 22, "active": 22, "layer": 12}.get(kind, 24), kind)
            hashes.add(self.read_bytes("one.h5"))
            self.succeed("fit", "one.h5", "--out", "m.h5", "--form", "ladder")
        self.assertEqual(len(hashes), len(kinds))

    def test_what_is_missing_is_named(self):
        self.data()
        for reference, kind, parts in (
                ('weights = "network"\n', USAGE, ["reference.network_file", "crosstile train"]),
                ('weights = "network"\nnetwork_file = "none.h5"\n', IO, ["none.h5"]),
                ('inputs = "activations"\nfirst_image = 40\n', USAGE, ["72", "60 images"]),
                ('weights = "gauss"\n', USAGE, ["reference.weights", '"normal"', '"network"']),
                ("correlated_share = 0.7\ncolumn_share = 0.4\n", USAGE, ["correlated_share", "1.1"]),
                ("held_out_draws = 2\n", USAGE, ["held_out_draws", "reference.draws"])):
            self.config("c.toml", reference)
            done = self.run_program("generate", "c.toml", "--out", "r.h5")
            self.assertEqual(done.returncode, kind, done.stderr)
            for part in parts:
                self.assertIn(part, done.stderr)
            self.assertFalse(os.path.exists(self.path("r.h5")))

    def test_energies_and_the_largest_supply_current_are_told(self):
        self.config("c.toml", "", r_row=1.0, vectors=8)
        done = self.succeed("generate", "c.toml", "--out", "r.h5")
        self.assertIn("pJ", done.stdout)
        facts = json.loads(self.succeed("generate", "c.toml", "--out", "r.h5", "--json").stdout)
        self.assertGreater(facts["mean_energy_joule"]["cells"], 0.0)
        self.assertGreater(facts["mean_energy_joule"]["wire_charging"], 0.0)
        # A row of 12 cells of at most 25 uS at 0.2 V.
        self.assertTrue(0.0 < facts["peak_supply"]["ampere"] <= 12 * 25e-6 * 0.2)
