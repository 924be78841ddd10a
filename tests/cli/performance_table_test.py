#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""README.md's performance table: it is what the result gives that README.md names, and a result
that can't be quoted is refused."""
import json
import os
import re
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import performance_table  # noqa: E402

END = "<!-- performance end -->\n"
BEFORE, AFTER = "# a page\n\n", "\nwhat follows\n"


def page(name, inside=""):
    return BEFORE + "<!-- performance: %s -->\n" % name + inside + END + AFTER


class Table(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-table-")
        self.addCleanup(shutil.rmtree, self.folder)
        with open(os.path.join(HERE, "data", "full.json"), encoding="utf-8") as stream:
            self.result = json.load(stream)

    def fill(self, text=None):
        with open(os.path.join(self.folder, "result.json"), "w", encoding="utf-8") as stream:
            json.dump(self.result, stream)
        return performance_table.fill(text or page("result.json"), self.folder)

    def test_readme(self):
        """The page that is committed."""
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as stream:
            text = stream.read()
        self.assertEqual(performance_table.fill(text, ROOT), text)
        name = re.search(performance_table.BLOCK, text, flags=re.S).group(2)
        self.assertTrue(name == "none" or name.startswith("bench/results/"), name)

    def test_none(self):
        self.assertEqual(self.fill(page("none")), page("none"))
        self.assertEqual(self.fill(page("none", "| invented | 9 |\n")), page("none"))

    def test_figures(self):
        text = self.fill()
        self.assertTrue(text.startswith(BEFORE) and text.endswith(END + AFTER))
        rows = [line for line in text.split("\n") if line.startswith("| test data")]
        self.assertEqual(len(rows), len(self.result["cells"]))
        for line, cell in zip(rows, self.result["cells"]):
            parts = [part.strip() for part in line.strip("|").split("|")]
            self.assertEqual(int(parts[1]), cell["threads"])
            ratios = [float(n) for n in re.findall(r"[\d.]+", parts[4])]
            for shown, key in zip(ratios, ("ratio", "ratio_low", "ratio_high")):
                self.assertAlmostEqual(shown, cell[key], delta=cell[key] * 0.006)
            weft = next(r for r in cell["results"] if r["peer"] == cell["weft"])
            number, unit = re.match(r"([\d.]+) (.*)", parts[2]).groups()
            scale = {"M/s": 1e6, "µs": 1e3}[unit]
            self.assertAlmostEqual(float(number) * scale, weft["median"],
                                   delta=weft["median"] * 0.006)
        self.assertEqual([line.split("|")[6].strip() for line in rows],
                         ["ahead", "ahead", "**behind**", "no clear winner", "ahead"])
        for words in ("test data, not measured", "2 processors", "7.75 GiB", "kvm", "2026-01-31",
                      "Of 51 samples 1 stayed noisy", "Peer B 3.4", "[result.json](result.json)"):
            self.assertIn(words, text)
        self.assertNotIn("no map", text)

    def test_settled(self):
        """What was filled stays as it is; a figure that someone changes does not."""
        text = self.fill()
        self.assertEqual(self.fill(text), text)
        changed = text.replace("31.0 M/s", "41.0 M/s")
        self.assertNotEqual(changed, text)
        self.assertEqual(self.fill(changed), text)

    def test_refused(self):
        for change in (lambda r: r["noise"].update(noisy=True), lambda r: r.update(partial=True),
                       lambda r: r.update(format="x"), lambda r: r.update(cells=[]),
                       lambda r: r.pop("machine"), lambda r: r.update(peers=None)):
            with open(os.path.join(HERE, "data", "full.json"), encoding="utf-8") as stream:
                self.result = json.load(stream)
            change(self.result)
            with self.assertRaises(performance_table.Unfit):
                self.fill()
        with self.assertRaises(performance_table.Unfit):
            self.fill(page("missing.json"))
        with self.assertRaises(performance_table.Unfit):
            self.fill("no comments")


if __name__ == "__main__":
    unittest.main()
