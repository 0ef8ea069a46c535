#!/usr/bin/env python3
"""Writes docs/validation.md from docs/validation.template.md, docs/claims.toml and what commands have left: build/bench/*.json
(scripts/bench.sh), runs/*/results.json (studies, sweeps, the demo), build/validation/tests.json (--tests), build/scorecard.tsv
(scripts/check_all.sh), build/gate.tsv (.ci/run). No number is typed by hand.

    scripts/validation.py [--tests] [--bin DIR] [--bench DIR] [--runs DIR] [--scores DIR] [--out FILE]
"""
import argparse
import fnmatch
import json
import math
import os
import re
import subprocess
import sys
import time

try:
    import tomllib
except ImportError:
    sys.exit("validation: needs Python 3.11 (Debian's /usr/bin/python3)")

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MOST_ROWS = 40
PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def number_text(value):
    if isinstance(value, str):
        return value
    if value == round(value) and abs(value) < 1e6:
        return "%d" % value
    return "%.3g" % value if abs(value) < 1000 else "%.4g" % value


def quantity_text(value, unit):
    if unit == "s" and value > 0:
        factor, prefix = next(((f, p) for f, p in PREFIXES if value >= f), PREFIXES[-1])
        return "%.3g %ss" % (value / factor, prefix)
    if unit == "B" and value > 0:
        factor, prefix = next((f, p) for f, p in LARGE if value >= f)
        return "%.3g %sB" % (value / factor, prefix)
    return ("%s %s" % (number_text(value), unit)).strip()


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def not_measured(command):
    return "not measured here: run `%s`" % command


# ---- sources ------------------------------------------------------------------------------------------------------------------

class Benches:
    def __init__(self, folder):
        self.reports = {}
        for name in ("circuit", "tilemodel", "device", "nn"):
            path = os.path.join(folder, name + ".json")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as source:
                    self.reports[name] = json.load(source)
        self.shown = set()

    @staticmethod
    def row(figure):
        goal, reached = figure.get("goal"), figure.get("reached") or {}
        unit = reached.get("unit", "")
        goal_text = "%s %s" % (goal["direction"], quantity_text(goal["value"], unit)) if goal else "shown"
        value = reached.get("value")
        text = quantity_text(value, unit) if isinstance(value, (int, float)) and math.isfinite(value) else "-"
        text = figure.get("failure") or figure.get("skipped") or text
        if figure.get("note") and not figure.get("skipped"):
            text += " (%s)" % figure["note"]
        return [figure["figure"], goal_text, text, figure["verdict"], "`%s`" % figure["command"]]

    def rows(self, claim):
        name, pattern = claim["bench"], claim["figure"]
        figures = self.reports.get(name, {}).get("figures", [])
        found = [f for f in figures if fnmatch.fnmatchcase(f["figure"], pattern) and (name, id(f)) not in self.shown]
        for figure in found:
            self.shown.add((name, id(figure)))
        if found:
            return [self.row(f) for f in found if f["verdict"] != "test"]
        return [] if any(fnmatch.fnmatchcase(f["figure"], pattern) for f in figures) else [
            [claim["text"] or pattern.replace("*", " ... ").strip(" ."), claim.get("goal", ""), not_measured("scripts/bench.sh " + name), "", ""]]

    def sources(self):
        return ["`scripts/bench.sh %s`%s: %s, %s, %s" % (n, " (quick)" if r.get("quick") else "", r["date"], r["machine"]["processor"],
                                                       r["machine"]["cores"] + " cores") for n, r in sorted(self.reports.items())]


class Runs:
    def __init__(self, folder):
        self.folder = folder
        self.used = {}

    def results(self, run):
        if run not in self.used:
            path = os.path.join(self.folder, run, "results.json")
            self.used[run] = None
            if os.path.exists(path):
                with open(path, encoding="utf-8") as source:
                    self.used[run] = json.load(source)
        return self.used[run]

    def value(self, claim):
        results = self.results(claim["run"])
        if results is None:
            return None
        if "headline" in claim:
            found = [h for h in results["headline"] if h["label"] == claim["headline"]]
            return found[0]["value"] if found else None
        for table in results["tables"]:
            if table["title"] != claim["table"] or claim["column"] not in table["columns"]:
                continue
            for row in table["rows"]:
                if all(k in table["columns"] and row[table["columns"].index(k)] == v for k, v in claim.get("row", {}).items()):
                    return row[table["columns"].index(claim["column"])]
        return None

    def rows(self, claim):
        value = self.value(claim)
        goal = claim.get("goal", "")
        if value is None:
            return [[claim["text"], goal, not_measured(claim["make"]), "", ""]]
        return [[claim["text"], goal, number_text(value), verdict(goal, value), "`%s`" % claim["make"]]]

    def tables(self, run, command):
        """All that a study says, small tables alone."""
        results = self.results(run)
        if results is None:
            return "*" + not_measured(command) + "*\n"
        out = ["`%s`" % command, ""]
        if results["headline"]:
            out += ["; ".join("%s: **%s**%s" % (h["label"], h["value"], " (%s)" % h["note"] if h["note"] else "") for h in results["headline"]), ""]
        for table in results["tables"]:
            if len(table["rows"]) > MOST_ROWS:
                out += ["*%s*: %d rows, in `%s/results.json`." % (table["title"], len(table["rows"]), "runs/" + run), ""]
                continue
            out += ["**%s**" % table["title"], "", markdown_table(table["columns"], [[number_text(c) for c in row] for row in table["rows"]])]
            if table["caption"]:
                out += ["", table["caption"]]
            out.append("")
        return "\n".join(out)


def verdict(goal, value):
    """met or missed, where the goal is a bound and the value begins with a number."""
    bound = re.match(r"(<=|>=)\s*([-+0-9.e]+)", goal)
    number = re.match(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)", str(value))
    if not bound or not number:
        return ""
    a, b = float(number.group(1)), float(bound.group(2))
    return "met" if (a <= b if bound.group(1) == "<=" else a >= b) else "missed"


class Tests:
    def __init__(self, path):
        self.path, self.known = path, {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as source:
                self.known = json.load(source)

    @staticmethod
    def command(claim):
        return claim["test"] + (' "%s"' % claim["case"] if claim["case"] else "")

    def run(self, claim, folder):
        program = os.path.join(folder, claim["test"])
        if not os.access(program, os.X_OK):
            return
        case = claim["case"] if claim["case"].startswith("[") else claim["case"].replace(",", "\\,")
        start = time.monotonic()
        done = subprocess.run([program] + ([case] if case else []), capture_output=True, text=True, cwd=SOURCE)
        last = [line for line in done.stdout.strip().splitlines() if line.strip()][-1:] or ["no output"]
        known = "No tests ran" not in done.stdout and "No test cases matched" not in done.stdout + done.stderr
        self.known[self.command(claim)] = {"passed": done.returncode == 0 and known, "last_line": last[0],
                                           "seconds": round(time.monotonic() - start, 1), "date": time.strftime("%Y-%m-%d")}

    def write(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path + ".new", "w", encoding="utf-8") as out:
            json.dump(self.known, out, indent=1)
        os.replace(self.path + ".new", self.path)

    def rows(self, claim):
        command = "`%s`" % self.command(claim)
        known = self.known.get(self.command(claim))
        if known is None:
            return [[claim["text"], claim["goal"], "asserted; not run here", "", command]]
        counts = re.search(r"(\d+) assertions? in (\d+) test case", known["last_line"])
        text = "asserted%s" % (", %s checks" % counts.group(1) if counts else "")
        return [[claim["text"], claim["goal"], text, "passes" if known["passed"] else "**fails**", command]]


class Scores:
    """Lines of scripts/check_all.sh and .ci/run: what, bar, reached, verdict, seconds."""
    def __init__(self, folder):
        self.lines = []
        for name in ("scorecard.tsv", "gate.tsv"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as source:
                    self.lines += [line.rstrip("\n").split("\t") for line in source]

    def rows(self, claim):
        for what, bar, reached, verdict_text, _ in self.lines:
            if what == claim["score"]:
                return [[claim["text"], bar, reached, "met" if verdict_text == "ok" else verdict_text, "`%s`" % claim["make"]]]
        return [[claim["text"], claim.get("goal", ""), not_measured(claim["make"]), "", ""]]

    def table(self):
        lines = [line for line in self.lines if line[0] != "the gate"]
        return markdown_table(["what", "bar", "reached", "", "seconds"], lines) if lines else "*" + not_measured("scripts/check_all.sh") + "*\n"


# ---- the page -----------------------------------------------------------------------------------------------------------------

def markdown_table(columns, rows):
    lines = ["| %s |" % " | ".join(map(cell, columns)), "|%s" % ("---|" * len(columns))]
    return "\n".join(lines + ["| %s |" % " | ".join(map(cell, row)) for row in rows])


def claim_rows(claim, benches, runs, tests, scores):
    if "score" in claim:
        return scores.rows(claim)
    if "bench" in claim:
        return benches.rows(claim)
    if "run" in claim:
        return runs.rows(claim)
    if "test" in claim:
        return tests.rows(claim)
    return [[claim["text"], claim.get("goal", ""), not_measured(claim["command"]), "", ""]]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tests", action="store_true", help="run the assertions that are named (minutes)")
    options.add_argument("--bin", default=os.path.join(SOURCE, "build/release/bin"), help="folder of the test programs")
    options.add_argument("--bench", default=os.path.join(SOURCE, "build/bench"), help="folder of the bench tables")
    options.add_argument("--runs", default=os.path.join(SOURCE, "runs"), help="folder of the run folders")
    options.add_argument("--scores", default=os.path.join(SOURCE, "build"), help="folder of scorecard.tsv (scripts/check_all.sh) and gate.tsv (.ci/run)")
    options.add_argument("--out", default=os.path.join(SOURCE, "docs/validation.md"))
    given = options.parse_args()
    with open(os.path.join(SOURCE, "docs/claims.toml"), "rb") as source:
        claims = tomllib.load(source)["claim"]
    with open(os.path.join(SOURCE, "docs/validation.template.md"), encoding="utf-8") as source:
        page = source.read()
    benches, runs, tests = Benches(given.bench), Runs(given.runs), Tests(os.path.join(SOURCE, "build/validation/tests.json"))
    scores = Scores(given.scores)
    if given.tests:
        for claim in claims:
            if "test" in claim:
                tests.run(claim, given.bin)
                tests.write()

    sections = {}
    for claim in claims:
        sections.setdefault(claim["section"], []).extend(claim_rows(claim, benches, runs, tests, scores))

    def fill(match):
        kind, *rest = match.group(1).split("|")
        rest = [r.strip() for r in rest]
        if kind.strip() == "claims":
            return markdown_table(["claim", "goal", "reached", "", "command"], sections.pop(rest[0]))
        if kind.strip() == "results":
            return runs.tables(rest[0], rest[1])
        if kind.strip() == "scorecard":
            return scores.table()
        if kind.strip() == "sources":
            return "\n".join("* " + s for s in benches.sources()) or "* no bench tables here"
        sys.exit("validation: the template asks for \"%s\", which is not known" % match.group(1))

    page = re.sub(r"<!-- fill: (.*?) -->", fill, page)
    if sections:
        sys.exit("validation: the template has no place for the claims of: " + ", ".join(sorted(sections)))
    with open(given.out + ".new", "w", encoding="utf-8") as out:
        out.write(page)
    os.replace(given.out + ".new", given.out)
    missing = page.count("not measured here") + page.count("not run here")
    print("%s: %d lines without a value in this checkout" % (os.path.relpath(given.out), missing))


if __name__ == "__main__":
    main()
