"""characterize and device-figures: from measured reads to a model that other commands take, and pictures of it."""
import math
import os
import random

from support import ProgramTest, small_config, write_images

TIMES = [20.0 * 10.0 ** (0.4 * k) for k in range(10)]
READ_S = 250e-9


def reads(devices=60, targets=(5e-6, 12e-6, 25e-6), seed=3):
    """Devices with known statistics: sigma 0.3 + 0.8 g uS, nu 0.05 - 0.01 ln g with spread 0.012, Q 0.01 g^-0.5."""
    draw = random.Random(seed)
    rows = []
    for index in range(devices * len(targets)):
        target = targets[index % len(targets)]
        g = target / 25e-6
        start = target + 1e-6 * (0.3 + 0.8 * g) * draw.gauss(0, 1)
        nu = 0.05 - 0.01 * math.log(g) + 0.012 * draw.gauss(0, 1)
        for t in TIMES:
            noise = 0.01 * g ** -0.5 * math.sqrt(math.log((t + READ_S) / (2 * READ_S)))
            rows.append([index, target, t, start * (t / 20.0) ** -nu * (1.0 + noise * draw.gauss(0, 1))])
    return rows


class CharacterizeTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write_table("reads.csv", reads(), "device,target_siemens,time_s,conductance_siemens")

    def test_known_numbers_come_back_inside_their_intervals(self):
        report = self.succeed_json("characterize", "reads.csv", "--out", "mine.toml")
        self.assertEqual((report["devices"], report["held_out_devices"], report["reads"]), (144, 36, 1800))
        truth = {"drift.mu_log": -0.01, "drift.mu_0": 0.05, "drift.s_0": 0.012, "read_noise.q_1": 0.01, "read_noise.q_power": -0.5}
        for number in report["numbers"]:
            if number["key"] in truth:
                half = (number["high"] - number["low"]) / 2
                self.assertLess(abs(number["value"] - truth[number["key"]]), 5 / 1.96 * half, number)
        for one in report["held_out"]:
            self.assertGreater(one["p_value"], 1e-4, one)
        text = self.succeed("characterize", "reads.csv", "--out", "mine.toml", "--name", "lab 3").stdout
        for part in ("drift.mu_log", "programming error, held out", "p value", 'mine.toml: device model "lab 3"'):
            self.assertIn(part, text)

    def test_the_model_is_taken_by_a_configuration(self):
        self.succeed("characterize", "reads.csv", "--out", "mine.toml")
        with open(self.path("mine.toml")) as file:
            table = file.read()
        by_file = small_config().replace("[evaluation]\n", '[evaluation]\ndevice_model = "mine.toml"\n')
        self.write("by_file.toml", by_file)
        self.write("by_table.toml", small_config() + table)
        for name in ("by_file.toml", "by_table.toml"):
            self.assertEqual(self.succeed("config", "--check", name).stdout, "ok\n")
        write_images(self.folder, "train", 200, 1)
        write_images(self.folder, "test", 60, 2)
        self.write("plain.toml", small_config())
        self.succeed("train", "plain.toml", "--out", "net.h5")
        rows = [self.succeed_json("evaluate", name, "--network", "net.h5")["accuracy"] for name in ("by_file.toml", "by_table.toml")]
        self.assertEqual(rows[0], rows[1])
        self.assertEqual(len(rows[0]), 6)

    def test_a_common_target_replaces_the_column(self):
        rows = [[d, t, g] for d, target, t, g in reads(targets=(12e-6,))]
        self.write_table("three.csv", rows)
        report = self.succeed_json("characterize", "three.csv", "--target-us", "12", "--g-max-us", "25", "--out", "m.toml")
        self.assertEqual(len(report["numbers"]), 4)

    def test_pictures_of_a_model(self):
        self.succeed("characterize", "reads.csv", "--out", "mine.toml")
        report = self.succeed_json("device-figures", "--out", "figures", "--device", "mine.toml", "--devices", "100")
        self.assertEqual(len(report["pictures"]), 4)
        for picture in report["pictures"]:
            self.assertTrue(self.read_bytes(picture).startswith(b"\x89PNG"), picture)
        self.assertEqual(self.succeed_json("info", "figures/device_figures.h5")["kind"], "device-figures")

    def test_bad_requests_leave_nothing(self):
        self.write_table("few.csv", reads()[:20])
        self.write_table("early.csv", [[d, g, 0.0, y] for d, g, _, y in reads()[:20]])
        self.write_table("three.csv", [[1, 2, 3]])
        self.write("bad.toml", "[device]\ndrift.mu_logg = 1.0\n")
        before = self.everything_below()
        for code, parts, arguments in (
                (3, ["2 devices", "at least 10"], ["characterize", "few.csv", "--out", "m.toml"]),
                (3, ["early.csv", "read 1", "time 0"], ["characterize", "early.csv", "--out", "m.toml"]),
                (3, ["three.csv", "4"], ["characterize", "three.csv", "--out", "m.toml"]),
                (5, ["absent.csv"], ["characterize", "absent.csv", "--out", "m.toml"]),
                (5, ["none", "does not exist"], ["characterize", "reads.csv", "--out", "none/m.toml"]),
                (2, ["--held-out-share"], ["characterize", "reads.csv", "--out", "m.toml", "--held-out-share", "0.95"]),
                (2, ["pcm-2091", ".toml"], ["device-figures", "--out", "f", "--device", "pcm-2091"]),
                (2, ["drift.mu_logg", "mu_log"], ["device-figures", "--out", "f", "--device", "bad.toml"])):
            with self.subTest(arguments):
                done = self.run_program(*arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                for part in parts:
                    self.assertIn(part, done.stderr)
                self.assertEqual(self.everything_below(), before)
        self.assertFalse(os.path.exists(self.path("f")))
