# The report script, part 3: the pictures of a sweep, beside published numbers where published.csv lies in the folder.
JOINED = ("seed", "title")  # axes that tell repetitions or names apart, not settings
MOST_FACETS = 12


def same_value(a, b):
    try:
        return float(a) == float(b)
    except ValueError:
        return a == b


def in_order(values):
    """Numbers by size, others as they come."""
    try:
        return sorted(values, key=float)
    except ValueError:
        return values


def unquoted(text):
    if text.startswith("[ ") and text.endswith(" ]"):
        return "[" + text[2:-2] + "]"
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def short_key(key):
    return " ".join(key.split(".")[-2:]).replace("_", " ")


class SweepData:
    """The points of sweep.h5, seeds joined: for every setting the list of its scores; None: no result."""

    def __init__(self, data):
        self.title = data.text("title")
        there = [k for k in data.file["axes"]]
        self.keys = [k for k in data.text("keys").split("\n") if k in there] or there
        columns = {}
        for key in self.keys:
            column = data.vector("axes/" + key)
            names = data.text("values of " + key)
            columns[key] = [unquoted(names.split("\n")[int(v)]) if names else ("%.12g" % v) for v in column]
        count = len(columns[self.keys[0]])
        scores = {name: self.score(data, name, count) for name in ("accuracy", "last_of_batch")}
        self.axes = self.independent([k for k in self.keys if k not in JOINED], columns)
        self.values = {a: in_order(list(dict.fromkeys(columns[a]))) for a in self.axes}
        self.cells, self.names = {}, {}
        for p in range(count):
            place = tuple(columns[a][p] for a in self.axes)
            cell = self.cells.setdefault(place, {"accuracy": [], "last_of_batch": []})
            for name in cell:
                cell[name].append(scores[name][p])
            self.names.setdefault(place, columns["title"][p] if "title" in columns else " · ".join(place))
        self.columns = columns
        self.read_published(data.folder)

    @staticmethod
    def score(data, name, count):
        out = [None] * count
        if data.has("ok/point") and data.has("ok/" + name):
            for p, v in zip(data.vector("ok/point"), data.vector("ok/" + name)):
                out[int(p)] = 100.0 * v
        return out

    @staticmethod
    def independent(axes, columns):
        """Without axes that never vary, or follow from an axis before them."""
        kept = []
        for axis in axes:
            follows = len(set(columns[axis])) < 2
            for other in kept:
                follows = follows or len(set(zip(columns[other], columns[axis]))) == len(set(columns[other]))
            if not follows:
                kept.append(axis)
        return kept or axes[:1]

    def read_published(self, folder):
        self.published, self.published_names = {}, []
        path = os.path.join(folder, "published.csv")
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(line for line in source if not line.startswith("#")))
        heads = [h for h in (rows[0] if rows else {}) if h in self.axes]
        self.published_names = [n for n in ("accuracy", "last_of_batch") if rows and n in rows[0]]
        for place in self.cells:
            for row in rows:
                if all(same_value(row[h], place[self.axes.index(h)]) for h in heads):
                    self.published[place] = {n: 100.0 * float(row[n]) if row[n] else None for n in self.published_names}
                    break

    def ours(self, place, name="accuracy"):
        """Mean, standard error (0: one run) and number of runs; None where a run has no result."""
        scores = self.cells[place][name] if place in self.cells else []
        if not scores or any(s is None for s in scores):
            return None
        error = float(np.std(scores, ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
        return float(np.mean(scores)), error, len(scores)

    def layers(self):
        """What is shown, one row of pictures each: (title, value of a place or None, is the place known)."""
        out = [("ours", lambda p: (self.ours(p) or [None])[0], lambda p: p in self.cells)]
        if "last_of_batch" in self.published_names:
            out.append(("ours, last image of each batch alone", lambda p: (self.ours(p, "last_of_batch") or [None])[0],
                        lambda p: p in self.cells))
        for name in self.published_names:
            title = "published" if name == "accuracy" else "published (last image of each batch alone)"
            out.append((title, lambda p, n=name: self.published.get(p, {}).get(n), lambda p: p in self.published))
        return out

    def is_grid(self):
        return len(self.axes) > 1 and len(self.cells) == np.prod([len(self.values[a]) for a in self.axes])


def colour_limits(sweep):
    values = [v for _, value, _ in sweep.layers() for v in map(value, sweep.cells) if v is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def heat_map(place_axes, grid, known, limits):
    cmap, norm = plt.get_cmap(COLOUR_MAP), Normalize(*limits)
    rows, cols = grid.shape
    for i in range(rows):
        for j in range(cols):
            if not known[i, j]:
                continue
            value = grid[i, j]
            if np.isnan(value):
                place_axes.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="none", edgecolor=SOFT, hatch="////", linewidth=0))
                continue
            colour = cmap(norm(value))
            place_axes.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, linewidth=0))
            if rows * cols <= 64:
                bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.55
                place_axes.text(j, i, "%.1f" % value, ha="center", va="center", fontsize=7.5, color="#111111" if bright else "#f5f5f5")
    place_axes.set_xlim(-0.5, cols - 0.5)
    place_axes.set_ylim(-0.5, rows - 0.5)
    place_axes.grid(False)
    for side in ("left", "bottom"):
        place_axes.spines[side].set_visible(False)
    place_axes.tick_params(length=0)


def figure_heat_maps(sweep):
    y_axis, x_axis, others = sweep.axes[0], sweep.axes[1], sweep.axes[2:]
    facets = list(dict.fromkeys(tuple(p[2:]) for p in sweep.cells))[:MOST_FACETS]
    layers, limits = sweep.layers(), colour_limits(sweep)
    size = (max(len(sweep.values[x_axis]) * 0.42, 1.7), max(len(sweep.values[y_axis]) * 0.34, 1.3))
    shape = (len(layers), len(facets)) if len(facets) > 1 else (1, len(layers))  # one facet: side by side
    figure, axes = plt.subplots(*shape, squeeze=False, sharex=True, sharey=True,
                                figsize=(1.5 + (size[0] + 0.35) * shape[1], 0.9 + (size[1] + 0.6) * shape[0]),
                                gridspec_kw={"wspace": 0.12, "hspace": 0.42})
    panels = axes if len(facets) > 1 else axes.T
    for r, (title, value, known) in enumerate(layers):
        for c, facet in enumerate(facets):
            places = [[(y, x) + facet for x in sweep.values[x_axis]] for y in sweep.values[y_axis]]
            grid = np.array([[np.nan if value(p) is None else value(p) for p in row] for row in places], dtype=float)
            heat_map(panels[r, c], grid, np.array([[known(p) for p in row] for row in places]), limits)
            panels[r, c].set_title("\n".join([title if c == 0 else ""] + ["%s = %s" % (short_key(k), v) for k, v in zip(others, facet)])
                                 if others else title, fontsize=9)
    for place in axes[:, 0]:
        place.set_yticks(range(len(sweep.values[y_axis])))
        place.set_yticklabels(sweep.values[y_axis], fontsize=8)
        place.set_ylabel(short_key(y_axis), fontsize=9)
    for place in axes[-1]:
        place.set_xticks(range(len(sweep.values[x_axis])))
        place.set_xticklabels(sweep.values[x_axis], fontsize=8)
        place.set_xlabel(short_key(x_axis), fontsize=9)
    bar = figure.colorbar(plt.cm.ScalarMappable(Normalize(*limits), COLOUR_MAP), ax=axes, fraction=0.03, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label("accuracy (%)")
    caption = "One colour scale for all. Hatched: no result (NaN or diverged). Settings with several seeds show their mean."
    if len(facets) < len({tuple(p[2:]) for p in sweep.cells}):
        caption += " The first %d of the further axes' values are drawn; all are in sweep.csv." % MOST_FACETS
    return to_svg(figure), caption


def number_or_place(value, values):
    """The value itself where all are numbers, else its place in the list."""
    try:
        [float(v) for v in values]
        return float(value)
    except ValueError:
        return float(values.index(value))


def pooled_sigma(sweep):
    squares = [(np.var(c["accuracy"], ddof=1) * (len(c["accuracy"]) - 1), len(c["accuracy"]) - 1) for c in sweep.cells.values()
               if len(c["accuracy"]) > 1 and None not in c["accuracy"]]
    return math.sqrt(sum(s for s, _ in squares) / sum(n for _, n in squares)) if squares else None


def means_along(sweep, axis, value, variance_of):
    """Mean for every value of an axis, and the part of its variance that runs give: like against like, so only of groups of
    places (the other axes alike) in which every value and every layer has a result; values without any are left out."""
    k = sweep.axes.index(axis)
    layers = sweep.layers()
    common = {p for p in sweep.cells if all(layer(p) is not None for _, layer, _ in layers)}
    values = [v for v in sweep.values[axis] if any(p[k] == v for p in common)]
    groups = {p[:k] + p[k + 1:] for p in common}
    groups = sorted(g for g in groups if all(g[:k] + (v,) + g[k:] in common for v in values))
    out = []
    for v in values if groups else []:
        places = [g[:k] + (v,) + g[k:] for g in groups]
        out.append((number_or_place(v, sweep.values[axis]), float(np.mean([value(p) for p in places])),
                    math.sqrt(sum(variance_of(p) for p in places)) / len(places)))
    return np.array(out).T if out else np.empty((3, 0))


def figure_axis_means(sweep):
    sigma = pooled_sigma(sweep)
    figure, axes = plt.subplots(1, len(sweep.axes), squeeze=False, sharey=True, figsize=(1.2 + 2.9 * len(sweep.axes), 3.2),
                                gridspec_kw={"wspace": 0.08})
    layers = sweep.layers()
    for place, axis in zip(axes[0], sweep.axes):
        for n, (title, value, _) in enumerate(layers):
            own = title == "ours"
            x, y, e = means_along(sweep, axis, value, lambda p: 1.0 / len(sweep.cells[p]["accuracy"]))
            if not x.size:
                continue
            place.plot(x, y, color=SERIES[n], linestyle=DASHES[n], marker=MARKERS[n], markersize=4.5, label=title)
            if own and sigma:
                place.errorbar(x, y, yerr=sigma * e, fmt="none", ecolor=SERIES[n], elinewidth=1.2, capsize=3)
        values = sweep.values[axis]
        ends = [number_or_place(v, values) for v in (values[0], values[-1])]
        if ends[0] > 0 and ends[1] > 20 * ends[0]:
            place.set_xscale("log")
            place.xaxis.set_minor_locator(ticker.NullLocator())
        place.set_xticks([number_or_place(v, values) for v in values])
        place.set_xticklabels(values, rotation=0 if max(map(len, values)) * len(values) < 26 else 20, fontsize=8)
        place.set_xlabel(short_key(axis))
    axes[0, 0].set_ylabel("mean accuracy (%)")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    caption = "Mean by value of each axis, over settings of the others at which every value%s has a result." % (
        " of every curve" if len(layers) > 1 else "")
    if sigma:
        caption += " Bars: one standard error, from the spread between seeds (%.2f points a run)." % sigma
    return to_svg(figure), caption


def figure_points(sweep):
    """One row a setting, for sweeps along one axis and lists."""
    places = list(sweep.cells)[:40]
    y = np.arange(len(places))[::-1]
    figure, axes = plt.subplots(figsize=(7.2, 1.0 + 0.42 * len(places)))
    layers = sweep.layers()
    for n, (title, value, _) in enumerate(layers):
        shown = [(value(p), at + 0.12 * (0.5 * (len(layers) - 1) - n), sweep.ours(p)[1] if title == "ours" else 0.0) for p, at in zip(places, y) if value(p) is not None]
        if shown:
            v, at, e = np.array(shown).T
            axes.errorbar(v, at, xerr=np.where(e > 0, e, np.nan), fmt=MARKERS[n], color=SERIES[n], markersize=6, capsize=3, label=title)
    for p, at in zip(places, y):
        if sweep.ours(p) is None:
            axes.text(0.01, at, "no result", transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=SOFT)
    axes.set_yticks(y)
    axes.set_yticklabels([sweep.names[p] for p in places])
    axes.set_ylim(-0.6, len(places) - 0.4)
    axes.set_xlabel("accuracy (%)")
    if len(layers) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.18 if len(places) < 8 else -0.08), ncol=1)
    return to_svg(figure), "Every setting with a result%s." % ("" if len(places) == len(sweep.cells) else "; the first 40")


def figure_sweep(data):
    sweep = SweepData(data)
    if sweep.is_grid():
        return [figure_heat_maps(sweep), figure_axis_means(sweep)]
    return [figure_points(sweep)]
