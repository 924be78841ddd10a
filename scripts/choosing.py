# SPDX-License-Identifier: MIT
"""docs/choosing.md: from the cards of the engines (src/engine), the rules (src/map/advice.def) and
the newest committed result of `weft advise --check` (bench/results/advise-*.json)."""
import glob
import json
import os
import re

CAPS = (("threads", "several threads", "WEFT_CAP_THREADS"),
        ("lock-free", "no operation waits for another thread", "WEFT_CAP_LOCK_FREE"),
        ("grows", "there is room as long as there is memory", "WEFT_CAP_GROW"),
        ("shrinks", "memory follows the number of entries down", "WEFT_CAP_SHRINK"),
        ("O(n) writes", "a write copies the table", "WEFT_CAP_COPIES"),
        ("keeps removed", "removed keys take memory for a while", "WEFT_CAP_KEEPS_REMOVED"))
OFFERS = (("snapshots", "`weft_map_snapshot`", "snapshot"),
          ("write batches", "`weft_map_write_batch`", "write_batch"))
COLUMN = 62


class Unfit(Exception):
    """A source or a result is not what the page can be made of; the text says why."""


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as stream:
        return stream.read()


def joined(text):
    """C string literals, one behind the other, as one text."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))


def engines(root):
    """{name: {caps, offers, choose, do_not_choose, file}} in the order of engines.def."""
    found = {}
    for path in sorted(glob.glob(os.path.join(root, "src", "engine", "*.c"))):
        text = read(root, path)
        card = re.search(r"^const weft_engine weft_engine_(\w+) = \{\n(.*?)^\};", text,
                         flags=re.S | re.M)
        if card:
            body = card.group(2)
            texts = {key: joined(re.search(r"\.%s =\s*(.*?),\n    \." % key, body, flags=re.S)
                                 .group(1)) for key in ("choose", "do_not_choose")}
            found[card.group(1)] = dict(
                texts, caps=set(re.findall(r"WEFT_CAP_\w+", body)),
                offers={field for _, _, field in OFFERS if re.search(r"\.%s =" % field, body)},
                file="src/engine/" + os.path.basename(path))
    names = re.findall(r"^WEFT_ENGINE\((\w+),", read(root, "include/weft/engines.def"), flags=re.M)
    missing = [name for name in names if name not in found]
    if missing:
        raise Unfit("no card was found in src/engine of: " + ", ".join(missing))
    return {name: found[name] for name in names}


def rules(root):
    """(name, engine or "a plain map", when, why) in the order in which they are tried."""
    text = read(root, "src/map/advice.def")
    result = []
    for found in re.finditer(r"^WEFT_RULE\((\w+), (\w+), (true|false), (.*?)\)\n(?=WEFT|\Z)",
                             text, flags=re.S | re.M):
        name, engine, plain, rest = found.groups()
        words = re.search(r',\s*((?:"[^"]*"\s*)+),\s*((?:"[^"]*"\s*)+)$', rest)
        if not words:
            raise Unfit("src/map/advice.def: rule %s is not to be read" % name)
        result.append((name, "a plain map" if plain == "true" else engine.lower(),
                       joined(words.group(1)), joined(words.group(2))))
    if not result:
        raise Unfit("src/map/advice.def: no rules")
    return result


def wrapped(text):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > COLUMN:
            lines.append(line)
            line = word
        else:
            line = (line + " " + word).strip()
    return lines + [line]


def picture(all_rules):
    """The rules as a ladder: the first that holds decides."""
    out = []
    for at, (_, engine, when, _) in enumerate(all_rules):
        lines = wrapped(when)
        out.append("    %-*s ──▶ %s" % (COLUMN, lines[0], engine))
        out += ["    " + line for line in lines[1:]]
        if at + 1 < len(all_rules):
            out.append("      │ no")
    return out


def newest(root):
    paths = sorted(glob.glob(os.path.join(root, "bench", "results", "advise-*.json")),
                   key=lambda path: os.path.basename(path).split("-", 2)[-1])
    return paths[-1] if paths else None


def measured(root):
    path = newest(root)
    if path is None:
        return ["No result is committed."]
    result = json.loads(read(root, path))
    if result.get("partial") or not result.get("advice"):
        raise Unfit("%s: partial, or no result of 'weft advise --check'" % path)
    advices = result["advice"]
    columns = [row["engine"] for row in advices[0]["measured"]]
    out = ["Millions of operations a second: of all threads by the clock, or where others "
           "disturbed that, a second of", "processor time. **Bold** is what `weft advise` named, "
           "*of best* its figure over the best one in a measurement", "made after the advice. "
           "`–`: left out, for the reason that `weft advise` gives.", "",
           "| trace | threads | rule | by | %s | of best |" % " | ".join(columns),
           "|---|---|---|---|%s---|" % ("---|" * len(columns))]
    for advice in advices:
        cells = []
        for row in advice["measured"]:
            text = "%.3g" % (row["figure"] / 1e6) if "figure" in row else "–"
            cells.append("**%s**" % text if row["peer"] == advice["peer"] else text)
        out.append("| %s | %d | %s | %s | %s | %.2f |" % (
            advice["trace"], advice["threads"], advice["rule"]["name"],
            "clock" if advice["judged_by"] == "rate" else "processor", " | ".join(cells),
            advice["reach"]))
    machine = result["machine"]
    out += ["", "%s, %d processors; `%s` of version %s, from [%s](../%s)." % (
        machine["cpu"], machine["processors"], result["command"], result["weft"]["version"],
        os.path.basename(path), os.path.relpath(path, root))]
    if result["noise"]["noisy"]:
        noise = result["noise"]
        out += ["", "**Others used the machine during this run** (%d of %d samples were "
                "disturbed): the figures" % (noise["noisy_samples"], noise["samples"]),
                "tell the order of magnitude, and no more."]
    return out


def cards(found):
    out = ["| engine | right for | wrong for |", "|---|---|---|"]
    for name, card in found.items():
        out.append("| [%s](../%s) | %s | %s |" % (name, card["file"], card["choose"],
                                                 card["do_not_choose"]))
    return out


def abilities(found):
    heads = [head for head, _, _ in CAPS + OFFERS]
    out = ["| engine | %s |" % " | ".join(heads), "|---|%s" % ("---|" * len(heads))]
    for name, card in found.items():
        marks = ["yes" if cap in card["caps"] else "" for _, _, cap in CAPS]
        marks += ["yes" if field in card["offers"] else "" for _, _, field in OFFERS]
        out.append("| %s | %s |" % (name, " | ".join(marks)))
    out += [""] + ["* *%s*: %s" % (head, means) for head, means, _ in CAPS + OFFERS]
    return out


def page(root):
    found = engines(root)
    all_rules = rules(root)
    unknown = {engine for _, engine, _, _ in all_rules} - set(found) - {"a plain map"}
    if unknown:
        raise Unfit("src/map/advice.def names no engine: " + ", ".join(sorted(unknown)))
    out = ["# Choosing an engine", "",
           "Written by `scripts/gen_docs.py` from the engines' cards, the rules and a measured "
           "result; change those.", "",
           "In doubt take none: engine AUTO is the default. With a trace of your program, "
           "[`weft advise`](design/advise.md) measures:", "", "```sh", "weft advise TRACE",
           "```", "", "## The short way: the first line that holds", ""]
    out += picture(all_rules)
    out += ["", "| rule | engine | because |", "|---|---|---|"]
    out += ["| %s | %s | %s |" % (name, engine, why) for name, engine, _, why in all_rules]
    out += ["", "`weft_map_options.engine = WEFT_ENGINE_AUTO` follows the same rules, as far as "
            "`hints` and the other options say how", "the map will be used, and takes no engine "
            "that lacks what `hints.needs` asks for.", "", "## What each is for", ""]
    out += cards(found) + ["", "## What each can do", ""] + abilities(found)
    out += ["", "## Measured, on traces with a known use", ""] + measured(root)
    return "\n".join(out) + "\n"
