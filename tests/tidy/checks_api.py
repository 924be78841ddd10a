# SPDX-License-Identifier: MIT
"""Rules about the public headers: contract cards, guarantees that tests cite, generated pages."""
import os
import re
import subprocess
import sys

import tree
from tree import Finding, rule

CARD = ["Returns", "Owns", "Threads", "Progress", "Order", "Cost"]
LETTERS = "ABCDEFGH"


def declarations(file):
    """(name, parameters, line, comment before) of each function marked WEFT_API."""
    for found in re.finditer(r"^WEFT_API\b([^;({]*?)(\w+)\s*\(", file.code, flags=re.M):
        close = tree.matching(file.code, found.end() - 1, "(", ")")
        before = file.text[:found.start()].rstrip()
        comment = ""
        if before.endswith("*/"):
            comment = before[before.rfind("/*"):]
        parameters = [tree.parameter_name(p) for p in
                      tree.split_parameters(file.code[found.end():close])]
        yield found.group(2), parameters, file.line_of(found.start()), comment


def card_lines(comment, parameters):
    """The words that open the lines of a card: parameter names, then the headings. A long name may
    stand one blank before its text, as a sentence's first word does; then it has to be a name."""
    words = []
    for line in comment.split("\n")[1:]:
        found = re.match(r" \* (\w+(?:, \w+)*)(?:$| ( *)\S)", line)
        if found and (found.group(2) or found.group(1) in parameters + CARD):
            words += found.group(1).split(", ")
    return words


@rule("cards", "every public function carries its contract card")
def check_cards(t):
    for file in t.c_files("include/weft"):
        for name, parameters, line, comment in declarations(file):
            if not re.match(r"/\* %s — \S" % name, comment):
                yield Finding("cards", file.path, line, "%s: no card that opens with its name" %
                              name)
                continue
            words = card_lines(comment, parameters)
            first = words.index("Returns") if "Returns" in words else len(words)
            headings = [w for w in words[first:] if w in CARD]
            if headings != CARD:
                yield Finding("cards", file.path, line, "%s: the card has %s, not %s" % (
                    name, " ".join(headings) or "nothing", " ".join(CARD)))
            elif words[:first] != parameters:
                yield Finding("cards", file.path, line, "%s: the card names (%s), the prototype "
                              "(%s)" % (name, ", ".join(words[:first]), ", ".join(parameters)))


@rule("guarantees", "each lettered guarantee is cited by the name of a test")
def check_guarantees(t):
    header = t.get("include/weft/map.h")
    if header is None:
        return
    names = set()
    for file in t.c_files("tests"):
        names.update(f.name for f in file.functions)
        names.update(re.findall(r"cmocka_unit_test\w*\((\w+)", file.code))
    for letter in LETTERS:
        pattern = r"(?:^|_)(?:[A-H]*%s[A-H]*)(?:_|$)" % letter
        if re.search(r"^ \*   %s  " % letter, header.text, flags=re.M) and not any(
                re.search(pattern, name) for name in names):
            yield Finding("guarantees", header.path, 1, "no test function cites guarantee %s" %
                          letter)


@rule("generated", "generated pages are those that the headers give")
def check_generated(t):
    script = os.path.join(t.root, "scripts", "gen_docs.py")
    if not os.path.exists(script):
        yield Finding("generated", "scripts/gen_docs.py", 1, "missing")
        return
    done = subprocess.run([sys.executable, script, "--check"], cwd=t.root, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        for line in done.stdout.decode("utf-8", "replace").strip().split("\n"):
            yield Finding("generated", line, 1, "differs from what scripts/gen_docs.py writes")
