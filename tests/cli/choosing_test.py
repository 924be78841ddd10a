#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/choosing.md: it is what cards, rules and result give, and a change of either shows."""
import json
import os
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import choosing  # noqa: E402


class Choosing(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-choosing-")
        self.addCleanup(shutil.rmtree, self.folder)
        for path in ("src/engine", "src/map", "include/weft", "bench/results"):
            shutil.copytree(os.path.join(ROOT, path), os.path.join(self.folder, path))

    def change(self, path, old, new):
        with open(os.path.join(self.folder, path), encoding="utf-8") as stream:
            text = stream.read()
        self.assertIn(old, text)
        with open(os.path.join(self.folder, path), "w", encoding="utf-8") as stream:
            stream.write(text.replace(old, new, 1))

    def page(self):
        return choosing.page(self.folder)

    def test_committed_page(self):
        with open(os.path.join(ROOT, "docs", "choosing.md"), encoding="utf-8") as stream:
            self.assertEqual(stream.read(), choosing.page(ROOT), "run 'make docs'")

    def test_every_engine_and_rule_is_there(self):
        page = self.page()
        names = list(choosing.engines(ROOT))
        self.assertGreaterEqual(len(names), 10)
        for name in names:
            self.assertIn("| [%s](../src/engine/" % name, page)
            self.assertIn("\n| %s | " % name, page)
        for name, _, _, why in choosing.rules(ROOT):
            self.assertIn("| %s | " % name, page)
            self.assertIn(why, page)

    def test_a_card_is_followed(self):
        before = self.page()
        self.change("src/engine/rwlock.c", "tiny maps", "little maps")
        self.assertNotEqual(self.page(), before)
        self.change("src/engine/rwlock.c", ".caps = WEFT_CAP_SHRINK | ", ".caps = ")
        self.assertIn("\n| rwlock | yes |  | yes |  |", self.page())

    def test_a_rule_is_followed(self):
        self.change("src/map/advice.def", "WEFT_RULE(usual, LOCKFREE", "WEFT_RULE(usual, TRIE")
        self.assertIn("| usual | trie |", self.page())
        self.change("src/map/advice.def", "WEFT_RULE(usual, TRIE", "WEFT_RULE(usual, TREE")
        with self.assertRaises(choosing.Unfit):
            self.page()

    def test_a_result_is_followed(self):
        with open(choosing.newest(ROOT), encoding="utf-8") as stream:
            result = json.load(stream)
        later = os.path.join(self.folder, "bench/results/advise-machine-99991231-235959.json")

        def commit():
            with open(later, "w", encoding="utf-8") as stream:
                json.dump(result, stream)

        result["advice"][0]["reach"] = 0.12
        commit()
        self.assertIn("| 0.12 |", self.page())
        self.assertIn(os.path.basename(later), self.page())
        result["noise"]["noisy"] = True
        commit()
        self.assertIn("Others used the machine", self.page())
        result["partial"] = True
        commit()
        with self.assertRaises(choosing.Unfit):
            self.page()

    def test_an_engine_without_a_card_is_named(self):
        self.change("include/weft/engines.def", "WEFT_ENGINE(hybrid", "WEFT_ENGINE(other")
        with self.assertRaisesRegex(choosing.Unfit, "other"):
            self.page()


if __name__ == "__main__":
    unittest.main()
