# SPDX-License-Identifier: MIT
"""The performance table of README.md, from one committed result of `weft bench --json`.

In README.md it stands between two comments; the first names the result, or `none`:

    <!-- performance: bench/results/NAME.json -->
    <!-- performance end -->
"""
import json
import math
import os
import re

BLOCK = r"(<!-- performance: (\S+) -->\n)(.*?)(<!-- performance end -->\n)"
STEPS = {"ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")),
         "bytes": ((2 ** 30, "GiB"), (2 ** 20, "MiB"), (2 ** 10, "KiB"), (1, "B"))}
RATES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))


class Unfit(Exception):
    """The result that README.md names can't be quoted; the text says why."""


def three_digits(value):
    if value == 0:
        return "0"
    value = float("%.3g" % value)
    return "%.*f" % (min(6, max(0, 2 - math.floor(math.log10(abs(value))))), value)


def with_unit(value, unit):
    """As the page of a result writes it: scaled to where three digits say it."""
    steps = STEPS.get(unit, RATES)
    scale, name = next((s for s in steps if float("%.3g" % value) >= s[0]), steps[-1])
    if unit not in STEPS:
        name += unit[1:] if unit.startswith("1/") else " " + unit
    return "%s %s" % (three_digits(value / scale), name)


def verdict(cell):
    """A range of rounds that holds 1 has no winner."""
    if cell["ratio_low"] > 1:
        return "ahead"
    return "**behind**" if cell["ratio_high"] < 1 else "no clear winner"


def plain(text):
    """For a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def row(cell, names):
    medians = {one["peer"]: one["median"] for one in cell["results"]}
    return "| %s | %d | %s | %s, %s | %s (%s … %s) | %s |" % (
        plain(cell.get("about") or cell["workload"]), cell["threads"],
        with_unit(medians[cell["weft"]], cell["unit"]),
        with_unit(medians[cell["best_peer"]], cell["unit"]), plain(names[cell["best_peer"]]),
        three_digits(cell["ratio"]), three_digits(cell["ratio_low"]),
        three_digits(cell["ratio_high"]), verdict(cell))


def fingerprint(result):
    """Machine, noise and versions: what the figures depend on."""
    machine, noise, weft = result["machine"], result["noise"], result["weft"]
    where = [machine["cpu"], "%d processors" % machine["processors"],
             with_unit(machine["memory_bytes"], "bytes"), "Linux " + machine["kernel"]]
    where += [machine["virtual"]] if machine.get("virtual") else []
    peers = ["%s %s" % (plain(p["name"]), p["version"]) for p in result["peers"]
             if p["status"] == "ok" and not p["id"].startswith("weft") and not p.get("control")]
    return ("%s, weft %s (%s), %s. %s. Of %d samples %d stayed noisy; the host took %s %% of the "
            "time. Peers: %s." % (result["started"][:10], weft["version"], weft["commit"],
                                  weft["compiler"], ", ".join(where), noise["samples"],
                                  noise["noisy_samples"], three_digits(100 * noise["steal_share"]),
                                  ", ".join(peers).strip()))


def table(result, path):
    """The lines of the table, or Unfit."""
    if result.get("format") != "weft-bench/1":
        raise Unfit("%s is no result of weft bench --json" % path)
    if result["noise"]["noisy"] or result.get("partial"):
        raise Unfit("%s is marked as noisy or partial: such a run is not quoted" % path)
    names = {peer["id"]: peer["name"] for peer in result["peers"]}
    cells = [cell for cell in result["cells"] if cell.get("ratio") is not None]
    if not cells:
        raise Unfit("%s compares nothing" % path)
    return ["## How fast it is", "", "weft beside the best of its peers, all replaying the same "
            "operations, each in a process of its own, in turns.",
            "A ratio above 1 is in weft's favour; in brackets the least and the greatest round.",
            "",
            "| workload | threads | weft | best peer | ratio | weft is |",
            "|---|--:|--:|--:|--:|---|"] + [row(cell, names) for cell in cells] + [
                "", fingerprint(result), "", "`weft bench` measures it again; every sample is in "
                "[%s](%s), and `weft bench report` draws it." % (os.path.basename(path), path), ""]


def fill(text, root):
    """README.md's text with the table that its result gives."""
    found = re.search(BLOCK, text, flags=re.S)
    if not found:
        raise Unfit("README.md has no line '<!-- performance: FILE -->' with an end")
    lines = []
    if found.group(2) != "none":
        try:
            with open(os.path.join(root, found.group(2)), encoding="utf-8") as stream:
                lines = table(json.load(stream), found.group(2))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unfit("%s: %s: %s" % (found.group(2), type(error).__name__, error)) from error
    inside = "".join(line + "\n" for line in lines)
    return text[:found.start()] + found.group(1) + inside + found.group(4) + text[found.end():]
