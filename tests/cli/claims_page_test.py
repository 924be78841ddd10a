#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/claims.md: it is what the result gives that it names; what can't be quoted is refused."""
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import claims_chart  # noqa: E402
import claims_page  # noqa: E402

RESULT = {
    "format": "weft-claims/1", "kind": "claims", "started": "2026-01-31T10:00:00Z", "seconds": 9,
    "quick": False, "weft": {"version": "0.1", "commit": "abc", "compiler": "gcc 12"},
    "machine": {"cpu": "test data, not measured", "processors": 2, "memory_bytes": 15 << 29,
                "kernel": "6.1", "virtual": None},
    "noise": {"noisy": False, "noisy_samples": 0, "samples": 2, "load_before": 0.1},
    "claims": [
        {"id": "one", "claim": "one is | more", "verdict": "not", "why": "It is less.",
         "go": "go1.99", "figures": [
             {"name": "one over two", "unit": "ratio", "claimed": 2.0, "measured": 0.51234},
             {"name": "one", "unit": "ns", "claimed": None, "measured": 1234.5}]},
        {"id": "two", "claim": "two is more", "verdict": "not_run", "why": "No clock.",
         "go": "go-claims is not there", "figures": []}]}


class Page(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-claims-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.result = copy.deepcopy(RESULT)

    def fill(self, text="<!-- claims: result.json -->\n"):
        with open(os.path.join(self.folder, "result.json"), "w", encoding="utf-8") as stream:
            json.dump(self.result, stream)
        return claims_page.fill(text, self.folder)

    def test_the_committed_page_is_what_its_result_gives(self):
        with open(os.path.join(ROOT, claims_page.PAGE), encoding="utf-8") as stream:
            text = stream.read()
        self.assertEqual(claims_page.fill(text, ROOT), text)
        name = re.search(claims_page.BLOCK, text).group(1)
        with open(os.path.join(ROOT, name), encoding="utf-8") as stream:
            self.assertEqual(claims_page.name_of(json.load(stream)), name)

    def test_figures_verdicts_and_machine_are_told(self):
        text = self.fill()
        for words in ("| one over two | 2.00 | 0.512 |", "| one |  | 1230 ns |", "It is less.",
                      "one is \\| more | **does not hold** |", "## Claims that do not hold here",
                      "## Claims that were not measured", "test data, not measured", "go1.99",
                      "Go's own types: go-claims is not there.", "7.50 GiB"):
            self.assertIn(words, text)
        self.assertNotIn("Claims that hold\n", text)
        self.assertNotIn("Others used", text)

    def test_a_changed_figure_does_not_stay(self):
        text = self.fill()
        self.assertEqual(self.fill(text), text)
        self.assertEqual(self.fill(text.replace("0.512", "2.12")), text)

    def swept(self):
        """Figures of a sweep: 1, 2 and 4 shards, apart and packed, and the lock."""
        figures = [("%d shard%s, %s" % (n, "" if n == 1 else "s", where), n * speed)
                   for n in (1, 2, 4)
                   for where, speed in (("lines of their own", 10), ("packed", 7))]
        return {"id": "shards-64", "claim": "more shards", "verdict": "holds", "why": "So it is.",
                "go": None, "figures": [{"name": name, "unit": "M/s", "claimed": None,
                                         "measured": rate}
                                        for name, rate in figures + [("one rwlock", 12.5)]]}

    def test_the_sweep_is_drawn_from_its_figures(self):
        self.result["claims"].append(self.swept())
        self.assertIn("](claims-shards.svg)", self.fill())
        drawn = claims_page.picture(self.result)[claims_page.PICTURE]
        ElementTree.fromstring(drawn)
        for words in ("1 shards: 10 M/s", "4 shards: 40 M/s", "2 shards: 14 M/s", ">one rwlock<"):
            self.assertIn(words, drawn)
        self.result["claims"][-1]["figures"][0]["measured"] = 11.5
        self.assertIn("1 shards: 11.5 M/s", claims_page.picture(self.result)[claims_page.PICTURE])

    def test_higher_is_faster_and_right_is_more(self):
        drawn = claims_chart.svg(self.swept())
        own = re.search(r'class="line own" points="([^"]*)"', drawn).group(1)
        places = [tuple(map(float, place.split(","))) for place in own.split()]
        self.assertEqual(len(places), 3)
        self.assertEqual([x for x, _ in places], sorted(x for x, _ in places))
        self.assertEqual([y for _, y in places], sorted((y for _, y in places), reverse=True))

    def test_without_a_whole_sweep_there_is_no_picture(self):
        self.result["claims"].append(self.swept())
        self.result["claims"][-1]["figures"].pop()
        self.assertNotIn(".svg", self.fill())
        self.assertEqual(claims_page.picture(self.result), {})
        self.assertEqual(claims_page.picture(RESULT), {})

    def test_the_committed_picture_is_what_the_result_gives(self):
        with open(os.path.join(ROOT, claims_page.PAGE), encoding="utf-8") as stream:
            wanted = claims_page.pages(stream.read(), ROOT)
        with open(os.path.join(ROOT, claims_page.PICTURE), encoding="utf-8") as stream:
            self.assertEqual(wanted[claims_page.PICTURE], stream.read())

    def test_noise_is_told(self):
        self.result["noise"].update(noisy=True, noisy_samples=2, load_before=7.5)
        self.assertIn("load 7.50 at the beginning; 2 of 2", self.fill())

    def test_refused(self):
        for change in (lambda r: r.update(partial=True), lambda r: r.update(quick=True),
                       lambda r: r.update(format="x"), lambda r: r.update(claims=[]),
                       lambda r: r.pop("machine"),
                       lambda r: r["claims"][0].update(verdict="perhaps")):
            self.result = copy.deepcopy(RESULT)
            change(self.result)
            with self.assertRaises(claims_page.Unfit):
                self.fill()
        with self.assertRaises(claims_page.Unfit):
            self.fill("no comment")
        with self.assertRaises(claims_page.Unfit):
            self.fill("<!-- claims: missing.json -->\n")

    def test_the_script_refuses_what_is_no_result(self):
        script = os.path.join(ROOT, "scripts", "claims_page.py")
        for words, code in (([], 2), (["--help"], 2), ([os.path.join(self.folder, "no")], 3)):
            done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, code, done)
            self.assertNotEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
