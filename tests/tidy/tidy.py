#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The law of the house, checked. Exit codes: 0 nothing found, 1 findings, 2 usage.

    tests/tidy/tidy.py [--root FOLDER] [--list] [RULE...]
"""
import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks_api  # noqa: E402,F401  each module registers its rules
import checks_c  # noqa: E402,F401
import checks_text  # noqa: E402,F401
from tree import RULES, Tree  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def run(root, names=()):
    """The findings of the named rules, or of all."""
    tree = Tree(root)
    found = []
    for name, _, check in RULES:
        if not names or name in names:
            found += list(check(tree))
    return found


def main():
    parser = argparse.ArgumentParser(description="Check the tree against docs/STYLE.md.")
    parser.add_argument("--root", default=os.path.join(HERE, "..", ".."))
    parser.add_argument("--list", action="store_true", help="print the rules")
    parser.add_argument("rules", nargs="*", help="rules to check; all without")
    given = parser.parse_args()
    known = [name for name, _, _ in RULES]
    unknown = [name for name in given.rules if name not in known]
    if unknown:
        parser.error("unknown rule: " + " ".join(unknown))
    if given.list:
        for name, says, _ in RULES:
            print("%-16s %s" % (name, says))
        return 0
    found = run(os.path.abspath(given.root), given.rules)
    for finding in found:
        print("%s:%d: %s: %s" % (finding.path, finding.line, finding.rule, finding.text))
    print("tidy: %d findings, %d rules" % (len(found), len(given.rules or known)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
