#!/usr/bin/env python3
"""Runs what the documents say: run_snippets.py PROGRAM [--compiler CXX --include DIR...] [--update]

* docs/tutorial.md: every block ```sh run is run in order in one scratch folder, and the block ```text after it must be its output, numbers
  apart (times move with the machine). --update writes the real output into the document instead.
* README.md: the C++ snippet compiles; every `crosstile ...` line names a command and flags that exist. The same for docs/*.md.
* docs/commands.md: the flags and keys of its tables exist in `--help` and in `config --template`.
* docs/theory.md: every part with an equation names tests, and these tests exist.
"""
import argparse
import fnmatch
import glob
import os
import re
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = re.compile(r"^```(\w+)( run)?\n(.*?)^```\n", re.M | re.S)
NUMBER = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?")
problems = []


def read(name):
    with open(os.path.join(SOURCE, name), encoding="utf-8") as source:
        return source.read()


def shape(text):
    """A text without its numbers and its spacing."""
    return [re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip() for line in text.strip().splitlines()]


def run(program, command, folder):
    environment = dict(os.environ, PATH=os.path.dirname(program) + os.pathsep + os.environ["PATH"])
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def check_tutorial(program, update):
    name = "docs/tutorial.md"
    text = read(name)
    blocks = list(BLOCK.finditer(text))
    out, end = "", 0
    with tempfile.TemporaryDirectory(prefix="crosstile-docs-") as folder:
        for link in ("examples", "data"):
            os.symlink(os.path.join(SOURCE, link), os.path.join(folder, link))
        for k, block in enumerate(blocks):
            if not block.group(2):
                continue
            command = block.group(3).strip()
            done = run(program, command, folder)
            if done.returncode != 0:
                problems.append("%s: \"%s\" ends with %d: %s" % (name, command, done.returncode, done.stderr.strip()[-500:]))
                break
            told = blocks[k + 1] if k + 1 < len(blocks) and blocks[k + 1].group(1) == "text" else None
            if told is None:
                continue
            if update:
                out += text[end:told.start(3)] + done.stdout.rstrip() + "\n"
                end = told.end(3)
            elif shape(told.group(3)) != shape(done.stdout):
                problems.append("%s: the output of \"%s\" reads otherwise now:\n%s" % (name, command, done.stdout))
    if update and not problems:
        with open(os.path.join(SOURCE, name), "w", encoding="utf-8") as target:
            target.write(out + text[end:])
    return sum(1 for b in blocks if b.group(2))


def check_cpp(compiler, includes):
    snippets = [b.group(3) for b in BLOCK.finditer(read("README.md")) if b.group(1) == "cpp"]
    for snippet in snippets:
        heads = [line for line in snippet.splitlines() if line.startswith("#include")]
        body = [line for line in snippet.splitlines() if not line.startswith("#include")]
        code = "\n".join(heads + ["int main() {"] + body + ["return static_cast<int>(charge.size() + same.size()); }", ""])
        done = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-I", SOURCE] + [f for i in includes for f in ("-isystem", i)]
                              + ["-x", "c++", "-"], input=code, capture_output=True, text=True)
        if done.returncode != 0:
            problems.append("README.md: the C++ snippet does not compile:\n" + done.stderr[:2000])
    return len(snippets)


class Help:
    def __init__(self, program):
        self.program, self.texts = program, {}

    def of(self, *words):
        if words not in self.texts:
            done = subprocess.run([self.program, *words, "--help"], capture_output=True, text=True)
            self.texts[words] = done.stdout if done.returncode == 0 else None
        return self.texts[words]

    def command_of(self, words):
        """The longest beginning that is a command; None: none."""
        if not words or self.of(words[0]) is None:
            return None
        return tuple(words[:2]) if words[0] == "study" and len(words) > 1 and self.of(*words[:2]) else (words[0],)


def check_line(helps, name, line):
    words = line.split("#")[0].split()
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z-]+", words[0]):
        return 0
    command = helps.command_of(words)
    if command is None:
        problems.append("%s: \"crosstile %s\": there is no command \"%s\"" % (name, line.strip(), words[0]))
        return 1
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", " ".join(words)):
        if flag not in helps.of(*command) and flag not in ("--json", "--quiet", "--help"):
            problems.append("%s: \"crosstile %s\": there is no %s" % (name, line.strip(), flag))
    return 1


def check_lines(helps, name):
    count = 0
    for line in re.findall(r"^\s*(?:\$ )?crosstile (.*)$", read(name), re.M):
        count += sum(check_line(helps, name, part) for part in re.split(r"\|\s*crosstile|&&\s*crosstile", line))
    return count


def check_tables(program, helps):
    """First cells of the tables of commands.md: flags, and keys."""
    template = subprocess.run([program, "config", "--template"], capture_output=True, text=True).stdout
    keys, tables = set(re.findall(r"^#?\s*([a-zA-Z_0-9]+)\s*=", template, re.M)), set(re.findall(r"^#?\s*\[([a-z_.]+)\]", template, re.M))
    section, count = "", 0
    for line in read("docs/commands.md").splitlines():
        if line.startswith("##"):
            section = line.lstrip("# ")
        first = line.split("|")[1] if line.startswith("| `") else ""
        for item in re.findall(r"`([^`]+)`", first):
            if item.startswith("--"):
                count += 1
                if not any(item in (helps.of(c.strip()) or "") for c in section.split(",")):
                    problems.append("docs/commands.md: \"%s\": there is no %s" % (section, item))
            elif section == "Layer kinds" and "..." not in item:
                count += 1
                known = item[1:-1] in tables if item.startswith("[") else item.split(".")[-1] in keys
                if not known:
                    problems.append("docs/commands.md: \"%s\": the template has no %s" % (section, item))
    return count


def check_test_names():
    """Every quoted name behind "Tests:" in theory.md is a test case (or a section); every part with an equation has such a line."""
    names = set()
    for path in glob.glob(os.path.join(SOURCE, "tests", "*", "*.cpp")):
        with open(path, encoding="utf-8") as source:
            for literals in re.findall(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', source.read()):
                names.add("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)))
    text, count = read("docs/theory.md"), 0
    sections = re.split(r"^#{2,3} (.*)$", text, flags=re.M)
    for title, body in zip(sections[1::2], sections[2::2]):
        told = 0
        for paragraph in re.split(r"\n\s*\n", body):
            begin = re.search(r"\*Tests?:\*", paragraph)
            for name in re.findall(r'"([^"]+)"', paragraph[begin.end():].replace("\n", " ")) if begin else []:
                told += 1
                if name not in sections and not any(fnmatch.fnmatchcase(known, name.replace("[", "[[]")) for known in names):
                    problems.append("docs/theory.md: \"%s\": there is no test \"%s\"" % (title, name))
        count += told
        if told == 0 and re.search(r"^ {4}\S.*[=~]", body, re.M):
            problems.append("docs/theory.md: \"%s\" has an equation and names no test" % title)
    return count


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("--compiler")
    options.add_argument("--include", action="append", default=[])
    options.add_argument("--update", action="store_true")
    given = options.parse_args()
    program = os.path.abspath(given.program)
    helps = Help(program)
    counts = [("blocks run", check_tutorial(program, given.update)),
              ("C++ snippets", check_cpp(given.compiler, given.include) if given.compiler else 0),
              ("commands", sum(check_lines(helps, n) for n in ("README.md", "docs/commands.md", "docs/tutorial.md", "docs/file_format.md"))),
              ("flags and keys", check_tables(program, helps)),
              ("tests named", check_test_names())]
    print(", ".join("%d %s" % (n, what) for what, n in counts))
    for what, n in counts:
        if n == 0 and not (what == "C++ snippets" and not given.compiler):
            problems.append("no %s were found: the documents or this test have changed" % what)
    for problem in problems:
        print("FAILED " + problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
