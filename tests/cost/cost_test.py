#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Counts what an operation costs, where time cannot be trusted: instructions, locked instructions
and lines that come from memory, by callgrind. The figures must be those of the table "Cost" in the
essay of src/engine/lockfree.c; a change that makes them worse, or better, has to say so there.

  cost_test.py           compare
  cost_test.py --write   put the figures of now into the table
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ESSAY = os.path.join(ROOT, "src", "engine", "lockfree.c")
SKIPPED = 77
OPS = 4000
# Simulated caches, of a size that holds what is always in use, and not the table.
CACHES = ["--cache-sim=yes", "--I1=65536,8,64", "--D1=32768,8,64", "--LL=262144,16,64"]
# How far a figure may be off: the libraries of the system differ a little from one to the next.
SHARES = {"instructions": 0.06, "locked": 0.0, "lines": 0.0}
STEPS = {"instructions": 4, "locked": 0.1, "lines": 0.2}
COLUMNS = ["instructions", "locked", "lines"]
ROW = re.compile(r"^ \*     (u64|bytes) +([a-z][a-z ]*?) +(\d+) +(\d+\.\d) +(\d+\.\d)(  .*)?$")


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit("%s:\n%s" % (" ".join(command), done.stdout[-3000:]))
    return done.stdout


def build(folder):
    """The program, with the library as users get it."""
    library = os.path.join(folder, "library")
    run("cmake", "-S", ROOT, "-B", library, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        "-DWEFT_TESTS=OFF", "-DCMAKE_C_COMPILER=gcc")
    run("cmake", "--build", library, "--target", "weft_static")
    program = os.path.join(folder, "cost_program")
    run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(ROOT, "include"),
        os.path.join(HERE, "cost_program.c"), os.path.join(library, "libweft.a"), "-lpthread",
        "-o", program)
    return program


def measure(folder):
    """(shape, operation) -> figures."""
    program = build(folder)
    out = os.path.join(folder, "callgrind.out")
    run("valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, "--collect-bus=yes",
        *CACHES, program)
    text = run("callgrind_annotate", "--inclusive=yes", "--threshold=100",
               "--show=Ir,Ge,DLmr,DLmw", out)
    totals = {}
    for line in text.splitlines():
        found = re.search(r":(u64|bytes)_([a-z_]+)(?: \[.*)?$", line)
        if found:
            fields = re.sub(r"\([ \d.]+%\)", "", line).split()[:4]
            values = [0 if field == "." else int(field.replace(",", "")) for field in fields]
            totals[found.group(1), found.group(2).replace("_", " ")] = values
    figures = {}
    for (shape, operation), values in totals.items():
        if operation != "nothing":
            net = [value - none for value, none in zip(values, totals[shape, "nothing"])]
            figures[shape, operation] = {"instructions": net[0] / OPS, "locked": net[1] / OPS,
                                         "lines": (net[2] + net[3]) / OPS}
    return figures


def table():
    """The rows of the essay."""
    with open(ESSAY, encoding="utf-8") as stream:
        rows = [ROW.match(line) for line in stream.read().splitlines()]
    return {(row.group(1), row.group(2)): dict(zip(COLUMNS, map(float, row.groups()[2:5])))
            for row in rows if row}


def write(figures):
    with open(ESSAY, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    for i, line in enumerate(lines):
        row = ROW.match(line)
        if row:
            now = figures[row.group(1), row.group(2)]
            lines[i] = " *     %-5s  %-14s %6.0f %8.1f %7.1f%s" % (
                row.group(1), row.group(2), now["instructions"], now["locked"], now["lines"],
                row.group(6) or "")
    with open(ESSAY, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


def compare(figures, wanted):
    differing = 0
    print("%-5s  %-14s %s" % ("", "", "  ".join("%22s" % column for column in COLUMNS)))
    for key in sorted(set(figures) | set(wanted)):
        cells = []
        for column in COLUMNS:
            now = figures.get(key, {}).get(column, float("nan"))
            then = wanted.get(key, {}).get(column, float("nan"))
            fine = abs(now - then) <= STEPS[column] + SHARES[column] * then
            differing += not fine
            cells.append("%8.1f, table %6.1f%s" % (now, then, " " if fine else "!"))
        print("%-5s  %-14s %s" % (key + ("  ".join(cells),)))
    return differing


def main():
    if shutil.which("valgrind") is None:
        print("cost_test: skipped: valgrind is missing; apt-get install valgrind")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(folder)
    if sys.argv[1:] == ["--write"]:
        write(figures)
        return 0
    differing = compare(figures, table())
    if differing != 0:
        print("%d figures are not those of the table in the essay of %s. Where that is as it "
              "should be: tests/cost/cost_test.py --write"
              % (differing, os.path.relpath(ESSAY, ROOT)))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
