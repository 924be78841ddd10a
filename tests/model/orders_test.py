#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the kernels of orders.cpp in executions of a weak memory model: no execution may be wrong
with the engine's orders, and one must be when an order is relaxed, but for those named here."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
HEADER = "/usr/include/relacy/relacy.hpp"

# Stronger than the kernel needs: another order of the same thread does it as well.
COVERED = {
    ("look", "sweep"): "by reserve",
    ("pair", "first_load"): "by second_load; in the kernel the halves are one word",
    ("move", "next"): "by freeze, if the same thread freezes",
    ("move", "fill"): "by publish",
    ("move", "next_load"): "by state_load",
    ("epoch", "pin_epoch"): "by light, which is a fence here",
    ("epoch", "retire_epoch"): "by unlink, which has a fence behind it here",
    ("epoch", "push"): "by leave and scan",
    ("epoch", "take"): "by leave and scan",
    ("epoch", "advance"): "by heavy",
}


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)


def verdict(kernel, site, status):
    """What a run said, and whether that is as it should be."""
    if site is None:
        return "holds" if status == 0 else "FAILS", status == 0
    if (kernel, site) in COVERED:
        return "covered " + COVERED[kernel, site] if status == 0 else "FOUND", status == 0
    return "found" if status == 1 else "NOT FOUND", status == 1


def check(program):
    good = total = 0
    for line in run(program).stdout.splitlines():
        kernel, *sites = line.split()
        for site in [None] + sites:
            done = run(program, kernel, *([site] if site else []))
            word, fine = verdict(kernel, site, done.returncode)
            print("%-8s %-13s %s" % (kernel, site or "", word))
            if not fine:
                print(done.stdout)
            good += fine
            total += 1
    print("%d of %d as they should be" % (good, total))
    return 0 if 0 < total == good else 1


def main():
    if shutil.which("g++") is None or not os.path.exists(HEADER):
        print("not run: no g++ or no relacy-dev; scripts/packages.sh install build test")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="weft-orders-") as folder:
        program = os.path.join(folder, "orders")
        made = run("g++", "-std=c++11", "-O1", "-w", "-o", program,
                   os.path.join(HERE, "orders.cpp"))
        if made.returncode != 0:
            print(made.stdout)
            return 1
        return check(program)


if __name__ == "__main__":
    sys.exit(main())
