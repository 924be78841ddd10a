# SPDX-License-Identifier: MIT
"""Rules about every file: licence line, words, glossary, Markdown, documented commands."""
import json
import os
import re

from tree import Finding, rule

UNFINISHED = (r"\b(?:TODO|FIXME|XXX|HACK)\b|"
              r"(?i:\b(?:stub|stubs|stubbed|dummy|dummies|placeholder)\b)")
# The rules themselves, and the text that explains them, have to spell what they forbid.
SPELLS = ("tests/tidy/", "docs/STYLE.md", "docs/glossary.md")
PAGES_WITH_COMMANDS = ("README.md", "CONTRIBUTING.md", "docs/HACKING.md")


@rule("spdx", "every source file starts with its licence line")
def check_spdx(t):
    for file in t.files:
        if not (file.is_c or file.is_script or file.path.endswith((".def", ".map"))):
            continue
        first = 2 if file.text.startswith("#!") else 1
        if "SPDX-License-Identifier: MIT" not in "\n".join(file.lines[:first]):
            yield Finding("spdx", file.path, 1, "no SPDX-License-Identifier line")


@rule("readme", "every folder has a README.md")
def check_readme(t):
    folders = set()
    for file in t.files:
        folder = file.folder
        while folder:
            folders.add(folder)
            folder = os.path.dirname(folder)
    for folder in sorted(folders):
        if folder.startswith(".") or "/corpus" in folder:
            continue
        # A peer of the bench is described by the same few lines each: its peer.toml.
        described = folder.startswith("bench/peers/") and t.exists(
            os.path.join(folder, "peer.toml"))
        if not described and not t.exists(os.path.join(folder, "README.md")):
            yield Finding("readme", folder, 1, "no README.md")


def search_lines(t, name, pattern, says, besides=()):
    for file in t.files:
        if file.path.startswith(SPELLS) or file.is_in(*besides):
            continue
        for number, line in enumerate(file.lines, 1):
            found = re.search(pattern, line)
            if found:
                yield Finding(name, file.path, number, says % found.group(0))


@rule("unfinished", "no words of unfinished work")
def check_unfinished(t):
    yield from search_lines(t, "unfinished", UNFINISHED, "the word %s")


def names_peers(t, finding):
    """In README.md's table of figures, which calls peers by the names that their authors gave them,
    as bench/peers and bench/results do."""
    before = "\n".join(t.get(finding.path).lines[:finding.line])
    return before.count("<!-- performance: ") > before.count("<!-- performance end")


@rule("glossary", "the words of docs/glossary.md, not their rejected synonyms")
def check_glossary(t):
    table = t.get("docs/glossary.md")
    if table is None:
        yield Finding("glossary", "docs/glossary.md", 1, "missing")
        return
    banned = []
    for line in table.lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and not set(cells[0]) <= set("- ") and cells[0] != "word":
            banned += [(word.strip(), cells[0]) for word in cells[2].split(",") if word.strip()]
    for word, instead in banned:
        pattern = r"(?i)\b%s(?:s|es)?\b" % re.escape(word)
        for finding in search_lines(t, "glossary", pattern, "%%s: the word is %s" % instead,
                                    ["bench/peers", "bench/results"]):
            if not names_peers(t, finding):
                yield finding


@rule("blanks", "no tabs in C, no blanks at the end of a line, a line feed at the end of a file")
def check_blanks(t):
    for file in t.files:
        if file.text and not file.text.endswith("\n"):
            yield Finding("blanks", file.path, len(file.lines), "no line feed at the end")
        for number, line in enumerate(file.lines, 1):
            if line != line.rstrip() or (file.is_c and "\t" in line):
                yield Finding("blanks", file.path, number, "blanks at the end, or a tab")


def anchor(heading):
    heading = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


def outside_fences(lines):
    fenced = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


@rule("links", "links in Markdown lead somewhere")
def check_links(t):
    for file in t.files:
        if not file.path.endswith(".md"):
            continue
        for number, line in outside_fences(file.lines):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, part = target.partition("#")
                whole = os.path.normpath(os.path.join(file.folder, path)) if path else file.path
                other = t.get(whole)
                if not t.exists(whole) or whole.startswith(".."):
                    yield Finding("links", file.path, number, "%s is not there" % target)
                elif part and other and part not in [
                        anchor(text.lstrip("#")) for _, text in outside_fences(other.lines)
                        if text.startswith("#")]:
                    yield Finding("links", file.path, number, "no heading for #%s" % part)


def commands(file):
    """(line number, command line) of the fenced shell examples of a page."""
    shell = False
    for number, line in enumerate(file.lines, 1):
        if line.startswith("```"):
            shell = line[3:].strip() == "sh"
        elif shell and line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def presets(t):
    file = t.get("CMakePresets.json")
    return [p["name"] for p in json.loads(file.text)["configurePresets"]] if file else []


def missing_parts(t, command):
    """What a documented command names that does not exist."""
    makefile = t.get("Makefile")
    targets = re.findall(r"^([\w-]+):", makefile.text, flags=re.M) if makefile else []
    for name in re.findall(r"\bmake ([a-z][\w-]*)(?![\w=])", command):
        if name not in targets:
            yield "make " + name
    for name in re.findall(r"--preset[= ](\w+)", command):
        if name not in presets(t):
            yield "preset " + name
    folders = "scripts|tests|bench|examples|tools|src|docs"
    for path in re.findall(r"(?:^|[\s./])((?:%s)/[\w./-]+)" % folders,
                           re.sub(r"build/\S+", "", command)):
        if not t.exists(path):
            yield path


@rule("commands", "documented commands exist")
def check_commands(t):
    for path in PAGES_WITH_COMMANDS:
        file = t.get(path)
        if file is None:
            yield Finding("commands", path, 1, "the page is missing")
            continue
        for number, command in commands(file):
            for what in missing_parts(t, command):
                yield Finding("commands", path, number, "%s does not exist" % what)
