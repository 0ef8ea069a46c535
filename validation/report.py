# The report script, part 4: the page.

class Section:
    def __init__(self, key, title, file, kind, draw, lead, missing):
        self.key, self.title, self.file, self.kind, self.draw, self.lead, self.missing = key, title, file, kind, draw, lead, missing

    def is_in(self, folder):
        path = os.path.join(folder, self.file)
        return os.path.exists(path) and kind_of(path) == self.kind


SECTIONS = [
    Section("irdrop", "IR-drop over the tile", "irdrop.h5", "node-voltages", figure_irdrop,
            "Current through the wires costs voltage: cells far from their driver and sense see less than the read voltage.",
            "node voltages of a steady state"),
    Section("waveforms", "Inside one product", "waveforms.h5", "waveforms", figure_waveforms,
            "Pulses start together and end one after the other; each end changes the currents of every column it feeds.",
            "waveforms of a transient simulation"),
    Section("comparison", "Fast model against full circuit", "comparison.h5", "comparison", figure_comparison,
            "The same vectors through both. A fast model is worth its name only if it beats the ideal product with fitted gains and the best "
            "linear map.", "the comparison of fast model and circuit"),
    Section("read_noise", "Read noise", "read_noise.h5", "read-noise-study", figure_read_noise,
            "Noise of a memory cell is correlated in time: longer integration helps, but far less than for white noise.",
            "the study of read noise against integration time"),
    Section("training", "Training", "training.h5", "training", figure_training, "", "the course of the training"),
    Section("accuracy", "Accuracy on tiles", "accuracy.h5", "accuracy", figure_accuracy,
            "The trained network, from exact arithmetic to tiles with their wires, converters and devices.", "accuracies on tiles"),
    Section("sweep", "The sweep", "sweep.h5", "sweep", figure_sweep, "", ""),
]


ERROR_TABLE = "Error against the full circuit"  # title of comparison_table()


def escape(text):
    return html.escape(str(text), quote=True)


def source_line(file, command):
    line = "Data: <code>%s</code>" % escape(file)
    if command:
        line += " · Command: <code>%s</code>" % escape(command)
    return '<span class="source">%s</span>' % line


def figure_html(svg, caption, file, command):
    # plain text for those who cannot see the picture: the caption
    return '<figure role="group" aria-label="%s">\n%s\n<figcaption>%s%s</figcaption>\n</figure>\n' % (
        escape(caption), svg, escape(caption), source_line(file, command))


MOST_ROWS_IN_SIGHT = 40
MOST_COLUMNS = 10  # from there on in smaller type


def is_number(cell):
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def reads_as_number(cell):
    return is_number(cell) or (isinstance(cell, str) and re.fullmatch(r"-|[-−]?\d+(\.\d*)?(e[-+]?\d+)?", cell) is not None)


def table_html(table, command, file="results.json", strong_row=None):
    numeric = [bool(table["rows"]) and all(is_number(row[k]) for row in table["rows"]) for k in range(len(table["columns"]))]
    aligned = [bool(table["rows"]) and all(reads_as_number(row[k]) for row in table["rows"]) for k in range(len(table["columns"]))]
    whole = [n and all(row[k] == round(row[k]) for row in table["rows"]) for k, n in enumerate(numeric)]
    out = ['<div class="table"><table%s>' % (' class="wide"' if len(table["columns"]) > MOST_COLUMNS else "")]
    if table.get("title"):
        out.append("<caption>%s</caption>" % escape(table["title"]))
    out.append("<thead><tr>%s</tr></thead><tbody>" % "".join(
        '<th scope="col"%s>%s</th>' % (' class="right"' if n else "", escape(c)) for c, n in zip(table["columns"], aligned)))
    for r, row in enumerate(table["rows"]):
        cells = []
        for k, cell in enumerate(row):
            text = number_text(cell, whole=whole[k] or not numeric[k]) if is_number(cell) else escape(cell)
            tag = "th scope=\"row\"" if k == 0 and not aligned[0] else "td"
            cells.append("<%s%s>%s</%s>" % (tag, ' class="right"' if aligned[k] else "", text, tag.split()[0]))
        out.append("<tr%s>%s</tr>" % (' class="ours"' if r == strong_row else "", "".join(cells)))
    out.append("</tbody></table>")
    note = escape(table.get("caption", ""))
    if len(table["rows"]) > MOST_ROWS_IN_SIGHT:
        out.insert(0, "<details><summary>%s: %d rows</summary>" % (escape(table.get("title") or "Table"), len(table["rows"])))
        return "".join(out) + '<p class="note">%s%s</p></div></details>\n' % (note, source_line(file, table.get("command") or command))
    out.append('<p class="note">%s%s</p></div>\n' % (note, source_line(file, table.get("command") or command)))
    return "".join(out)


def comparison_extras(data, command, tables):
    """The table of errors and the sentence on speed, from the file itself; left out when the run's tables have them."""
    summary = json.loads(data.text("summary_json"))
    drop, timing = summary["ir_drop"], summary["timing"]
    text = "Wires take %s of the charge on average, %s at worst." % (percent_text(drop["mean_loss"]), percent_text(drop["max_loss"]))
    text += " The fast model needs %s per vector of %d inputs and %d columns" % (
        time_text(timing["fast_seconds_per_vector"]), summary["rows"], summary["cols"])
    if "speed_up" in timing:
        text += ", the circuit %s: <strong>%s times</strong> as long" % (time_text(timing["circuit_seconds_per_vector"]),
                                                                          number_text(float("%.3g" % timing["speed_up"])))
    worst = summary["worst"]
    text += ". Its largest error is at vector %d, column %d, %s array." % (worst["vector"], worst["column"], worst["array"])
    out = "<p>%s</p>\n" % text
    if summary["note"]:
        out += '<p class="warn">%s</p>\n' % escape(summary["note"])
    if any(t.get("section") == "comparison" and t.get("title") == ERROR_TABLE for t in tables):
        return out
    return out + table_html(json.loads(data.text("table_json")), command, "comparison.h5", 0)


def accuracy_extras(data, command, tables):
    if any(t.get("section") == "accuracy" for t in tables):
        return ""
    rows = [[label, 100.0 * a, 100.0 * e, r] for label, a, e, r in zip(
        data.labels("labels"), data.vector("accuracy"), data.vector("standard_error"), data.vector("repetitions"))]
    return table_html({"title": "Test accuracy", "rows": rows, "columns": ["network on", "accuracy (%)", "standard error (%)", "repetitions"]},
                      command, "accuracy.h5")


EXTRAS = {"comparison": comparison_extras, "accuracy": accuracy_extras}


def section_html(section, folder, command, tables):
    body = extras = pictures = ""
    if section.is_in(folder):
        data = DataFile(os.path.join(folder, section.file))
        if data.text("description"):
            body += "<p>%s</p>\n" % escape(data.text("description"))
        extras = EXTRAS[section.key](data, command, tables) if section.key in EXTRAS else ""
        files = section.file + (", published.csv" if section.key == "sweep" and os.path.exists(os.path.join(folder, "published.csv")) else "")
        pictures = "".join(figure_html(svg, caption, files, command) for svg, caption in section.draw(data))
    own = "".join(table_html(table, command, strong_row=0 if table.get("title") == ERROR_TABLE else None)
                  for table in tables if table.get("section") == section.key)
    # of the comparison the numbers come first
    body += extras + own + pictures if section.key == "comparison" else pictures + extras + own
    if not body:
        return ""
    lead = "<p>%s</p>\n" % escape(section.lead) if section.lead else ""
    return '<section>\n<h2 id="%s">%s</h2>\n%s%s</section>\n' % (section.key, escape(section.title), lead, body)


def headline_html(items):
    if not items:
        return ""
    out = "".join('<div><dt>%s</dt><dd class="value">%s</dd>%s</div>\n' % (
        escape(i["label"]), escape(i["value"]), '<dd class="note">%s</dd>' % escape(i["note"]) if i.get("note") else "") for i in items)
    return '<dl class="headline">\n%s</dl>\n' % out


def facts_html(manifest, command):
    facts = []
    if manifest:
        facts = [("crosstile", manifest.get("version")), ("seed", manifest.get("seed")), ("built for", manifest.get("instruction_set"))]
        if not manifest.get("complete", True) and manifest.get("files") is not None:
            facts.append(("state", "when this page was made the run was still going on"))
    items = "".join("<li>%s <b>%s</b></li>" % (escape(k), escape(v)) for k, v in facts if v not in (None, ""))
    out = '<ul class="facts">%s</ul>\n' % items if items else ""
    return ('<p><code>%s</code></p>\n' % escape(command) if command else "") + out


def provenance_html(manifest, folder):
    if not manifest:
        return ""
    out = '<section>\n<h2 id="provenance">Provenance</h2>\n<p>This page was made from the files of the run folder alone; the same command with '
    out += "the same configuration and seed makes the same numbers (times apart).</p>\n"
    if manifest.get("files"):
        rows = [[name, digest] for name, digest in sorted(manifest["files"].items()) if name != "report.html"]
        out += "<details><summary>%d files with their XXH3-128 hashes</summary>%s</details>\n" % (
            len(rows), table_html({"columns": ["file", "hash"], "rows": rows}, "", "manifest.json"))
    if manifest.get("config_toml"):
        out += "<details><summary>Configuration</summary><pre>%s</pre></details>\n" % escape(manifest["config_toml"])
    return out + "</section>\n"


def is_run(folder):
    """Of `crosstile run`; other folders of results have no parts that could be missing."""
    if any(s.is_in(folder) for s in SECTIONS if not s.missing):
        return False
    command = (read_json(folder, "manifest.json") or {}).get("command", "")
    return (command.startswith("crosstile run") or not os.path.exists(os.path.join(folder, "results.json"))
            or any(s.is_in(folder) for s in SECTIONS))


def missing_html(folder):
    if not is_run(folder):
        return ""
    gone = [(s.file, s.missing) for s in SECTIONS if s.missing and not s.is_in(folder)]
    gone += [(n, w) for n, w in (("results.json", "the run's tables"), ("manifest.json", "what made this run: command, configuration, seed"))
             if not os.path.exists(os.path.join(folder, n))]
    if not gone:
        return ""
    items = "".join("<li>%s (<code>%s</code>)</li>" % (escape(what), escape(file)) for file, what in gone)
    return '<section>\n<h2 id="missing">Not in this run</h2>\n<ul class="missing">%s</ul>\n</section>\n' % items


PICTURE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def data_beside(folder, name):
    """The files a picture was made from: those of its name, else all tables of the folder."""
    stem = os.path.splitext(name)[0]
    there = [stem + end for end in (".csv", ".h5") if os.path.exists(os.path.join(folder, stem + end))]
    return ", ".join(there) or "results.json"


def picture_files_html(folder, command):
    """Pictures that a study left beside its results, as they are. As images, so that nothing in them can run."""
    out = ""
    for name in sorted(os.listdir(folder)):
        kind = PICTURE_TYPES.get(os.path.splitext(name)[1].lower())
        if not kind or not os.path.isfile(os.path.join(folder, name)):
            continue
        with open(os.path.join(folder, name), "rb") as source:
            content = source.read()
        # a picture that does not know of dark pages keeps its white ground
        plain = "" if b"prefers-color-scheme" in content else ' class="plain"'
        out += '<figure><img%s alt="%s" src="data:%s;base64,%s">\n<figcaption>%s%s</figcaption></figure>\n' % (
            plain, escape(name), kind, base64.b64encode(content).decode("ascii"), "<code>%s</code>" % escape(name),
            source_line(data_beside(folder, name), command))
    return '<section>\n<h2 id="pictures">Pictures</h2>\n%s</section>\n' % out if out else ""


def page_html(folder):
    manifest, results = read_json(folder, "manifest.json"), read_json(folder, "results.json") or {}
    tables = results.get("tables", [])
    command = (manifest or {}).get("command", "") or next((t["command"] for t in tables if t.get("command")), "")
    title = results.get("title") or "crosstile run"
    known = {s.key for s in SECTIONS}
    bodies = [(s.key, s.title, section_html(s, folder, command, tables)) for s in SECTIONS]
    # the pictures of a study come first; beside those that are drawn here they are an addition
    drawn = any(s.is_in(folder) for s in SECTIONS)
    bodies.insert(len(bodies) if drawn else 0, ("pictures", "Pictures", picture_files_html(folder, command)))
    loose = [t for t in tables if t.get("section") not in known]
    if loose:
        bodies.append(("tables", "Further tables", '<section>\n<h2 id="tables">Further tables</h2>\n%s</section>\n' %
                       "".join(table_html(t, command) for t in loose)))
    bodies.append(("provenance", "Provenance", provenance_html(manifest, folder)))
    bodies.append(("missing", "Not in this run", missing_html(folder)))
    bodies = [b for b in bodies if b[2]]
    contents = "".join('<li><a href="#%s">%s</a></li>' % (key, escape(name)) for key, name, _ in bodies)
    return "".join([
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>%s</title>\n<style>\n%s</style>\n</head>\n' % (
            escape(title), STYLE),
        '<body>\n<main>\n<header>\n<h1>%s</h1>\n%s</header>\n' % (escape(title), facts_html(manifest, command)),
        headline_html(results.get("headline", [])),
        '<nav aria-label="Contents"><ul>%s</ul></nav>\n' % contents,
        "".join(body for _, _, body in bodies),
        '<footer>Pictures by matplotlib %s. This page needs no network.</footer>\n</main>\n</body>\n</html>\n' % escape(matplotlib.__version__),
    ])


def main(folder, page):
    text = page_html(folder)
    with open(page, "w", encoding="utf-8") as out:
        out.write(text)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
