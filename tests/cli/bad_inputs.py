"""The catalogue of bad inputs. A row: name, arguments, what is put in place of a file (text, bytes, a table, or a function of the
whole file's bytes; None: removed), exit code, words the message must hold. `good.toml`, the image files, `ref.h5`, `model.h5`, `net.h5`,
`g.csv`, `k.csv`, `t.toml`, `reads.csv` and `sweep.toml` are whole before every row, and nothing may appear or change.

Rows of `solve` alone are in test_bad_inputs.py."""
import gzip
import struct

USAGE, BAD_DATA, NOT_CONVERGED, IO = 2, 3, 4, 5

AXIS = "[sweep]\n[[sweep.axis]]\nkey = \"%s\"\nvalues = %s\n"


def flipped(place):
    """One bit flipped; place: a byte, from the end when negative, a share of the file when a float."""
    def damage(whole):
        at = int(place * len(whole)) if isinstance(place, float) else place % len(whole)
        return whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:]
    return damage


def cut(share):
    return lambda whole: whole[:int(share * len(whole))]


def replaced(old, new):
    def change(whole):
        assert old in whole, old
        return whole.replace(old, new, 1)
    return change


def header(*words):
    """Other words at the front of an IDX file of images."""
    return lambda whole: struct.pack(">%dI" % len(words), *words) + whole[4 * len(words):]


def key(table, line):
    """The good configuration with one more line in a table, over what it said of that key."""
    name = line.split("=")[0].strip()

    def change(whole):
        lines, inside, out = whole.decode().split("\n"), False, []
        for one in lines:
            if one.startswith("["):
                inside = one == "[%s]" % table
            if inside and one.split("=")[0].strip() == name:
                continue
            out.append(one)
            if one == "[%s]" % table:
                out.append(line)
        if "[%s]" % table not in lines:
            out += ["[%s]" % table, line]
        return "\n".join(out).encode()
    return change


CHECK = ["config", "--check", "good.toml"]
GENERATE = ["generate", "good.toml", "--out", "out.h5"]
TRAIN = ["train", "good.toml", "--out", "out.h5"]
EVALUATE = ["evaluate", "good.toml", "--network", "net.h5"]
FIT = ["fit", "ref.h5", "--out", "out.h5"]
COMPARE = ["compare", "ref.h5", "--model", "model.h5", "--out", "out.h5"]
SOLVE = ["solve", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv", "--method", "charge", "--out", "out.csv"]
NETLIST = ["netlist", "--tile", "t.toml", "--conductances", "g.csv", "--codes", "k.csv", "--out", "out.cir"]
SWEEP = ["sweep", "sweep.toml", "--out", "out"]
CHARACTERIZE = ["characterize", "reads.csv", "--out", "out.toml"]
FIGURES = ["device-figures", "--out", "out", "--devices", "10"]
STUDY = ["study", "mnist-irdrop", "good.toml", "--out", "out"]

TOML = [
    ("a text that does not end", CHECK, {"good.toml": 'title = "no end\n'}, USAGE, ["good.toml:1"]),
    ("a key twice", CHECK, {"good.toml": "seed = 1\nseed = 2\n"}, USAGE, ["good.toml:2", "seed"]),
    ("a table twice", CHECK, {"good.toml": "[tile]\n[tile]\n"}, USAGE, ["good.toml:2", "tile"]),
    ("bytes that are no text", CHECK, {"good.toml": b"title = \"\xff\xfe\"\n"}, USAGE, ["good.toml:1"]),
    ("a zero byte", CHECK, {"good.toml": b"seed = 1\x00\n"}, USAGE, ["good.toml:1"]),
    ("a configuration of 17 MB", CHECK, {"good.toml": b"#" * 17_000_000}, BAD_DATA, ["good.toml", "17000000", "16777216"]),
    ("an HDF5 file as configuration", ["config", "--check", "ref.h5"], {}, USAGE, ["ref.h5:1"]),
    ("a seed that is a text", CHECK, {"good.toml": 'seed = "five"\n'}, USAGE, ["good.toml:1", 'seed = "five"', "whole number"]),
    ("a seed with a fraction", CHECK, {"good.toml": "seed = 1.5\n"}, USAGE, ["seed = 1.5", "whole number"]),
    ("a number beyond 64 bits", CHECK, {"good.toml": "seed = 99999999999999999999\n"}, USAGE, ["good.toml:1"]),
    ("too many rows", CHECK, {"good.toml": key("tile", "rows = 16385")}, USAGE, ["tile.rows = 16385", "1 to 16384"]),
    ("no rows", CHECK, {"good.toml": key("tile", "rows = 0")}, USAGE, ["tile.rows = 0", "1 to 16384"]),
    ("g_min above g_max", CHECK, {"good.toml": key("tile", "g_min_siemens = 3e-5")}, USAGE, ["g_m", "3e-05"]),
    ("an infinite resistance", CHECK, {"good.toml": key("tile", "r_row_ohm = inf")}, USAGE, ["tile.r_row_ohm = inf", "0 to 1e+06"]),
    ("one DAC bit", CHECK, {"good.toml": key("tile.pulse", "dac_bits = 1")}, USAGE, ["tile.pulse.dac_bits = 1", "2 to 16"]),
    ("an edge longer than the step", CHECK, {"good.toml": key("tile.pulse", "t_edge_s = 2e-9")}, USAGE, ["t_edge_s", "2e-09", "1e-09"]),
    ("an ADC of 25 bits", CHECK, {"good.toml": key("tile.adc", "bits = 25")}, USAGE, ["tile.adc.bits = 25", "2 to 24"]),
    ("an unknown front end", CHECK, {"good.toml": key("tile.front_end", 'kind = "magic"')}, USAGE, ["tile.front_end.kind", "magic", "integrator"]),
    ("bipolar drive, pairs of columns", CHECK, {"good.toml": key("tile", 'drive = "bipolar"\nweight_layout = "pair-columns"')}, USAGE,
     ["bipolar", "pair-columns"]),
    ("a network of one layer", CHECK, {"good.toml": key("network", "layers = [64]")}, USAGE, ["network.layers"]),
    ("a layer of width 0", CHECK, {"good.toml": key("network", "layers = [64, 0, 10]")}, USAGE, ["network.layers[1] = 0"]),
    ("layers that are not numbers", CHECK, {"good.toml": key("network", 'layers = [64, "many", 10]')}, USAGE, ['layers[1] = "many"', "whole number"]),
    ("layers that are no list", CHECK, {"good.toml": key("network", "layers = 64")}, USAGE, ["network.layers = 64", "list"]),
    ("more kinds than layers", CHECK, {"good.toml": key("network", 'kinds = ["analog", "digital", "analog"]')}, USAGE, ["network.kinds"]),
    ("an unknown kind", CHECK, {"good.toml": key("network", 'kinds = ["quantum"]')}, USAGE, ["network.kinds", "quantum", "analog"]),
    ("an unknown activation", CHECK, {"good.toml": key("network", 'activation = "step"')}, USAGE, ["network.activation", "step", "relu"]),
    ("no epochs", CHECK, {"good.toml": key("training", "epochs = -1")}, USAGE, ["training.epochs = -1"]),
    ("an empty batch", CHECK, {"good.toml": key("training", "batch = 0")}, USAGE, ["training.batch = 0"]),
    ("a negative learning rate", CHECK, {"good.toml": key("training", "learning_rate = -0.1")}, USAGE, ["training.learning_rate = -0.1"]),
    ("momentum of 2", CHECK, {"good.toml": key("training", "momentum = 2")}, USAGE, ["training.momentum = 2", "0 to"]),
    ("one ADC bit of an analog layer", CHECK, {"good.toml": key("analog.forward", "adc_bits = 1")}, USAGE, ["adc_bits = 1"]),
    ("a step of 0", CHECK, {"good.toml": key("analog.device", "step = 0.0")}, USAGE, ["analog.device.step"]),
    ("no vectors", CHECK, {"good.toml": key("reference", "vectors = 0")}, USAGE, ["reference.vectors = 0", "1 to"]),
    ("all vectors held out", CHECK, {"good.toml": key("reference", "held_out_share = 1.0")}, USAGE, ["held_out_share = 1", "0.95"]),
    ("scales in the wrong order", CHECK, {"good.toml": key("reference", "scale_low = 5.0")}, USAGE, ["reference.scale_high", "below reference.scale_low"]),
    ("an unknown form", CHECK, {"good.toml": key("model", 'form = "magic"')}, USAGE, ["model.form", "magic", "ladder"]),
    ("a form that does not fit the tile", CHECK, {"good.toml": key("model", 'form = "effective"')}, USAGE, ["effective", "linear drive"]),
    ("a time before the first read", CHECK, {"good.toml": key("evaluation", "times_s = [-1.0]")}, USAGE, ["evaluation.times_s[0] = -1"]),
    ("an unknown device model", CHECK, {"good.toml": key("evaluation", 'device_model = "pcm-3000"')}, USAGE, ["pcm-3000", "pcm-2019"]),
    ("a device model that is not there", CHECK, {"good.toml": key("evaluation", 'device_model = "none.toml"')}, IO, ["none.toml"]),
    ("a wrong key in a table of its own", CHECK, {"good.toml": key("device", "g_max_us = 25.0")}, USAGE, ["device.g_max_us", "g_max_uS"]),
    ("a table where a number belongs", CHECK, {"good.toml": "[seed]\nvalue = 1\n"}, USAGE, ["seed"]),
    ("a number where a table belongs", CHECK, {"good.toml": "tile = 5\n"}, USAGE, ["tile = 5", "table"]),
    ("a study without its table", STUDY, {}, USAGE, ["good.toml", "unknown key"]),
]

TABLES = [
    ("semicolons between numbers", SOLVE, {"g.csv": "1e-6;1e-6\n1e-6;1e-6\n"}, BAD_DATA, ["g.csv"]),
    ("UTF-16", SOLVE, {"g.csv": "1e-6,1e-6\n".encode("utf-16")}, BAD_DATA, ["g.csv"]),
    ("a number no double can hold", SOLVE, {"g.csv": "1e-6,1e999\n"}, BAD_DATA, ["g.csv", "line 1", "column 2", "1e999"]),
    ("a header and nothing else", SOLVE, {"g.csv": "a,b\n"}, BAD_DATA, ["g.csv", "no numbers"]),
    ("an empty line in the middle", SOLVE, {"g.csv": "1e-6,1e-6\n\n1e-6,1e-6\n"}, BAD_DATA, ["g.csv", "line 2", "empty"]),
    ("a comma at the end", SOLVE, {"g.csv": "1e-6,1e-6,\n"}, BAD_DATA, ["g.csv", "line 1", "column 3"]),
    ("hexadecimal numbers", SOLVE, {"g.csv": "1e-6,0x10\n"}, BAD_DATA, ["g.csv", "column 2", "0x10"]),
    ("a data set that is not in the file", [*SOLVE[:6], "ref.h5:none", *SOLVE[7:]], {}, BAD_DATA, ["ref.h5", "none"]),
    ("a file with several tables", [*SOLVE[:6], "ref.h5", *SOLVE[7:]], {}, BAD_DATA, ["ref.h5", "several", "choose one"]),
    ("a vector that is not in the table", [*NETLIST, "--vector", "7"], {}, USAGE, ["--vector", "7"]),
    ("vector 0", [*NETLIST, "--vector", "0"], {}, USAGE, ["--vector", "0"]),
    ("codes of another tile", NETLIST, {"k.csv": [[1, 2, 3]]}, BAD_DATA, ["k.csv", "3 codes", "4 rows"]),
    ("reads with two columns", CHARACTERIZE, {"reads.csv": "1,2\n3,4\n"}, BAD_DATA, ["reads.csv", "columns"]),
    ("reads of too few devices", CHARACTERIZE, {"reads.csv": lambda whole: b"".join(whole.splitlines(True)[:9])}, BAD_DATA, ["devices", "10"]),
    ("a read before programming", CHARACTERIZE, {"reads.csv": replaced(b",20.0,", b",-20.0,")}, BAD_DATA, ["reads.csv", "-20"]),
    ("reads that are not there", CHARACTERIZE, {"reads.csv": None}, IO, ["reads.csv"]),
]

IMAGES = [
    ("labels in place of images", TRAIN, {"train-images": lambda whole: struct.pack(">II", 0x801, 8) + bytes(8)}, BAD_DATA, ["train-images", "2049", "2051"]),
    ("no images", TRAIN, {"train-images": header(0x803, 0)}, BAD_DATA, ["train-images", "size of 0"]),
    ("images without pixels", TRAIN, {"train-images": header(0x803, 60, 0)}, BAD_DATA, ["train-images", "size of 0"]),
    ("a header that promises 4 GB", TRAIN, {"train-images": header(0x803, 60, 0xFFFFFFFF)}, BAD_DATA, ["train-images"]),
    ("one image too many", TRAIN, {"train-images": header(0x803, 61)}, BAD_DATA, ["train-images", "truncated"]),
    ("bytes after the end", TRAIN, {"train-images": lambda whole: whole + b"\0"}, BAD_DATA, ["train-images", "overlong"]),
    ("a gzip that ends early", TRAIN, {"train-images": lambda whole: gzip.compress(whole)[:-20]}, BAD_DATA, ["train-images"]),
    ("a gzip with a wrong check sum", TRAIN, {"train-images": lambda whole: flipped(-6)(gzip.compress(whole))}, BAD_DATA, ["train-images"]),
    ("a gzip that promises 4 GB", TRAIN, {"train-images": lambda whole: gzip.compress(header(0x803, 60, 8000, 8000)(whole))}, BAD_DATA,
     ["train-images", "truncated"]),
    ("fewer labels than images", TRAIN, {"train-labels": lambda whole: struct.pack(">II", 0x801, 8) + bytes(8)}, BAD_DATA,
     ["train-labels", "8 labels", "60 images"]),
    ("a label beyond the outputs", TRAIN, {"train-labels": replaced(b"\x05", b"\x0b")}, BAD_DATA, ["train-labels", "= 11", "0 to 9"]),
    ("images of another size", TRAIN, {"good.toml": key("network", "layers = [784, 10]")}, USAGE, ["64", "784"]),
    ("test images of another shape", TRAIN, {"test-images": header(0x803, 20, 4, 16)}, BAD_DATA, ["8 x 8", "4 x 16"]),
    ("a dry run of a comparison with stored data", ["compare", "ref.h5", "--model", "model.h5", "--dry-run"], {}, USAGE, ["ref.h5", ".toml"]),
    ("labels that are not there", TRAIN, {"test-labels": None}, IO, ["test-labels"]),
    ("images that are a folder", TRAIN, {"good.toml": key("data", 'test_images = "."')}, IO, ["folder"]),
    ("images from a file of reference data", TRAIN, {"good.toml": key("data", 'train_images = "ref.h5:codes"')}, BAD_DATA, ["ref.h5"]),
    ("more calibration images than images", EVALUATE, {"good.toml": key("evaluation", "calibration_images = 0")}, USAGE, ["calibration_images = 0"]),
]

ARTEFACTS = [
    ("a network for other images", EVALUATE, {"test-images": header(0x803, 20, 4, 8)}, BAD_DATA,
     ["test-images"]),
    ("a bit in the first line of a set", FIT, {"ref.h5": flipped(12)}, BAD_DATA, ["ref.h5"]),
    ("a bit in the hash of a set", FIT, {"ref.h5": flipped(40)}, BAD_DATA, ["ref.h5", "damaged"]),
    ("a bit among the data of a set", FIT, {"ref.h5": flipped(0.7)}, BAD_DATA, ["ref.h5", "hash"]),
    ("half a set", FIT, {"ref.h5": cut(0.5)}, BAD_DATA, ["ref.h5", "truncated"]),
    ("a set with something behind it", FIT, {"ref.h5": lambda whole: whole + b"\0"}, BAD_DATA, ["ref.h5", "bytes"]),
    ("an empty set", FIT, {"ref.h5": b""}, BAD_DATA, ["ref.h5"]),
    ("a text as set", FIT, {"ref.h5": "vectors\n"}, BAD_DATA, ["ref.h5"]),
    ("a set of a later version", FIT, {"ref.h5": replaced(b"reference-set v1\n", b"reference-set v7\n")}, BAD_DATA, ["ref.h5", "7"]),
    ("a set without its user block", FIT, {"ref.h5": lambda whole: whole[512:]}, BAD_DATA, ["ref.h5"]),
    ("a model as set", ["fit", "model.h5", "--out", "out.h5"], {}, BAD_DATA, ["model.h5", "tile-model", "reference-set"]),
    ("a set as model", ["compare", "ref.h5", "--model", "ref.h5"], {}, BAD_DATA, ["ref.h5", "reference-set", "tile-model"]),
    ("a bit in a model", COMPARE, {"model.h5": flipped(0.5)}, BAD_DATA, ["model.h5"]),
    ("half a model", COMPARE, {"model.h5": cut(0.9)}, BAD_DATA, ["model.h5", "truncated"]),
    ("a model that is not there", COMPARE, {"model.h5": None}, IO, ["model.h5"]),
    ("a bit in a network", EVALUATE, {"net.h5": flipped(0.5)}, BAD_DATA, ["net.h5"]),
    ("an empty network", EVALUATE, {"net.h5": b""}, BAD_DATA, ["net.h5"]),
    ("a network that is a folder", ["evaluate", "good.toml", "--network", "."], {}, IO, ["folder"]),
    ("a network for the weights that is a model", GENERATE,
     {"good.toml": key("reference", 'weights = "network"\nnetwork_file = "model.h5"')}, BAD_DATA, ["model.h5", "network"]),
    ("a layer the network does not have", GENERATE,
     {"good.toml": key("reference", 'weights = "network"\nnetwork_file = "net.h5"\nnetwork_layer = 5')}, USAGE, ["network_layer = 5"]),
    ("info of a model with a wrong bit", ["info", "model.h5"], {"model.h5": flipped(-9)}, BAD_DATA, ["model.h5"]),
    ("info of a table that is none", ["info", "g.csv"], {"g.csv": "1,2\n3\n"}, BAD_DATA, ["g.csv", "line 2"]),
    ("control characters in a message", ["info", "g.csv"], {"g.csv": b"1,2\n3,\x1b[2J\n"}, BAD_DATA, ["g.csv", "\\x1B[2J"]),
    ("no text in a message", ["info", "r.json"], {"r.json": b'{"title": "\xff\xfe"}'}, BAD_DATA, ["r.json"]),
    ("info of results that are none", ["info", "r.json"], {"r.json": "{"}, BAD_DATA, ["r.json"]),
    ("info of a configuration with mistakes", ["info", "good.toml"], {"good.toml": "seed = -1\n"}, USAGE, ["seed = -1"]),
    ("info of cut images", ["info", "train-images"], {"train-images": cut(0.5)}, BAD_DATA, ["train-images", "truncated"]),
    ("a manifest with a wrong bit", ["info", "."], {"manifest.json": '{"manifest_version": 2, "hash": "0"}\n'}, BAD_DATA, ["manifest.json", "hash"]),
    ("a device model with mistakes", [*FIGURES, "--device", "d.toml"], {"d.toml": "g_max_uS = -1\nsigma = 2\n"}, USAGE, ["d.toml:1", "g_max_uS", "d.toml:2"]),
    ("a device model of another name", [*FIGURES, "--device", "pcm-3000"], {}, USAGE, ["pcm-3000", "pcm-2019"]),
]

SWEEPS = [
    ("an axis that is no key", SWEEP, {"sweep.toml": lambda whole: whole + (AXIS % ("training.rate", "[1]")).encode()}, USAGE, ["training.rate"]),
    ("a value out of range", SWEEP, {"sweep.toml": lambda whole: whole + (AXIS % ("training.batch", "[20, 0]")).encode()}, USAGE,
     ["point 1", "training.batch = 0"]),
    ("values that are no list", SWEEP, {"sweep.toml": lambda whole: whole + (AXIS % ("training.batch", "20")).encode()}, USAGE, ["sweep"]),
    ("no axis", SWEEP, {"sweep.toml": lambda whole: whole + b"[sweep]\n"}, USAGE, ["sweep.toml", "axis"]),
    ("an unknown mode", SWEEP, {"sweep.toml": lambda whole: whole + b'[sweep]\nmode = "all"\n'}, USAGE, ["sweep.mode", "all", "grid"]),
    ("random without points", SWEEP, {"sweep.toml": lambda whole: whole + (AXIS % ("seed", "[1]")).replace("[sweep]", '[sweep]\nmode = "random"').encode()},
     USAGE, ["points"]),
    ("shard 3 of 2", [*SWEEP, "--shard", "3/2"], {"sweep.toml": lambda whole: whole + (AXIS % ("seed", "[1, 2]")).encode()}, USAGE, ["--shard 3/2"]),
]

FLAGS = [
    ("too many threads", [*GENERATE, "--threads", "5000"], {}, USAGE, ["--threads", "5000", "4096"]),
    ("threads that are a text", [*GENERATE, "--threads", "all"], {}, USAGE, ["--threads", "all"]),
    ("a form and a target", [*FIT, "--form", "ladder", "--target-error", "1"], {}, USAGE, ["--target-error", "--form"]),
    ("no segments", [*FIT, "--form", "binned", "--segments", "0"], {}, USAGE, ["--segments", "0", "16384"]),
    ("a target of 0", [*FIT, "--target-error", "0"], {}, USAGE, ["--target-error", "1e-09"]),
    ("a target that is no number", [*FIT, "--target-error", "nan"], {}, USAGE, ["--target-error", "nan", "finite"]),
    ("an infinite length of a read", [*CHARACTERIZE, "--read-ns", "inf"], {}, USAGE, ["--read-ns inf", "finite numbers above 0"]),
    ("a tolerance below all", [*SOLVE, "--relative-tolerance", "1e-20"], {}, USAGE, ["--relative-tolerance 1e-20", "1e-12 to 0.01"]),
    ("no draws of noise", [*TRAIN, "--noise-draws", "0"], {}, USAGE, ["--noise-draws", "0"]),
    ("too few devices", [*FIGURES[:3], "--devices", "5"], {}, USAGE, ["--devices", "5", "10"]),
    ("everything held out", [*CHARACTERIZE, "--held-out-share", "1"], {}, USAGE, ["--held-out-share", "0.9"]),
    ("a negative target", [*CHARACTERIZE, "--target-us", "-5"], {}, USAGE, ["--target-us -5", "above 0"]),
    ("a flag twice", ["fit", "ref.h5", "--out", "a.h5", "--out", "b.h5"], {}, USAGE, ["--out"]),
    ("two files", ["generate", "good.toml", "good.toml", "--out", "out.h5"], {}, USAGE, ["good.toml"]),
    ("no output", ["train", "good.toml"], {}, USAGE, ["--out"]),
    ("an unknown study", ["study", "magic", "good.toml", "--out", "out"], {}, USAGE, ["magic"]),
]

PLACES = [
    ("a folder that is a file", ["generate", "good.toml", "--out", "g.csv/out.h5"], {}, IO, ["g.csv"]),
    ("a folder that is not there", ["fit", "ref.h5", "--out", "none/out.h5"], {}, IO, ["none"]),
    ("an output that is a folder", ["train", "good.toml", "--out", "."], {}, IO, ["folder"]),
    ("a comparison below /proc", ["compare", "ref.h5", "--model", "model.h5", "--out", "/proc/out.h5"], {}, IO, ["/proc"]),
    ("a sweep in a file", ["sweep", "sweep.toml", "--out", "g.csv"], {"sweep.toml": lambda whole: whole + (AXIS % ("seed", "[1]")).encode()}, IO, ["g.csv"]),
    ("figures in a file", ["device-figures", "--out", "g.csv", "--devices", "10"], {}, IO, ["g.csv"]),
    ("a work folder that is a file", GENERATE, {"out.h5.work": "not a folder\n"}, IO, ["out.h5.work"]),
    ("a run folder that is a file", ["run", "good.toml", "--out", "g.csv"], {}, IO, ["g.csv"]),
    ("a configuration that is not there", ["run", "none.toml"], {}, IO, ["none.toml"]),
    ("a configuration that is a folder", ["run", "."], {}, IO, ["folder"]),
    ("a report of nothing", ["report", "none"], {}, IO, ["none"]),
    ("a name longer than names may be", ["generate", "good.toml", "--out", "x" * 300 + ".h5"], {}, IO, ["xxx"]),
]

CATALOGUE = TOML + TABLES + IMAGES + ARTEFACTS + SWEEPS + FLAGS + PLACES
