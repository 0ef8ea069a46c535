# The report script, part 2: the pictures. Each function takes a DataFile and returns a list of (svg, caption).
# Text and grid are drawn in marker colours that become CSS variables, so that one picture serves the light and the dark page; the colours
# of the data are mid-tones that read on both, and can be told apart without colour vision (after Okabe and Ito).
INK, SOFT, GRID = "#010203", "#040506", "#070809"
BLUE, ORANGE, GREEN, PURPLE, AMBER, GREY = "#2f86d1", "#dd6a26", "#17976f", "#b065ab", "#c9951a", "#8b919b"
SERIES = [BLUE, ORANGE, GREEN, PURPLE, AMBER, GREY]
DASHES = ["-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), "-", (0, (5, 2))]
MARKERS = ["o", "s", "^", "D", "v", "P"]
COLOUR_MAP = "viridis"

plt.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "crosstile", "font.family": "sans-serif", "font.size": 10.5,
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 9, "axes.labelsize": 10.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.axisbelow": True, "axes.grid": True,
    "grid.linewidth": 0.7, "legend.frameon": False, "legend.fontsize": 9.5, "xtick.labelsize": 9.5, "ytick.labelsize": 9.5,
    "xtick.major.size": 3.5, "ytick.major.size": 3.5, "xtick.minor.size": 2, "ytick.minor.size": 2,
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "grid.color": GRID, "legend.labelcolor": INK,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "savefig.dpi": 200, "lines.linewidth": 1.6,
    "axes.unicode_minus": True, "axes.formatter.useoffset": False,
})

NARROW_POINTS = 440.0
svg_count = 0


def to_svg(figure):
    """The figure as inline SVG: no metadata, no namespaces, identifiers of its own, colours of text and grid left to the page."""
    global svg_count
    svg_count += 1
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", pad_inches=0.06, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'<svg[^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', svg, count=1)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg).group(1))
    if width < NARROW_POINTS:  # a narrow picture is not blown up to the page
        svg = svg.replace("<svg ", '<svg style="max-width:%dpx;min-width:0" ' % (1.6 * width), 1)
    mark = "f%d-" % svg_count
    svg = re.sub(r'\bid="([^"]+)"', r'id="%s\1"' % mark, svg)
    svg = re.sub(r'xlink:href="#', 'href="#' + mark, svg)
    svg = svg.replace("url(#", "url(#" + mark).replace("xlink:href=", "href=")
    svg = re.sub(r"(font: [^;\"]*?[\d.]+px) [^;\"]+", r"\1 var(--sans)", svg)
    for colour, name in ((INK, "--ink"), (SOFT, "--soft"), (GRID, "--grid")):
        svg = svg.replace(colour, "var(%s)" % name)
    return svg


def log_axis(axis, few=False):
    """Decades as 0.01, 1, 100, 10⁴ instead of mathematical markup."""

    def label(value, _):
        n = round(math.log10(value))
        if abs(value / 10.0**n - 1.0) > 1e-6:
            return ""
        return ("%g" % value) if -3 <= n <= 3 else power_of_ten(n)

    axis.set_major_locator(ticker.LogLocator(base=10.0, numticks=6 if few else 12))
    axis.set_major_formatter(ticker.FuncFormatter(label))
    axis.set_minor_formatter(ticker.NullFormatter())


def thin_out(count, most):
    """Positions of at most `most` of `count` points, the same on every run."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.Generator(np.random.PCG64(1)).choice(count, most, replace=False))


def curve_colours(count):
    if count <= len(SERIES):
        return SERIES[:count]
    return [plt.get_cmap(COLOUR_MAP)(0.1 + 0.75 * k / (count - 1)) for k in range(count)]


# ---- IR-drop -----------------------------------------------------------------------------------------------------------------

def draw_map(figure, axes, values, title, unit):
    shown = values[np.isfinite(values)]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
    constant = high - low <= 1e-12 * max(abs(low), abs(high), 1e-300)
    if constant:
        high = low + max(abs(low), 1.0) * 1e-3
    image = axes.imshow(values, cmap=COLOUR_MAP, norm=Normalize(low, high), aspect="auto", interpolation="nearest",
                        extent=(-0.5, values.shape[1] - 0.5, values.shape[0] - 0.5, -0.5))
    axes.set_title(title)
    axes.set_xlabel("bit line j")
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", pad=0.2, aspect=26, fraction=0.055)
    bar.outline.set_visible(False)
    bar.set_label(unit)
    bar.locator = ticker.FixedLocator([low]) if constant else ticker.MaxNLocator(4)
    bar.update_ticks()


def figure_irdrop(data):
    row, column = data.array("row_voltage_volt"), data.array("column_voltage_volt")
    v_read = data.number("v_read_volt", 1.0)
    drive = data.vector("row_drive") if data.has("row_drive") else np.ones(row.shape[0])
    on = data.vector("row_on") != 0 if data.has("row_on") else np.ones(row.shape[0], bool)
    sign = np.where(drive == 0, 1.0, np.sign(drive))[:, None]
    row_drop = (drive[:, None] * v_read - row) * sign
    cell = (row - column) * sign / v_read
    cell[~on, :] = np.nan
    driven = cell[np.isfinite(cell)]

    panels = [(column * np.where(np.sum(drive) < 0, -1.0, 1.0), "rise along the column wires", "above virtual ground ({}V)"),
              (row_drop, "drop along the row wires", "below the driver ({}V)")]
    figure, axes = plt.subplots(1, 3, figsize=(10.4, 4.1), sharey=True, gridspec_kw={"wspace": 0.09})
    for place, (values, title, unit) in zip(axes[1:], panels):
        factor, prefix = prefix_for(float(np.abs(values).max()))
        if np.abs(values).max() <= 1e-12 * v_read:
            factor, prefix = 1e3, "m"
            place.text(0.5, 0.5, "none: ideal supply" if values is row_drop else "none", transform=place.transAxes, ha="center", va="center",
                       color="#ffffff", fontsize=10)
        draw_map(figure, place, values * factor, title, unit.format(prefix))
    draw_map(figure, axes[0], 100.0 * cell, "voltage left on the cells", "% of the read voltage")
    axes[0].set_ylabel("word line i")
    worst = percent_text(1.0 - driven.min(), 2) if driven.size else "–"
    mean = percent_text(1.0 - driven.mean(), 2) if driven.size else "–"
    caption = ("Steady state of the tile (%d × %d cells, read voltage %s V). On driven rows a cell loses %s of its voltage on average, "
               "%s at worst." % (row.shape[0], row.shape[1], ("%g" % v_read), mean, worst))
    if not np.all(on):
        caption += " Rows without a pulse are left blank in the first map."
    return [(to_svg(figure), caption)]


# ---- waveforms ---------------------------------------------------------------------------------------------------------------

MOST_PULSE_ENDS = 40  # more lines than this are a grey haze


def figure_waveforms(data):
    groups = [("sense_current_ampere", "sense currents", "A"), ("column_voltage_volt", "column nodes", "V"), ("row_voltage_volt", "row nodes", "V")]
    groups = [g for g in groups if data.has(g[0])]
    time = data.vector("time_s")
    ends = data.vector("pulse_end_s") if data.has("pulse_end_s") else np.empty(0)
    factor_t, prefix_t = prefix_for(float(time[-1]))
    figure, axes = plt.subplots(len(groups), 1, figsize=(9.0, 1.0 + 2.1 * len(groups)), sharex=True, squeeze=False,
                                gridspec_kw={"hspace": 0.3})
    for place, (name, title, unit) in zip(axes[:, 0], groups):
        values, labels = data.array(name), data.labels(name + "_labels")
        factor, prefix = prefix_for(float(np.abs(values).max()))
        colours = curve_colours(values.shape[1])
        shown = np.unique(ends)
        if shown.size <= MOST_PULSE_ENDS:
            for end in shown:
                place.axvline(end * factor_t, color=GRID, linewidth=0.6, zorder=0)
        for k in range(values.shape[1]):
            place.plot(time * factor_t, values[:, k] * factor, color=colours[k], linestyle=DASHES[k % len(DASHES)] if values.shape[1] <= 6 else "-",
                       label=labels[k] if k < len(labels) else str(k))
        place.set_title(title)
        place.set_ylabel("%s%s" % (prefix, unit))
        place.grid(False, axis="x")
        place.margins(x=0.01)
        place.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), handlelength=1.8)
    figure.align_ylabels(axes[:, 0])
    axes[-1, 0].set_xlabel("time from the begin of the window (%ss)" % prefix_t)
    caption = "Transient of the full circuit at a few places."
    if 0 < np.unique(ends).size <= MOST_PULSE_ENDS:
        caption += " Vertical lines: pulse ends, where the network changes and the integrator restarts."
    return [(to_svg(figure), caption)]


# ---- fast against full -------------------------------------------------------------------------------------------------------

COMPETITOR_STYLE = {"fast": (BLUE, "-"), "linear_map": (ORANGE, (0, (5, 2))), "column_gain": (GREEN, (0, (1.5, 1.5))),
                    "one_gain": (PURPLE, (0, (6, 2, 1.5, 2))), "ideal": (GREY, "-")}


def charges_of(data, key):
    parts = [data.array(key + "/" + name).reshape(-1) for name in ("charge_plus_coulomb", "charge_minus_coulomb") if data.has(key + "/" + name)]
    return np.concatenate(parts)


def figure_scatter(data, summary):
    full = charges_of(data, "full")
    pick = thin_out(full.size, 4000)
    factor, prefix = prefix_for(float(np.abs(full).max()))
    lsb = summary["lsb_coulomb"]
    names = {one["key"]: one["name"] for one in summary["competitors"]}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.2), gridspec_kw={"wspace": 0.27})
    ends = np.array([full.min(), full.max()]) * factor
    for key in ("ideal", "fast"):
        colour = COMPETITOR_STYLE[key][0]
        left.scatter(full[pick] * factor, charges_of(data, key)[pick] * factor, s=7, color=colour, alpha=0.55, linewidths=0, rasterized=True)
        left.scatter([], [], s=26, color=colour, label=names[key], linewidths=0)
    left.plot(ends, ends, color=INK, linewidth=0.7, zorder=3, label="model = circuit")
    left.set_title("charge of a bit line")
    left.set_ylabel("model (%sC)" % prefix)
    for key in ("column_gain", "linear_map", "fast"):
        colour = COMPETITOR_STYLE[key][0]
        right.scatter(full[pick] * factor, (charges_of(data, key)[pick] - full[pick]) / lsb, s=7, color=colour, alpha=0.55, linewidths=0,
                      rasterized=True)
        right.scatter([], [], s=26, color=colour, label=names[key], linewidths=0)
    right.axhline(0.0, color=SOFT, linewidth=0.8, zorder=0)
    right.set_title("error: model minus circuit")
    right.set_ylabel("error (LSB)")
    for place in (left, right):
        place.set_xlabel("full circuit (%sC)" % prefix)
        place.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), handletextpad=0.4, borderaxespad=0.2)
    kept = "" if pick.size == full.size else " %s of %s points are drawn." % (number_text(pick.size), number_text(full.size))
    which = "held-out vectors, which no fit has seen" if summary["held_out_only"] else "all vectors of the set (none is held out)"
    return to_svg(figure), "Every point is one bit line of one of the %s.%s" % (which, kept)


def figure_error_histogram(data, summary):
    edges = data.vector("error_edges_lsb")
    figure, axes = plt.subplots(figsize=(7.0, 3.4))
    labels = {}
    for one in reversed(summary["competitors"]):
        colour, dash = COMPETITOR_STYLE.get(one["key"], (GREY, "-"))
        counts = data.vector(one["key"] + "/error_counts")
        share = 100.0 * counts / max(one["bit_line"]["count"], 1)
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.30 if one["key"] == "fast" else 0.10, linewidth=0)
        labels[one["key"]] = axes.stairs(share, edges, color=colour, linestyle=dash, linewidth=1.5, label=one["name"])
    axes.set_xscale("log")
    log_axis(axes.xaxis)
    shares = [data.vector(one["key"] + "/error_counts") / max(one["bit_line"]["count"], 1) for one in summary["competitors"]]
    used = np.flatnonzero(np.max(shares, axis=0) > 2e-3)
    if used.size:
        axes.set_xlim(edges[max(used[0] - 1, 0)], edges[min(used[-1] + 2, edges.size - 1)])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("size of the error (LSB)")
    axes.set_ylabel("share of outputs (%)")
    axes.set_title("error histogram")
    axes.legend(handles=[labels[one["key"]] for one in summary["competitors"]], loc="center left", bbox_to_anchor=(1.01, 0.5))
    return to_svg(figure), "Distribution of the error of a bit line, on a logarithmic scale: a curve further left is better by the factor on the axis."


def figure_comparison(data):
    summary = json.loads(data.text("summary_json"))
    return [figure_scatter(data, summary), figure_error_histogram(data, summary)]


# ---- training and accuracy ---------------------------------------------------------------------------------------------------

def figure_training(data):
    loss = data.vector("loss")
    epochs = np.arange(1, loss.size + 1)
    curves = [(n, l, c, m) for n, l, c, m in (("train_accuracy", "training images", GREY, "s"), ("test_accuracy", "test images", BLUE, "o")) if data.has(n)]
    figure, axes = plt.subplots(1, 2 if curves else 1, figsize=(9.6 if curves else 5.2, 3.3), squeeze=False, gridspec_kw={"wspace": 0.25})
    left = axes[0, 0]
    left.plot(epochs, loss, color=ORANGE, marker="o", markersize=4)
    left.set_title("loss")
    left.set_ylabel("mean cross-entropy (nat)")
    if loss.min() > 0 and loss.max() / loss.min() > 20:
        left.set_yscale("log")
        log_axis(left.yaxis)
    else:
        left.set_ylim(bottom=0)
    for name, label, colour, marker in curves:
        axes[0, 1].plot(epochs, 100.0 * data.vector(name), color=colour, marker=marker, markersize=4, label=label)
    if curves:
        axes[0, 1].set_title("accuracy")
        axes[0, 1].set_ylabel("images classified rightly (%)")
        axes[0, 1].legend(loc="lower right")
    for place in axes[0]:
        place.set_xlabel("epoch")
        place.set_xlim(0.5, loss.size + 0.5)
        place.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
    caption = "%d epoch%s of training" % (loss.size, "" if loss.size == 1 else "s")
    if data.has("seconds"):
        caption += " in %s" % time_text(data.number("seconds"))
    caption += "; loss after the last: %s" % number_text(loss[-1], 3)
    if data.has("test_accuracy"):
        caption += "; test accuracy %s" % percent_text(data.vector("test_accuracy")[-1])
    return [(to_svg(figure), caption + ".")]


def figure_accuracy(data):
    labels, value, error = data.labels("labels"), 100.0 * data.vector("accuracy"), 100.0 * data.vector("standard_error")
    count = value.size
    place_y = np.arange(count)[::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 0.9 + 0.42 * count), sharey=True,
                                         gridspec_kw={"wspace": 0.06, "width_ratios": [1.0, 1.5]})
    colours = [GREY] + [BLUE] * (count - 1)
    left.barh(place_y, value, height=0.62, color=colours, alpha=0.85)
    sure = error > 0
    left.errorbar(value[sure], place_y[sure], xerr=error[sure], fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    left.set_xlim(0, 100)
    left.set_yticks(place_y)
    left.set_yticklabels(labels)
    left.set_title("full scale")
    right.errorbar(value[sure], place_y[sure], xerr=error[sure], fmt="none", ecolor=SOFT, elinewidth=1.2, capsize=3)
    right.scatter(value, place_y, s=38, color=colours, zorder=3, linewidths=0)
    for v, e, y in zip(value, error, place_y):
        right.annotate(("%.2f" % v) + (" ± %.2f" % e if e > 0 else ""), (v, y), xytext=(0, 7), textcoords="offset points", ha="center",
                       fontsize=9)
    span = max(float((value + error).max() - (value - error).min()), 0.2)
    right.set_xlim((value - error).min() - 0.25 * span, (value + error).max() + 0.25 * span)
    right.axvline(value[0], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    right.set_title("enlarged, with one standard error" if np.any(sure) else "enlarged")
    for place in (left, right):
        place.set_ylim(-0.6, count - 0.3)
        place.set_xlabel("test accuracy (%)")
        place.grid(False, axis="y")
        place.tick_params(axis="y", length=0)
        place.spines["left"].set_visible(False)
    images = data.number("images", 0)
    caption = "Test accuracy%s. The dashed line is the first entry (%s)." % (" on %s images" % number_text(images) if images else "", labels[0])
    return [(to_svg(figure), caption)]


# ---- read noise --------------------------------------------------------------------------------------------------------------

def figure_read_noise(data):
    time, conductance = data.vector("t_s"), data.vector("g_siemens")
    sigma, error, published = data.array("sigma_siemens"), data.array("sigma_error_siemens"), data.array("published_siemens")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.0), gridspec_kw={"wspace": 0.72, "width_ratios": [1.3, 1.0]})
    colours = curve_colours(conductance.size) if conductance.size > 6 else [plt.get_cmap(COLOUR_MAP)(x) for x in np.linspace(0.08, 0.85, conductance.size)]
    for k in range(conductance.size - 1, -1, -1):
        left.plot(time, 1e6 * published[:, k], color=colours[k], linewidth=1.3)
        left.errorbar(time, 1e6 * sigma[:, k], yerr=1.96e6 * error[:, k], fmt=MARKERS[k % len(MARKERS)], markersize=4.5, color=colours[k],
                      ecolor=colours[k], elinewidth=1.1, capsize=2, label="G = %s µS" % number_text(1e6 * conductance[k], 3))
    low, high = 1e6 * min(sigma.min(), published.min()), 1e6 * max(sigma.max(), published.max())
    anchor = 1e6 * published[0, -1] * 1.12
    white = anchor * np.sqrt(time[0] / time)
    left.plot(time, white, color=SOFT, linewidth=1.0, linestyle=(0, (3, 3)), label="white noise:\nslope −1/2")
    left.set_ylim(0.8 * low, 1.35 * high)
    left.set_title("noise of one cell against integration time")
    left.set_ylabel("standard deviation (µS)")
    left.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=1.4)
    for values, errors, curve, label, colour, marker, scale in (
            ("a", "a_error", "published_a", "slope a (%)", BLUE, "o", 100.0),
            ("b_siemens", "b_error_siemens", "published_b_siemens", "offset b (0.01 µS)", ORANGE, "s", 1e8)):
        if not data.has(values):
            continue
        right.plot(time, scale * data.vector(curve), color=colour, linewidth=1.3)
        right.errorbar(time, scale * data.vector(values), yerr=1.96 * scale * data.vector(errors), fmt=marker, markersize=4.5, color=colour,
                       elinewidth=1.1, capsize=2, label=label)
    right.set_title("the line σ = a G + b")
    right.set_ylim(bottom=0)
    right.legend(loc="upper right")
    for place in (left, right):
        place.set_xscale("log")
        log_axis(place.xaxis)
        place.xaxis.set_major_formatter(ticker.FuncFormatter(lambda t, _: time_text(t)))
        place.set_xlabel("integration time")
    left.set_yscale("log")
    left.yaxis.set_major_locator(ticker.LogLocator(base=10.0, subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: "%g" % v))
    left.yaxis.set_minor_formatter(ticker.NullFormatter())
    caption = "Points: measured on generated noise traces, bars: 95 % confidence; lines: published curves."
    if data.has("devices"):
        caption += " %s traces per conductance." % number_text(data.number("devices"))
    if data.has("spectrum_exponent"):
        caption += " The traces follow a spectrum f to the power −%s plus a white part." % number_text(data.number("spectrum_exponent"), 3)
    if data.has("spectrum_deviation"):
        caption += " The fitted spectrum is within %s of the published σ everywhere." % percent_text(data.number("spectrum_deviation"), 1)
    return [(to_svg(figure), caption)]
