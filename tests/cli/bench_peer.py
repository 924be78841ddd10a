#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A small peer for tests of the driver: a dictionary, one thread, and one fault.

Its name, after `peer-`, is the fault: `good` has none. It speaks the protocol of
docs/design/bench.md, so slowly that its figures mean nothing.
"""
import json
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import trace_reference as reference  # noqa: E402

FAULT = os.path.basename(sys.argv[0]).replace("peer-", "")


class Peer:
    def __init__(self, path):
        with open(path, "rb") as stream:
            self.trace = reference.read_trace(stream.read())
        self.table = {}

    def hello(self, _):
        answer = {"peer": "peer-" + FAULT, "map": "dict", "language": "python", "version": "1"}
        if FAULT == "single":
            answer["writers"] = 1
        if FAULT == "removeless":
            answer["lacks"] = ["remove"]
        return answer

    def verify(self, _):
        checksum, entries = reference.verify(self.trace)
        if FAULT == "stale":
            # One operation of all sees the value before the last: a wrong answer in the adapter.
            checksum = "%016x" % (int(checksum, 16) ^ 1)
        if FAULT == "loses":
            entries -= 1
        return {"checksum": checksum, "entries": entries, "seconds": 0.1}

    def prefill(self, _):
        self.table = {}
        for number, (code, key) in enumerate(self.trace.prefill, 1):
            reference.answer(self.table, code, key, number)
        return {"ops": len(self.trace.prefill), "seconds": 0.1, "entries": len(self.table),
                "rss_before": 1000, "rss_after": 2000}

    def run(self, words):
        if FAULT == "dies":
            print("out of luck", file=sys.stderr)
            os.abort()
        if FAULT == "hangs":
            time.sleep(60)
        with open(os.path.join(os.environ.get("TMPDIR", "/tmp"), "peer.ran"), "w"):
            pass
        before, number = len(self.table), 0
        counts = {"hits": 0, "misses": 0, "inserted": 0, "removed": 0}
        began, seconds = time.monotonic(), float(words.get("seconds", 0))
        while number == 0 or time.monotonic() - began < seconds:
            code, key = self.trace.operations[number % len(self.trace.operations)]
            done = reference.answer(self.table, code, key, number + 1)
            number += 1
            if code == reference.GET:
                counts["hits" if done else "misses"] += 1
            elif code == reference.INSERT:
                counts["inserted"] += done
            elif code == reference.REMOVE:
                counts["removed"] += done
        if FAULT == "unbalanced":
            counts["inserted"] += 1
        answer = {"ops": number, "seconds": time.monotonic() - began, "cpu_seconds": 0.1,
                  "entries_before": before, "entries": len(self.table), "sum": 0, **counts}
        if words.get("latency") == "1":
            answer["latency"] = {"samples": 1, "p50": 1, "p90": 1, "p99": 1, "p999": 1, "max": 1}
        return answer

    once = run


def main():
    if FAULT == "exits":
        sys.exit("cannot find the library")
    peer = Peer(sys.argv[sys.argv.index("--trace") + 1])
    for line in sys.stdin:
        command, *words = line.split()
        if command == "quit":
            return
        if FAULT == "refuses" and command == "prefill":
            print(json.dumps({"error": "no room for so many entries"}), flush=True)
            continue
        if FAULT == "babbles" and command == "run":
            print("ready!", flush=True)
            continue
        answer = getattr(peer, command)(dict(word.split("=") for word in words))
        print(json.dumps(answer), flush=True)


main()
