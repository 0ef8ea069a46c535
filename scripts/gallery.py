#!/usr/bin/env python3
"""Writes docs/gallery.md and its pictures from the shipped examples: gallery.py PROGRAM [--only NAME]...
A full run of a study in runs/NAME is used where there is one; otherwise the example runs with quicker settings, and the page says which."""
import argparse
import html
import os
import re
import shutil
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE, PICTURES, WORK = "docs/gallery.md", "docs/gallery", "runs/gallery"
COLOURS = ("<style>:root{--ink:#1b1e23;--soft:#636973;--grid:#e3e5e8;--sans:sans-serif}"
           "@media (prefers-color-scheme:dark){:root{--ink:#e7e9ec;--soft:#9aa1ab;--grid:#33383f}}</style>")


class Entry:
    """command: words before FILE; quick: keys of the example that are changed, [section.]key -> value, or a pair of texts."""

    def __init__(self, name, title, text, command, example, quick=()):
        self.name, self.title, self.text, self.command, self.example, self.quick = name, title, text, command, example, list(quick)


ENTRIES = [
    Entry("tutorial", "One run", "A tile of 96 x 64 with 2 ohm of wire per cell, from the circuit to a network's accuracy.", ["run"], "tutorial"),
    Entry("devices", "Devices", "A published phase-change model: read noise, spectrum, drift, programming.", ["device-figures", "--device", "pcm-2019"], None),
    Entry("compare_design", "Fast model against full circuit", "The error over tile size and wire resistance.", ["compare"], "compare_design",
          [("reference.vectors", "16"), ("design.ngspice_rows", "0"), ("values = [16, 64, 128]", "values = [16, 64]"), ("values = [0.35, 1.0, 5.0, 20.0]", "values = [0.35, 2.0, 10.0]")]),
    Entry("mnist_noise_sweep", "Noise and pulses, beside published results", "Accuracy over forward noise, backward noise and longest pulse train.",
          ["sweep"], "mnist_noise_sweep", [("training.epochs", "1"), ("values = [1, 3, 5, 7]", "values = [1, 7]"),
                                           ("values = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]", "values = [0.0, 0.4, 1.0]")]),
    Entry("mnist_scenarios", "Four scenarios", "Digital, floating point, mild and harsh noise.", ["sweep"], "mnist_scenarios"),
    Entry("mnist_irdrop", "Accuracy against wire resistance", "Weights written directly, trained with noise, trained through the tile model.", ["study", "mnist-irdrop"],
          "mnist_irdrop", [("training.epochs", "3"), ("gaussian.noise_levels", "[0.05]"), ("gaussian.epochs", "2"), ("tiles.epochs", "1"),
                           ("study.r_col_ohm", "[1.0, 20.0, 100.0]"), ("study.seeds", "1"), ("study.images", "1000"), ("study.confirm_images", "0"), ("study.confirm_ohm", "[]")]),
    Entry("mnist_lifetime", "Accuracy over a lifetime", "Drift and its compensation, one second to one year.", ["study", "mnist-lifetime"], "mnist_lifetime",
          [("training.epochs", "3"), ("hardware_aware.epochs", "2"), ("study.seeds", "1"), ("study.draws", "2"), ("study.images", "500")]),
    Entry("irdrop_budget", "Where the error comes from", "Every effect alone and removed; how far each may grow.", ["study", "irdrop"], "irdrop_budget",
          [("training.epochs", "2"), ("study.draws", "1"), ("study.images", "300"), ("study.layer_images", "20"), ("study.confirm_images", "0")]),
]


def changed(text, changes):
    """The example with other values; a key or text that is not there is a mistake of this file."""
    for key, value in changes:
        if "=" in key:
            new = text.replace(key, value)
        else:
            section, _, name = key.rpartition(".")
            head = re.escape("[%s]" % section)
            new = re.sub(r"(^%s[^\n]*\n(?:(?!\[)[^\n]*\n)*?%s\s*=\s*)[^#\n]*" % (head, re.escape(name)), lambda m: m.group(1) + value + "  ", text,
                         count=1, flags=re.M)
        if new == text:
            sys.exit("gallery: \"%s\" is not in the example" % key)
        text = new
    return text


def call(words, folder=None):
    """folder: of quick results, that may be thrown away when another version of the program made them."""
    print("  " + " ".join(words[1:]), flush=True)
    done = subprocess.run([words[0], *words[1:], "--quiet"], cwd=SOURCE, capture_output=True, text=True)
    if done.returncode == 2 and folder and "another" in done.stderr:
        shutil.rmtree(os.path.join(SOURCE, folder))
        call(words)
    elif done.returncode != 0:
        sys.exit("gallery: %s\n%s" % (" ".join(words), done.stderr))


def forget_other(file, text, folder):
    """A folder made with other settings is of no use."""
    known = None
    if os.path.exists(file):
        with open(file, encoding="utf-8") as source:
            known = source.read()
    if known != text:
        shutil.rmtree(folder, ignore_errors=True)


def make_folder(program, entry):
    """The folder with the results, the command that made it, and the changes."""
    full = os.path.join("runs", entry.name)
    if entry.example and os.path.exists(os.path.join(SOURCE, full, "results.json")):
        folder, changes, file = full, [], "examples/%s.toml" % entry.example
    else:
        folder, changes, file = os.path.join(WORK, entry.name), entry.quick, None
        os.makedirs(os.path.join(SOURCE, WORK), exist_ok=True)
        if entry.example:
            file = "examples/%s.toml" % entry.example
            if changes:
                with open(os.path.join(SOURCE, file), encoding="utf-8") as source:
                    text = changed(source.read(), changes)
                file = os.path.join(WORK, entry.name + ".toml")
                forget_other(os.path.join(SOURCE, file), text, os.path.join(SOURCE, folder))
                with open(os.path.join(SOURCE, file), "w", encoding="utf-8") as out:
                    out.write(text)
        call([program, *entry.command, *([file] if file else []), "--out", folder], folder)
    if entry.example:
        call([program, "report", folder])
    return folder, "crosstile %s" % " ".join([*entry.command, *(["examples/%s.toml" % entry.example] if entry.example else []), "--out", full]), changes


def take_pictures(entry, folder):
    """Copies the pictures of a folder into the documents: (file, caption)."""
    taken = []
    place = os.path.join(SOURCE, PICTURES)
    os.makedirs(place, exist_ok=True)
    page = os.path.join(SOURCE, folder, "report.html")
    if os.path.exists(page):
        with open(page, encoding="utf-8") as source:
            figures = re.findall(r"<figure[^>]*>\s*(<svg.*?</svg>)\s*<figcaption>(.*?)<span", source.read(), re.S)
        for k, (svg, caption) in enumerate(figures):
            name = "%s-%d.svg" % (entry.name, k + 1)
            svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
            with open(os.path.join(place, name), "w", encoding="utf-8") as out:
                out.write(svg.replace(">", ">" + COLOURS, 1) + "\n")
            taken.append((name, html.unescape(caption)))
    for name in sorted(os.listdir(os.path.join(SOURCE, folder))):
        if name.endswith((".svg", ".png")):
            target = "%s-%s" % (entry.name, name)
            shutil.copyfile(os.path.join(SOURCE, folder, name), os.path.join(place, target))
            taken.append((target, ""))
    return taken


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("program")
    options.add_argument("--only", action="append", default=[])
    given = options.parse_args()
    program = os.path.abspath(given.program)
    out = ["# Gallery", "", "Made by `scripts/gallery.sh` from the shipped examples. Each command leaves a folder whose `report.html` holds these pictures with their data and tables.", ""]
    if not given.only:
        shutil.rmtree(os.path.join(SOURCE, PICTURES), ignore_errors=True)
    for entry in ENTRIES:
        if given.only and entry.name not in given.only:
            continue
        print(entry.title, flush=True)
        folder, command, changes = make_folder(program, entry)
        out += ["## " + entry.title, "", entry.text, "", "    " + command, ""]
        if changes:
            out += ["Quick settings here: %s." % "; ".join("`%s`" % (b if "=" in a else "%s = %s" % (a, b)) for a, b in changes), ""]
        for name, caption in take_pictures(entry, folder):
            out += ["![%s](gallery/%s)" % (entry.title, name), ""]
            if caption:
                out += [caption, ""]
    if given.only:
        return
    with open(os.path.join(SOURCE, PAGE), "w", encoding="utf-8") as page:
        page.write("\n".join(out).rstrip() + "\n")
    print(PAGE)


if __name__ == "__main__":
    main()
