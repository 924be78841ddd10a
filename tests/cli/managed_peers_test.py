#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The bench's peers in Go, Rust and Java: checksums, counters, balance, bad input.

    tests/cli/managed_peers_test.py [NAME...]

Peers are looked for in $WEFT_PEERS and build/peers; what is not built is named and left out.
Without any the exit code is 77.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import trace_reference as reference  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = [os.environ.get("WEFT_PEERS", ""), os.path.join(ROOT, "build", "peers")]
LANGUAGES = ("go", "rust", "java")
ALL_CODES = {"get": 40, "put": 10, "insert": 20, "remove": 15, "add": 5, "rmw": 10}
BALANCED = {"get": 60, "insert": 20, "remove": 20}


def description(path):
    """The lines key = "value" of a peer.toml."""
    with open(path, encoding="utf-8") as stream:
        pairs = (line.split(" = ", 1) for line in stream if " = " in line)
        return {key: value.strip().strip('"') for key, value in pairs}


def executable(name):
    for folder in filter(None, FOLDERS):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return None


DESCRIBED = [found for found in (description(path) for path in sorted(
    glob.glob(os.path.join(ROOT, "bench", "peers", "*", "peer.toml"))))
    if found["language"] in LANGUAGES]
BUILT = [peer for peer in DESCRIBED if executable(peer["id"])]
MAPS = [peer for peer in BUILT if not peer["id"].endswith("-empty")]
# What all peers of a language share is tried on one of them.
ONE_A_LANGUAGE = list({peer["language"]: peer for peer in BUILT}.values())


def mixture(shape, shares):
    """Shape bytes knows no add."""
    return {name: share for name, share in shares.items()
            if shape == reference.U64 or name != "add"}


def talk(peer, data, commands):
    """(answers, exit code, standard error) of a peer with a trace of these bytes."""
    with tempfile.NamedTemporaryFile(suffix=".trc") as file:
        file.write(data)
        file.flush()
        done = subprocess.run([executable(peer["id"]), "--trace", file.name], check=False,
                              input="\n".join(commands) + "\n", text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode, done.stderr


class Expected:
    """What one thread must count that replays a trace once."""

    def __init__(self, trace):
        table, numbers = {}, enumerate(trace.prefill + trace.operations, 1)
        self.hits = self.misses = self.inserted = self.removed = self.sum = 0
        for number, (code, key) in numbers:
            answer = reference.answer(table, code, key, number)
            if number <= len(trace.prefill):
                continue
            if code in (reference.GET, reference.RMW):
                self.hits += answer != 0
                self.misses += answer == 0
                self.sum += answer
            elif code == reference.INSERT:
                self.inserted += answer
            elif code == reference.REMOVE:
                self.removed += answer
        self.entries = len(table)


class ManagedPeers(unittest.TestCase):
    def each(self, peers, check):
        for peer in peers:
            with self.subTest(peer=peer["id"]):
                check(peer)

    def test_what_is_missing(self):
        for peer in DESCRIBED:
            if peer not in BUILT:
                print("not built, and not tested:", peer["id"])

    def test_hello(self):
        data = reference.trace_bytes(reference.make(reference.U64, 10, (5, 5), BALANCED))

        def check(peer):
            answers, code, complaint = talk(peer, data, ["hello", "quit", "hello"])
            self.assertEqual((len(answers), code, complaint), (1, 0, ""))
            hello = answers[0]
            self.assertEqual(hello["peer"], peer["id"])
            self.assertEqual(hello["map"], peer["maps"])
            self.assertEqual(hello["language"], peer["language"])
            self.assertEqual(hello["control"], peer.get("control") == "yes")
            if peer["version"] != "packaged":
                self.assertEqual(hello["version"], peer["version"])

        self.each(BUILT, check)

    def check_checksum(self, trace):
        checksum, entries = reference.verify(trace)
        data = reference.trace_bytes(trace)

        def check(peer):
            answers, _, complaint = talk(peer, data, ["verify", "verify"])
            found = [(answer.get("checksum"), answer.get("entries")) for answer in answers]
            self.assertEqual(found, [(checksum, entries)] * 2, (answers, complaint))

        self.each(MAPS, check)

    def test_checksums(self):
        for shape in (reference.U64, reference.BYTES):
            self.check_checksum(reference.make(shape, 900, (500, 9000), mixture(shape, ALL_CODES),
                                               seed=7))
            self.check_checksum(reference.make(shape, 12000, (6000, 6000), BALANCED, zipf=0.8))

    def test_one_other_operation_is_another_checksum(self):
        trace = reference.make(reference.U64, 300, (100, 2000), ALL_CODES, seed=3)
        checksum, _ = reference.verify(trace)
        code, key = next(op for op in trace.operations[1000:] if op[0] == reference.PUT)
        trace.operations[trace.operations.index((code, key), 1000)] = (reference.REMOVE, key)
        self.assertNotEqual(reference.verify(trace)[0], checksum)
        self.check_checksum(trace)

    def test_once_counts_every_operation(self):
        for shape in (reference.U64, reference.BYTES):
            trace = reference.make(shape, 3000, (1500, 10000), mixture(shape, ALL_CODES), seed=5)
            data, expected = reference.trace_bytes(trace), Expected(trace)
            self.each(MAPS, lambda peer, d=data, e=expected: self.check_once(peer, d, e))

    def check_once(self, peer, data, expected):
        answers, _, complaint = talk(peer, data, [
            "prefill threads=1", "once threads=1", "prefill threads=2",
            "once threads=3 latency=1", "clear"])
        self.assertEqual(len(answers), 5, complaint)
        filled, once, _, timed, cleared = answers
        self.assertEqual((filled["ops"], filled["entries"]), (1500, 1500))
        self.assertGreater(filled["rss_after"], 1 << 20)
        self.assertGreater(cleared["rss_after"], 1 << 20)
        self.assertEqual((once["ops"], timed["ops"]), (10000, 10000))
        for name in ("hits", "misses", "inserted", "removed", "sum", "entries"):
            self.assertEqual(once[name], getattr(expected, name), name)
        self.assertNotIn("latency", once)
        self.check_latency(timed)

    def check_latency(self, answer):
        latency = answer["latency"]
        # One of 32, and a block of 256 begins anew.
        self.assertGreaterEqual(latency["samples"], answer["ops"] // 32)
        self.assertLessEqual(latency["samples"], answer["ops"] // 32 + answer["ops"] // 256 + 1)
        values = [latency[name] for name in ("p50", "p90", "p99", "p999", "max")]
        self.assertEqual(values, sorted(values))
        self.assertGreater(values[0], 0)
        self.assertLess(values[0], 10 ** 7)

    def test_balance_of_threads(self):
        for shape in (reference.U64, reference.BYTES):
            data = reference.trace_bytes(reference.make(shape, 2000, (1000, 20000), BALANCED))
            self.each(MAPS, lambda peer, d=data: self.check_runs(peer, d))

    def check_runs(self, peer, data):
        answers, _, complaint = talk(peer, data, [
            "prefill threads=2", "run threads=3 seconds=0.1 offset=2 latency=0",
            "run threads=2 seconds=0.1 offset=1000001 latency=1", "once threads=4"])
        self.assertEqual(len(answers), 4, complaint)
        entries = answers[0]["entries"]
        for answer in answers[1:]:
            self.check_balance(answer, entries)
            entries = answer["entries"]
        self.assertGreaterEqual(answers[1]["seconds"], 0.1)
        self.check_latency(answers[2])

    def check_balance(self, answer, entries):
        self.assertEqual(answer["entries_before"], entries)
        self.assertEqual(answer["entries"], entries + answer["inserted"] - answer["removed"])
        self.assertGreater(answer["ops"], 1000)
        reads = answer["hits"] + answer["misses"]
        self.assertAlmostEqual(reads / answer["ops"], 0.6, delta=0.1)
        self.assertGreater(answer["sum"], 0)
        self.assertGreater(answer["seconds"], 0)
        self.assertGreaterEqual(answer["cpu_seconds"], 0)

    def test_controls_without_a_map(self):
        data = reference.trace_bytes(reference.make(reference.BYTES, 100, (50, 5000), BALANCED))

        def check(peer):
            filled, once = talk(peer, data, ["prefill threads=1", "once threads=2"])[0]
            self.assertEqual((filled["ops"], filled["entries"]), (50, 0))
            self.assertEqual((once["ops"], once["hits"], once["entries"]), (5000, 0, 0))
            self.assertEqual(once["misses"] + once["inserted"] + once["removed"], 5000)

        self.each([peer for peer in BUILT if peer not in MAPS], check)

    def test_bad_commands_are_answered(self):
        data = reference.trace_bytes(reference.make(reference.U64, 100, (50, 500), BALANCED))
        wrong = {"dance": "verify", "": "command", "prefill": "threads", "run threads=1": "seconds",
                 "once threads=0": "1 to 4096", "once threads=x": "1 to 4096",
                 "run threads=1 seconds=0": "3600", "run threads=1 seconds=nan": "3600",
                 "once threads=1 latency=2": "latency", "once threads=1 speed=9": "latency"}

        def check(peer):
            answers, code, _ = talk(peer, data, list(wrong) + ["once threads=1"])
            self.assertEqual((len(answers), code), (len(wrong) + 1, 0))
            for answer, allowed in zip(answers, wrong.values()):
                self.assertIn(allowed, answer.get("error", ""))
            self.assertEqual(answers[-1].get("ops"), 500)

        self.each(ONE_A_LANGUAGE, check)

    def test_bad_traces_are_refused(self):
        for shape in (reference.U64, reference.BYTES):
            good = reference.trace_bytes(reference.make(shape, 100, (50, 5000), BALANCED))
            bad = {"truncated": good[:-8], "longer": good + bytes(8), "short": good[:100],
                   "empty": b"", "magic": b"WEFTTRC2" + good[8:],
                   "shape": good[:8] + b"\2" + good[9:], "value": good[:12] + b"\4" + good[13:],
                   "counts": good[:24] + b"\1" + good[25:],
                   "chunk": good[:132] + b"\xf8\xff\xff\x7f" + good[136:],
                   "kind": good[:136] + b"\7" + good[137:]}
            for what, data in bad.items():
                self.each(ONE_A_LANGUAGE,
                          lambda peer, w=what, d=data: self.check_refused(peer, w, d))

    def check_refused(self, peer, what, data):
        answers, code, complaint = talk(peer, data, ["verify"])
        self.assertEqual((len(answers), code), (1, 3), (what, answers, complaint))
        self.assertIn(".trc", answers[0]["error"], what)
        self.assertIn(".trc", complaint, what)

    def test_bad_usage(self):
        def check(peer):
            for words in ([], ["--trace"], ["--map", "another", "--trace", "x"], ["--speed", "1"]):
                done = subprocess.run([executable(peer["id"])] + words, capture_output=True,
                                      text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 2, (words, done.stdout, done.stderr))
                self.assertIn("error", json.loads(done.stdout.splitlines()[0]))

        self.each(ONE_A_LANGUAGE, check)


if __name__ == "__main__":
    if not BUILT:
        print("no peer in Go, Rust or Java is built in:", " ".join(filter(None, FOLDERS)))
        sys.exit(77)
    unittest.main()
