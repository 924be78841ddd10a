#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/claims.md, and the picture in it, from one committed result of `weft bench claims --json`,
which the page names:

    <!-- claims: bench/results/NAME.json -->

  claims_page.py RESULT.json   keep this result in bench/results, and write the page from it
"""
import hashlib
import json
import os
import re
import sys

sys.dont_write_bytecode = True

import claims_chart  # noqa: E402
from performance_table import Unfit, plain, three_digits, with_unit  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join("docs", "claims.md")
PICTURE = os.path.join("docs", "claims-shards.svg")
PICTURED = "shards-64"
BLOCK = r"<!-- claims: (\S+) -->\n"
VERDICTS = (("holds", "Claims that hold"), ("in_part", "Claims that hold in part"),
            ("not", "Claims that do not hold here"), ("not_run", "Claims that were not measured"))
SHORT = {"holds": "holds", "in_part": "in part", "not": "**does not hold**", "not_run": "not run"}

HEAD = """\
# Published claims about concurrent maps, measured

What has been written about Go's sync.Map and its alternatives, mostly from Go programs in
production, was measured on other machines, other versions and other maps. `weft bench claims`
repeats each claim as an experiment, with weft's engines and with Go's own types in the same
run, and this page says what came out. It is generated from [one result](%s); each figure is in
it.

How to read it:

* A claim is judged by its direction and its ratio, since absolute figures belong to the machine
  they were taken on. It *holds* if the direction is the same and the ratio within a factor of 2
  of the claimed one, unless its experiment states another rule; it holds *in part* if only one
  of these is so, or if it is so for one of weft and Go only; it *does not hold* if there is no
  difference of 10 %% (or none of a twentieth of the claimed one), or the opposite one. The
  verdict is computed.
* sync.Map is engine `twotier`, which is sync.Map as it was up to Go 1.23. "Go: sync.Map" is the
  one of the Go that was there, since 1.24 another map: a concurrent hash trie without
  promotions. A map under a rwlock is engine `rwlock`, or `map` and sync.RWMutex. `lockfree` is
  weft's default engine, which no claim is about.
* Contenders of a claim take turns in one run, and the figure is the median.
"""

AGAIN = """\
## Measure it again

    make peers                                  # Go's own types, where Go 1.24 or newer is
    build/weft bench claims                     # all, in three minutes at most
    build/weft bench claims --only %s
    build/weft bench claims --json new.json && scripts/claims_page.py new.json

[bench/claims](../bench/claims/README.md) holds the experiments; a comment at each says what
decides its verdict.
"""


def number(value, unit):
    """A figure with its unit, and without one where it is a ratio."""
    if value is None:
        return ""
    return three_digits(value) if unit in ("ratio", "power") else three_digits(value) + " " + unit


def section(claim):
    lines = ["### %s" % claim["id"], "", "> %s" % claim["claim"], "", claim["why"], ""]
    if claim["id"] == PICTURED and claims_chart.svg(claim):
        lines += ["![Writes a second by the number of shards](%s)" % os.path.basename(PICTURE), ""]
    if claim["figures"]:
        lines += ["| | claimed | measured |", "|---|--:|--:|"]
        lines += ["| %s | %s | %s |" % (plain(one["name"]), number(one["claimed"], one["unit"]),
                                        number(one["measured"], one["unit"]))
                  for one in claim["figures"]]
        lines.append("")
    if claim["go"] and not claim["go"].startswith("go1"):
        lines += ["Go's own types: %s." % claim["go"], ""]
    return lines


def fingerprint(result):
    machine, noise, weft = result["machine"], result["noise"], result["weft"]
    where = [machine["cpu"], "%d processors" % machine["processors"],
             with_unit(machine["memory_bytes"], "B"), "Linux " + machine["kernel"]]
    where += [machine["virtual"]] if machine.get("virtual") else []
    versions = sorted({claim["go"] for claim in result["claims"]
                       if (claim["go"] or "").startswith("go1")})
    text = "%s, weft %s (%s), %s, %s; %s." % (
        result["started"][:10], weft["version"], weft["commit"], weft["compiler"],
        " and ".join(versions) or "no Go", ", ".join(where))
    if noise["noisy"]:
        text += (" **Others used the machine meanwhile** (load %s at the beginning; %d of %d "
                 "experiments were disturbed): ratios near a threshold may come out differently "
                 "where it is quiet." % (three_digits(noise["load_before"]),
                                         noise["noisy_samples"], noise["samples"]))
    return text


def page(result, path):
    """The text of docs/claims.md, or Unfit."""
    if result.get("format") != "weft-claims/1":
        raise Unfit("%s is no result of weft bench claims --json" % path)
    if result.get("partial") or result["quick"] or not result["claims"]:
        raise Unfit("%s is partial, quick or empty: such a run is not quoted" % path)
    claims = result["claims"]
    unknown = {claim["verdict"] for claim in claims} - set(SHORT)
    if unknown:
        raise Unfit("%s: unknown verdicts: %s" % (path, " ".join(sorted(unknown))))
    lines = ["<!-- SPDX-License-Identifier: MIT -->", "<!-- claims: %s -->" % path, ""]
    lines += (HEAD % ("../" + path)).split("\n")
    lines += ["## All of them", "", "| claim | verdict |", "|---|---|"]
    lines += ["| [%s](#%s): %s | %s |" % (one["id"], one["id"], plain(one["claim"]),
                                          SHORT[one["verdict"]]) for one in claims]
    lines += ["", fingerprint(result), ""]
    for verdict, title in VERDICTS:
        chosen = [claim for claim in claims if claim["verdict"] == verdict]
        lines += ["## " + title, ""] if chosen else []
        for claim in chosen:
            lines += section(claim)
    return "\n".join(lines + (AGAIN % claims[0]["id"]).split("\n"))


def picture(result):
    """{path: text} of the picture; empty if the result has none."""
    drawn = [claims_chart.svg(claim) for claim in result["claims"] if claim["id"] == PICTURED]
    return {PICTURE: drawn[0]} if drawn and drawn[0] else {}


def pages(text, root):
    """{path: text} of the page, and of its picture, that the result gives which this text names."""
    found = re.search(BLOCK, text)
    if not found:
        raise Unfit("%s has no line '<!-- claims: FILE -->'" % PAGE)
    path = found.group(1)
    try:
        with open(os.path.join(root, path), encoding="utf-8") as stream:
            result = json.load(stream)
        return dict(picture(result), **{PAGE: page(result, path)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unfit("%s: %s: %s" % (path, type(error).__name__, error)) from error


def fill(text, root):
    """The page alone."""
    return pages(text, root)[PAGE]


def name_of(result):
    """bench/results/claims-MACHINE-WHEN.json."""
    machine = result["machine"]
    text = "%s/%s/%s/%s" % (machine["cpu"], machine["processors"],
                            machine["memory_bytes"] >> 20, machine["kernel"])
    when = re.sub(r"[-:Z]", "", result["started"]).replace("T", "-")
    return "bench/results/claims-%s-%s.json" % (hashlib.sha256(text.encode()).hexdigest()[:12],
                                                when)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(sys.argv[1], encoding="utf-8") as stream:
            text = stream.read()
        path = name_of(json.loads(text))
        written = dict(picture(json.loads(text)), **{PAGE: page(json.loads(text), path)})
    except (OSError, ValueError, KeyError, TypeError, Unfit) as error:
        print("%s: %s: %s" % (sys.argv[1], type(error).__name__, error), file=sys.stderr)
        return 3
    for name, content in ((path, text), *sorted(written.items())):
        with open(os.path.join(ROOT, name), "w", encoding="utf-8") as stream:
            stream.write(content)
        print("written: " + name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
