#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The golden runner sees a wrong output, a wrong exit code, and a case with nothing in it."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import golden_test  # noqa: E402


class Canary(unittest.TestCase):
    def wrong(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".case") as file:
            file.write(text)
            file.flush()
            return golden_test.check(file.name, False)

    def test_right(self):
        self.assertEqual(self.wrong("$ echo a; exit 2\na\n[exit 2]\n"), 0)

    def test_patterns(self):
        self.assertEqual(self.wrong("$ printf 'a1b\\nc\\nd\\n'\na{*}b\n{...}\nd\n[exit 0]\n"), 0)

    def test_wrong_output(self):
        self.assertEqual(self.wrong("$ echo a\nb\n[exit 0]\n"), 1)

    def test_more_output(self):
        self.assertEqual(self.wrong("$ printf 'a\\nb\\n'\na\n[exit 0]\n"), 1)

    def test_wrong_exit_code(self):
        self.assertEqual(self.wrong("$ false\n[exit 0]\n"), 1)

    def test_second_block(self):
        self.assertEqual(self.wrong("$ true\n[exit 0]\n$ true\n[exit 1]\n"), 1)

    def test_empty(self):
        self.assertEqual(self.wrong("nothing\n"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
