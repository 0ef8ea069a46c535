"""Pictures of the tile model's figures: error against cost, error against wire resistance.

Usage: tilemodel_pictures.py FIGURES.json OUTDIR    (the JSON of bench_tilemodel; scripts/bench.sh tilemodel calls it)
"""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = ["#8b919b", "#c9951a", "#9cc7ee", "#2f86d1", "#174f83", "#dd6a26", "#17976f", "#b065ab"]
MARKERS = ["x", "P", "o", "s", "^", "D", "v", "h"]


def find(series, title):
    for one in series:
        if one["title"].startswith(title):
            return [column["name"] for column in one["columns"]], one["rows"]
    return None, []


def pareto(series, path):
    names, rows = find(series, "Error against cost")
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    for mark, colour, bins in zip(MARKERS[2:], COLOURS[3:], sorted({row[3] for row in rows if row[2] > 0})):
        some = [row for row in rows if row[2] > 0 and row[3] == bins]
        axes.plot([row[0] for row in some], [row[1] for row in some], mark, color=colour, label="closure, T' = %d, L = 64 to 8" % bins)
        axes.plot([row[0] for row in some], [row[1] for row in some], "-", color=colour, linewidth=0.6)
    for code, label, mark in ((0, "ideal product", "x"), (-1, "binned ladder, 8 x 8", "P")):
        for row in rows:
            if row[2] == code:
                axes.plot(row[0], row[1], mark, color=COLOURS[0] if code == 0 else COLOURS[1], label=label)
    axes.set(xscale="log", yscale="log", xlabel="cost of a product, plain float32 products", ylabel="RMS error, LSB",
             title="512 x 512, 1 ohm per cell, gated: error against cost")
    ticks = [1, 2, 3, 5, 10, 20, 40]
    axes.set_xticks(ticks, ["%d" % tick for tick in ticks])
    axes.minorticks_off()
    finish(figure, axes, path, "upper right")


def wires(series, path):
    names, rows = find(series, "RMS error against wire resistance")
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    for column in range(1, len(names)):
        axes.plot([row[0] for row in rows], [row[column] for row in rows], marker=MARKERS[column - 1], color=COLOURS[column - 1],
                  markersize=4, label=names[column])
    axes.set(xscale="log", yscale="log", xlabel="wire resistance, ohm per cell", ylabel="RMS error, LSB",
             title="512 x 512, gated: error against wire resistance")
    finish(figure, axes, path, "lower right")


def finish(figure, axes, path, place):
    axes.title.set_fontsize(10.5)
    axes.grid(True, which="major", linewidth=0.5, color="#d0d4da")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc=place)
    figure.savefig(path, dpi=160, bbox_inches="tight")
    plt.close(figure)
    print("picture: " + path)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        series = json.load(file)["series"]
    os.makedirs(sys.argv[2], exist_ok=True)
    pareto(series, os.path.join(sys.argv[2], "tilemodel_pareto.png"))
    wires(series, os.path.join(sys.argv[2], "tilemodel_wire.png"))


main()
