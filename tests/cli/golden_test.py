#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the cases in tests/cli/cases and compares what the binary prints, and its exit code.

    tests/cli/golden_test.py [--accept] [NAME...]

A case is a file `NAME.case` of blocks: a line `$ command`, the output expected (both streams), and
a line `[exit N]`. In the output `{*}` stands for any text within a line, and a line `{...}` for any
number of lines. `--accept` writes what was printed into the files.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "cases")
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(ROOT, "build", "weft"))


def blocks(text):
    """(command, expected output, exit code) of each block of a case."""
    for found in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*?)\[exit (\d+)\]\n", text, flags=re.M):
        yield found.group(1), found.group(2), int(found.group(3))


def matches(expected, printed):
    pattern = ""
    for line in expected.splitlines():
        if line == "{...}":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("{*}")) + r"\n"
    return re.fullmatch(pattern, printed) is not None


def run(command, folder):
    environment = dict(os.environ, PATH=os.path.dirname(BINARY) + ":" + os.environ["PATH"])
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    printed = done.stdout
    if printed and not printed.endswith("\n"):
        printed += "\n"
    return printed, done.returncode


def check(path, accept):
    """The number of blocks that differ; with `accept` the file is rewritten."""
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    wrong, fresh, count = 0, "", 0
    comment = re.match(r"(?:#.*\n)*", text).group(0)
    folder = tempfile.mkdtemp(prefix="weft-cli-")
    for command, expected, code in blocks(text):
        count += 1
        printed, ended = run(command, folder)
        if matches(expected, printed) and ended == code:
            fresh += "$ %s\n%s[exit %d]\n" % (command, expected, code)
            continue
        wrong += 1
        fresh += "$ %s\n%s[exit %d]\n" % (command, printed, ended)
        if not accept:
            print("%s: $ %s\n--- expected, exit %d\n%s--- printed, exit %d\n%s" % (
                os.path.basename(path), command, code, expected, ended, printed))
    shutil.rmtree(folder)
    if accept and wrong:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(comment + fresh)
    return wrong if count else 1


def main():
    accept = "--accept" in sys.argv[1:]
    names = [name for name in sys.argv[1:] if name != "--accept"]
    if not os.access(BINARY, os.X_OK):
        print("%s is not there; build first" % BINARY)
        return 3
    names = names or sorted(n[:-5] for n in os.listdir(CASES) if n.endswith(".case"))
    wrong = sum(check(os.path.join(CASES, name + ".case"), accept) for name in names)
    print("%d cases, %d blocks differ" % (len(names), wrong))
    return 0 if names and (accept or wrong == 0) else 1


if __name__ == "__main__":
    sys.exit(main())
