#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs each model through its whole state space, which must be free of errors, and each of its
seeded mutants, which must not be.

  model_test.py                        the models of the tests
  model_test.py --deep                 also those that take minutes and gigabytes
  model_test.py --replay NAME MUTANT   one run (mutant 0: the model as it is); the trace of an error
"""
import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
DEPTH = 100000
MEGABYTES = 6000

Model = collections.namedtuple("Model", "name file defines deep mutants")
Outcome = collections.namedtuple("Outcome", "errors states seconds trouble")


def two(table, first_op, first_key, second_key):
    """A mover, an operation of one key and any of another or the same one."""
    return [table, "CAST=4", "MOVES=1", "FIRST_OP=" + first_op, "FIRST_KEY=%d" % first_key,
            "SECOND_KEY=%d" % second_key]


# The mutants of a model are those that it finds; each stands in the model as MUTANT == number.
MODELS = [
    Model("u64-pairs", "u64_bucket.pml", ["CAST=2"], False, {
        1: "believes a look at a bucket that changed meanwhile",
        4: "lets announced inserts go on",
        6: "a claim that is void cannot be told from one that counts"}),
    Model("u64-three", "u64_bucket.pml", ["CAST=3"], False, {
        3: "inserts beside one that was announced",
        5: "announces itself, but does not say where"}),
    Model("u64-reuse", "u64_bucket.pml", ["CAST=4"], False, {
        2: "tells the value of a slot that another key has taken meanwhile"}),
    Model("u64-churn", "u64_bucket.pml", ["CAST=5"], False, {}),
    Model("u64-churn-deep", "u64_bucket.pml", ["CAST=6"], True, {
        7: "announces itself over a pair that does not agree with the state"}),
    Model("bytes-churn", "word_bucket.pml", ["TURNS=3"], False, {
        1: "believes a look at a bucket that changed meanwhile",
        4: "forgets the versions of removed keys",
        5: "fills slots that are still valid"}),
    Model("growth-twice", "growth.pml", ["TABLE=124", "CAST=3", "MOVES=2"], False, {
        11: "the readers' generation moves on before all groups have"}),
    Model("growth-merge", "growth.pml", ["TABLE=121", "CAST=3", "MOVES=2"], False, {
        8: "forgets the versions of keys that are gone"}),
    Model("merge-growth", "growth.pml", ["TABLE=212", "CAST=3", "MOVES=2"], False, {
        9: "fills by a store"}),
    Model("growth-halves", "growth.pml", two("TABLE=121", "PUT", 0, 1), True, {
        7: "asks the entry to which half it belongs",
        10: "looks at entries that may have moved on in the other half"}),
    Model("growth-insert", "growth.pml", two("TABLE=121", "PUT", 1, 1), True, {
        3: "marks the slots before it freezes the bucket"}),
    Model("growth-remove", "growth.pml", two("TABLE=121", "TAKE", 0, 0), True, {
        6: "marks slots by a store"}),
    Model("merge-one-key", "growth.pml", two("TABLE=212", "PUT", 0, 0), True, {
        2: "looks at a frozen bucket without asking whether its keys have moved"}),
    Model("snapshot-door", "snapshot.pml", ["CAST=1"], False, {
        12: "believes a bucket into which somebody may write late",
        16: "opens the door without waiting for late writers",
        18: "closes the door after the publication"}),
    Model("snapshot-frozen", "snapshot.pml", ["CAST=2"], False, {
        13: "takes a bucket that is frozen for one that cannot change any more"}),
    Model("snapshot-read", "snapshot.pml", ["CAST=3"], False, {
        14: "writes into buckets of an image",
        15: "frees what a snapshot shows",
        20: "takes a bucket that is frozen for one that shows what it will for ever"}),
    Model("snapshot-twice", "snapshot.pml", ["CAST=4"], True, {
        19: "opens at once the door that it closed over another's publication"}),
    Model("snapshot-growth", "snapshot.pml", ["CAST=5"], False, {
        23: "the root moves on from the image before all of it has moved"}),
    Model("growth-snapshot", "snapshot.pml", ["CAST=6"], True, {
        24: "makes the table grow by a store, over a snapshot that came meanwhile"}),
    Model("snapshot-growth-read", "snapshot.pml", ["CAST=8"], True, {}),
    Model("snapshot-growth-late", "snapshot.pml", ["CAST=10"], True, {}),
    Model("snapshot-any", "snapshot.pml", ["CAST=7"], True, {}),
    Model("snapshot-void", "snapshot.pml", ["CAST=9"], False, {
        21: "asks whether the image is void before it looks",
        22: "writes without memory, and does not give the image up"}),
    Model("snapshot-void-late", "snapshot.pml", ["CAST=11"], False, {}),
    Model("epoch", "epoch.pml", [], False, {
        1: "moves the epoch without a barrier",
        2: "does not look at one of the records",
        3: "frees one epoch early",
        4: "takes the end of an inner guard for that of the outer one",
        5: "retires with an epoch that it read before it unlinked",
        6: "lets a reader be one epoch behind"}),
    Model("pairs-move", "pair_move.pml", ["CAST=3", "MOVES=1"], False, {
        9: "fills by a store"}),
    Model("pairs-move-two", "pair_move.pml", ["CAST=1", "MOVES=1"], True, {}),
    Model("pairs-move-insert", "pair_move.pml", ["CAST=2", "MOVES=1"], True, {
        8: "lets announced inserts fill slots that have moved"}),
    Model("pairs-move-claim", "pair_move.pml", ["CAST=4", "MOVES=1"], True, {}),
    Model("pairs-twice", "pair_move.pml", ["CAST=3", "MOVES=2"], True, {
        10: "takes a bucket that another one has frozen for one that has moved"}),
    Model("overflow-words", "overflow.pml", ["BYTES=1", "CAST=2"], False, {
        2: "believes a look at a bucket that changed meanwhile",
        3: "forgets the versions of removed keys",
        4: "copies slots that others still change",
        5: "fills slots that are still valid",
        6: "forgets the versions of keys that were removed before they were held"}),
    Model("overflow-pairs", "overflow.pml", ["BYTES=0", "CAST=2"], False, {}),
    Model("overflow-unborn", "overflow.pml", ["BYTES=1", "CAST=3"], True, {
        1: "looks at entries that were never in the map"}),
    Model("overflow-three", "overflow.pml", ["BYTES=0", "CAST=3"], True, {}),
    Model("growth-any", "growth.pml", ["TABLE=121", "CAST=1", "MOVES=1"], True, {}),
    Model("merge-any", "growth.pml", ["TABLE=212", "CAST=1", "MOVES=1"], True, {}),
    Model("growth-movers", "growth.pml", ["TABLE=121", "CAST=2", "MOVES=2"], True, {}),
]
# Found quickly even where the whole space takes long.
QUICK_MUTANTS = {("u64-churn-deep", 7), ("overflow-unborn", 1), ("growth-halves", 7),
                 ("growth-halves", 10), ("growth-insert", 3), ("growth-remove", 6),
                 ("merge-one-key", 2), ("growth-snapshot", 24), ("pairs-move-insert", 8),
                 ("pairs-twice", 10)}


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.returncode, done.stdout


def explore(model, mutant, folder):
    """One run of one model in a folder of its own."""
    started = time.monotonic()
    # The compiler takes longer than a short search: it may do better only for a long one, whose
    # states are stored in parts that many of them share.
    long = model.deep and mutant == 0
    options = ["-O2", "-DCOLLAPSE"] if long else ["-O0"]
    defines = ["-D" + define for define in model.defines] + ["-DMUTANT=%d" % mutant]
    for name in os.listdir(HERE):
        if name.endswith(".pml"):
            shutil.copy(os.path.join(HERE, name), folder)
    for command in (["spin", *defines, "-a", model.file],
                    ["gcc", *options, "-w", "-DSAFETY", "-DMEMLIM=%d" % MEGABYTES, "-o", "pan",
                     "pan.c"]):
        code, output = run(folder, *command)
        if code != 0 or "Error" in output:
            return Outcome(0, 0, 0, "%s: %s" % (command[0], output.strip()[:300]))
    output = run(folder, "./pan", "-m%d" % DEPTH)[1]
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    trouble = None
    if errors is None or states is None:
        trouble = "pan: " + output.strip()[-300:]
    elif "Search not completed" in output and int(errors.group(1)) == 0 \
            or "max search depth too small" in output:
        trouble = "the state space was not searched to its end"
    return Outcome(int(errors.group(1)) if errors else 0, int(states.group(1)) if states else 0,
                   time.monotonic() - started, trouble)


def verdict(mutant, outcome):
    if outcome.trouble:
        return outcome.trouble
    if mutant == 0:
        return "holds" if outcome.errors == 0 else "FAILS"
    return "found" if outcome.errors else "NOT FOUND"


def explore_in_new_folder(job):
    with tempfile.TemporaryDirectory(prefix="weft-model-") as folder:
        return explore(*job, folder)


def jobs_of(deep):
    for model in MODELS:
        if deep or not model.deep:
            yield model, 0
        for mutant in model.mutants:
            if deep or not model.deep or (model.name, mutant) in QUICK_MUTANTS:
                yield model, mutant


def replay(name, mutant):
    model = [m for m in MODELS if m.name == name]
    if not model:
        print("there is no model %s; there are: %s" % (name, " ".join(m.name for m in MODELS)))
        return 2
    with tempfile.TemporaryDirectory(prefix="weft-model-") as folder:
        outcome = explore(model[0], mutant, folder)
        print("%s, mutant %d: %s, %d states" % (name, mutant, verdict(mutant, outcome),
                                                outcome.states))
        if outcome.errors:
            defines = ["-D" + d for d in model[0].defines] + ["-DMUTANT=%d" % mutant]
            print(run(folder, "spin", *defines, "-t", "-p", "-g", "-l", model[0].file)[1])
        return 0 if outcome.errors == 0 and not outcome.trouble else 1


def main():
    parser = argparse.ArgumentParser(description="models of the protocols")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--replay", nargs=2, metavar=("NAME", "MUTANT"))
    options = parser.parse_args()
    missing = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if missing:
        print("not run: no %s; scripts/packages.sh install build test" % ", ".join(missing))
        return SKIPPED
    if options.replay:
        return replay(options.replay[0], int(options.replay[1]))
    jobs = list(jobs_of(options.deep))
    good = 0
    print("%-16s %-6s %-10s %10s %7s  %s" % ("model", "mutant", "", "states", "s", "what"))
    workers = 1 if options.deep else min(2, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for (model, mutant), outcome in zip(jobs, pool.map(explore_in_new_folder, jobs)):
            word = verdict(mutant, outcome)
            good += word in ("holds", "found")
            print("%-16s %-6s %-10s %10d %7.1f  %s" % (
                model.name, mutant or "", word, outcome.states, outcome.seconds,
                model.mutants.get(mutant, model.file + " " + " ".join(model.defines))))
            if word not in ("holds", "found"):
                print("    replay: python3 tests/model/model_test.py --replay %s %d" % (
                    model.name, mutant))
    print("%d of %d as they should be; %d of them mutants" % (
        good, len(jobs), sum(1 for _, mutant in jobs if mutant)))
    return 0 if good == len(jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
