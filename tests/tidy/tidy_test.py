#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plants one violation of each rule into a small clean tree, and requires that it is found."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import tidy  # noqa: E402
from tree import RULES  # noqa: E402

MIT = "/* SPDX-License-Identifier: MIT */\n"
ARROWS = """# src

| layer | folder | header that others include | may include |
|---|---|---|---|
| L0 | `base` | each of its headers | `base`, `weft/status.h` |
| L1 | `reclaim` | `reclaim/epoch.h` | L0 |
| L2 | `engine` | `engine/engine.h` | L0, L1 |
| L5 | `server` | `server/server.h` | L0, public headers |
"""
CARD = """/* weft_x — do a thing.
 *
 * map      the map
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     O(1)
 */
WEFT_API void weft_x(int map);
"""
ESSAY = "/* Design\n * Layout\n * Concurrency\n * Rejected\n * Credits */\n"
GENERATOR = """# SPDX-License-Identifier: MIT
import os
import sys
sys.exit(os.path.exists("stale"))
"""
CLEAN = {
    "README.md": "# weft\n\n```sh\nmake all\n```\n\nSee [the map](docs/README.md#where).\n",
    "CONTRIBUTING.md": "# Contributing\n",
    "Makefile": "# SPDX-License-Identifier: MIT\nall:\n\ttrue\n",
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nColumnLimit: 100\n"
                     "AllowShortFunctionsOnASingleLine: None\n",
    "docs/README.md": "# Docs\n\n## Where\n",
    "docs/HACKING.md": "# Hacking\n",
    "docs/glossary.md": "# Words\n\n| word | meaning | not |\n|---|---|---|\n"
                        "| store | s | backend |\n",
    "include/README.md": "# include\n",
    "include/weft/README.md": "# weft\n",
    "include/weft/map.h": MIT + "/* GUARANTEES\n *   A  Ordering.\n */\n" + CARD,
    "scripts/README.md": "# scripts\n",
    "scripts/gen_docs.py": GENERATOR,
    "src/README.md": ARROWS,
    "src/base/README.md": "# base\n",
    "src/base/a.c": MIT + "int weft_a(void);\n",
    "src/engine/README.md": "# engine\n",
    "include/weft/engines.def": MIT + "WEFT_ENGINE(e, E, 1)\n",
    "src/engine/e.c": MIT + ESSAY + "const weft_engine weft_engine_e = {0};\n",
    "src/reclaim/README.md": "# reclaim\n",
    "src/server/README.md": "# server\n",
    "tests/README.md": "# tests\n",
    "tests/a_test.c": MIT + "static int guarantee_A_holds(void) {\n    return 0;\n}\n",
}
LONG = "static int weft_long(int x) {\n" + "    x++;\n" * 60 + "    return x;\n}\n"
TWELVE = "".join("    weft_step_%d(x);\n" % i for i in range(14))

# rule -> list of (path, text); text is the whole file, or None to remove it.
PLANTED = {
    "layers": [
        ("src/base/b.c", MIT + '#include "engine/engine.h"\n'),
        ("src/server/b.c", MIT + '#include "engine/engine.h"\n'),
        ("src/reclaim/README.md", "# r\n", "src/reclaim/b.h", MIT + "#include <weft/map.h>\n"),
        ("src/engine/b.h", MIT + '#include "reclaim/other.h"\n'),
        ("examples/README.md", "# e\n", "examples/b.c", MIT + '#include "base/atomic.h"\n'),
    ],
    "seams": [
        ("src/server/b.c", MIT + "static void *f(void) {\n    return malloc(1);\n}\n"),
        ("src/server/b.c", MIT + "static int f(void) {\n    return open(0, 1);\n}\n"),
        ("src/server/b.c", MIT + "static int f(void) {\n    return clock_gettime(0, 0);\n}\n"),
    ],
    "atomics": [
        ("src/server/b.c", MIT + "static int f(int *p) {\n    return __atomic_load_n(p, 0);\n}\n"),
        ("src/server/b.c", MIT + "static _Atomic int x;\n"),
        ("src/server/b.c", MIT + "#include <stdatomic.h>\n"),
    ],
    "pairs": [
        ("src/server/b.c", MIT + "static int f(int *p) {\n    return weft_load_acquire(p);\n}\n"),
        ("src/server/b.c", MIT + "static int f(int *p) {\n    weft_cas_acq_rel(p, p, 1);\n}\n"),
    ],
    "function-length": [("src/base/b.c", MIT + LONG)],
    "file-length": [("src/base/b.c", MIT + "int weft_b(void);\n" * 800)],
    "columns": [
        ("src/base/b.c", MIT + "/* " + "x" * 100 + " */\n"),
        ("bench/peers/b/b.go", "// SPDX-License-Identifier: MIT\n\t// " + "x" * 94 + "\n"),
    ],
    "parameters": [
        ("src/base/b.c", MIT + "static int f(int a, int b, int c, int d, int e) {\n}\n"),
        ("src/base/b.h", MIT + "int weft_f(int a, int b, int c, int d,\n           int e);\n"),
    ],
    "essay": [
        ("src/engine/e.c", MIT + ESSAY.replace("Rejected", "Other") +
         "const weft_engine weft_engine_e = {0};\n"),
        ("src/reclaim/b.c", MIT + "/* Design */\n"),
    ],
    "assertions": [("src/engine/b.c", MIT + LONG.replace("    x++;\n" * 60, "    x++;\n" * 20))],
    "format": [("src/base/b.c", MIT + "int  weft_b( void );\n")],
    "dead-code": [
        ("src/base/b.c", MIT + "// weft_b(1);\n"),
        ("src/base/b.c", MIT + "#if 0\n#endif\n"),
    ],
    "duplicates": [("src/base/b.c", MIT + "void f(void) {\n" + TWELVE + "}\n",
                    "src/base/c.c", MIT + "void g(void) {\n" + TWELVE + "}\n")],
    "spdx": [
        ("src/base/b.c", "int weft_b(void);\n"),
        ("scripts/b.sh", "#!/bin/sh\ntrue\n"),
        ("bench/peers/b/b.rs", "fn main() {}\n"),
    ],
    "readme": [("src/base/README.md", None)],
    "unfinished": [
        ("src/base/b.c", MIT + "/* TODO later */\n"),
        ("src/base/b.c", MIT + "/* FIXME */\n"),
        ("src/base/b.c", MIT + "/* XXX */\n"),
        ("src/base/b.c", MIT + "/* a HACK */\n"),
        ("docs/HACKING.md", "# H\n\nA stub.\n"),
        ("docs/HACKING.md", "# H\n\nA Dummy value.\n"),
        ("docs/HACKING.md", "# H\n\nA placeholder.\n"),
    ],
    "glossary": [
        ("docs/HACKING.md", "# H\n\nTwo backends.\n"),
        ("docs/glossary.md", None),
    ],
    "blanks": [
        ("src/base/b.c", MIT + "int weft_b(void); \n"),
        ("src/base/b.c", MIT + "int weft_b(void);"),
    ],
    "links": [
        ("docs/HACKING.md", "# H\n\n[x](absent.md)\n"),
        ("docs/HACKING.md", "# H\n\n[x](README.md#absent)\n"),
    ],
    "commands": [
        ("docs/HACKING.md", "# H\n\n```sh\nmake absent\n```\n"),
        ("docs/HACKING.md", "# H\n\n```sh\nscripts/absent.sh\n```\n"),
        ("docs/HACKING.md", "# H\n\n```sh\ncmake --preset absent\n```\n"),
        ("README.md", None),
    ],
    "cards": [
        ("include/weft/b.h", MIT + "WEFT_API int weft_b(void);\n"),
        ("include/weft/b.h", MIT + CARD.replace(" * Threads  any\n", "")),
        ("include/weft/b.h", MIT + CARD.replace("Owns", "Own")),
        ("include/weft/b.h", MIT + CARD.replace("int map", "int other")),
        ("include/weft/b.h", MIT + CARD.replace("weft_x —", "weft_y —")),
    ],
    "guarantees": [("tests/a_test.c", MIT + "static int holds(void) {\n    return 0;\n}\n")],
    "generated": [("stale", "yes\n"), ("scripts/gen_docs.py", None)],
}


class Planted(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="weft-tidy-")
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in CLEAN.items():
            self.write(path, text)

    def write(self, path, text):
        whole = os.path.join(self.root, path)
        if text is None:
            os.remove(whole)
            return
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as stream:
            stream.write(text)

    def test_clean_tree_has_no_finding(self):
        self.assertEqual(tidy.run(self.root), [])

    def test_every_rule_is_planted(self):
        self.assertEqual(sorted(PLANTED), sorted(name for name, _, _ in RULES))

    def test_exit_codes_of_the_command(self):
        command = [sys.executable, os.path.join(HERE, "tidy.py"), "--root", self.root]

        def code(*more):
            return subprocess.run(command + list(more), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False).returncode
        self.assertEqual(code(), 0)
        self.assertEqual(code("no-such-rule"), 2)
        self.write("src/base/b.c", "int weft_b(void);\n")
        self.assertEqual(code(), 1)
        self.assertEqual(code("columns"), 0)


def planted_test(name, plant):
    def test(self):
        for path, text in zip(plant[::2], plant[1::2]):
            self.write(path, text)
        found = tidy.run(self.root, [name])
        self.assertTrue(found, "%s does not see %r" % (name, plant))
    return test


for rule_name, plants in PLANTED.items():
    for number, planted in enumerate(plants):
        setattr(Planted, "test_%s_%d" % (rule_name.replace("-", "_"), number),
                planted_test(rule_name, planted))


if __name__ == "__main__":
    unittest.main()
