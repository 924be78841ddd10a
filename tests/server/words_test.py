#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Counts every word of the text files of this machine's documentation through pipelined INCR, and
again after kill -9 and a restart; keys with TTL go on time, before and after.

WEFT_TEST_WORDS_DIR   the folder of text files (/usr/share/doc)
WEFT_TEST_WORDS_MAX   an upper bound for the number of words, to shorten the test
"""
import collections
import gzip
import os
import threading
import time
import zlib

import harness

FOLDER = os.environ.get("WEFT_TEST_WORDS_DIR", "/usr/share/doc")
MOST = int(os.environ.get("WEFT_TEST_WORDS_MAX", "0")) or float("inf")
CONNECTIONS = 4
BATCH = 2000


def texts():
    """The content of each text file, packed ones unpacked."""
    for folder, folders, names in os.walk(FOLDER):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                with (gzip.open if name.endswith(".gz") else open)(path, "rb") as file:
                    data = file.read()
            except (OSError, EOFError, zlib.error):
                continue
            if b"\0" not in data[:4096]:
                yield data


def gather():
    """The words in their order, and the independent count."""
    words, counts, total = [], collections.Counter(), 0
    for data in texts():
        words.append(data.split())
        counts.update(words[-1])
        total += len(words[-1])
        if total >= MOST:
            break
    return words, counts


class Feeder(threading.Thread):
    """Sends INCR for its share of the words; replies are counted by their line ends."""

    def __init__(self, connection, shares):
        super().__init__()
        self.connection = connection
        self.shares = shares
        self.answered = 0
        self.failure = None

    def run(self):
        try:
            self._feed()
        except Exception as failure:  # shown by the test
            self.failure = failure

    def _feed(self):
        encoded = {}
        for words in self.shares:
            for start in range(0, len(words), BATCH):
                batch = words[start:start + BATCH]
                for word in batch:
                    if word not in encoded:
                        encoded[word] = harness.encode(b"INCR", word)
                self.connection.send(b"".join([encoded[word] for word in batch]))
                self._replies(len(batch))

    def _replies(self, wanted):
        got = 0
        while got < wanted:
            data = self.connection.socket.recv(1 << 18)
            if not data:
                raise EOFError("connection closed")
            if b"-" in data:
                raise AssertionError("error reply: %r" % data[:200])
            got += data.count(b"\n")
        self.answered += got


class Words(harness.NodeCase):
    def feed(self, server, words):
        feeders = [Feeder(self.connect(server), words[i::CONNECTIONS])
                   for i in range(CONNECTIONS)]
        for feeder in feeders:
            feeder.start()
        for feeder in feeders:
            feeder.join()
            self.assertIsNone(feeder.failure)
        return sum(feeder.answered for feeder in feeders)

    def check(self, server, counts, others):
        connection = self.connect(server)
        self.assertEqual(connection.call("DBSIZE"), len(counts) + others)
        keys = list(counts)
        for start in range(0, len(keys), BATCH):
            part = keys[start:start + BATCH]
            found = connection.must("MGET", *part)
            wrong = [(key, value, counts[key]) for key, value in zip(part, found)
                     if value != b"%d" % counts[key]]
            self.assertEqual(wrong, [])

    def test_every_word(self):
        words, counts = gather()
        self.assertGreater(len(counts), 1000, "too little text below " + FOLDER)
        server = self.node(sync="everysec", threads=2)
        began = time.monotonic()
        answered = self.feed(server, words)
        spent = time.monotonic() - began
        self.assertEqual(answered, counts.total())
        print("%d words, %d of them distinct, in %.1f s: %.0f INCR/s"
              % (answered, len(counts), spent, answered / spent))
        self.check(server, counts, 0)

        connection = self.connect(server)
        lasting = {b"lasting:%d" % i: b"%d" % i for i in range(1000)}
        for key, value in lasting.items():
            connection.must("SET", key, value, "EX", "1000")
        ends = time.time() + 5.0
        for i in range(1000):
            connection.must("SET", b"brief:%d" % i, "x", "PXAT", int(ends * 1000))
        time.sleep(2.5)  # two of the writer's seconds: all of it is on the disk
        self.assertLess(time.time(), ends, "this machine is too slow for the test's times")
        self.assertEqual(connection.call("EXISTS", *[b"brief:%d" % i for i in range(1000)]), 1000)
        server.kill()

        began = time.monotonic()
        server.start()
        print("restarted after kill -9 in %.1f s; %.0f MB on disk"
              % (time.monotonic() - began, server.disk_bytes() / 1e6))
        connection = self.connect(server)
        time.sleep(max(0.0, ends - time.time()) + 0.01)
        self.assertEqual(connection.call("EXISTS", *[b"brief:%d" % i for i in range(1000)]), 0)
        self.assertEqual(connection.call("MGET", *lasting), list(lasting.values()))
        self.assertTrue(980 <= connection.call("TTL", b"lasting:1") <= 1000)
        deadline = time.monotonic() + 30
        while connection.call("DBSIZE") != len(counts) + len(lasting):
            self.assertLess(time.monotonic(), deadline, "expired keys are not swept")
            time.sleep(0.1)
        self.check(server, counts, len(lasting))


class TimeToLive(harness.NodeCase):
    def test_keys_go_on_time(self):
        """No key is seen after its time, none is gone before it."""
        connection = self.connect(self.node(threads=2))
        start = connection.must("TIME")
        base = int(start[0]) * 1000 + int(start[1]) // 1000
        ends = {b"k%d" % i: base + 100 + i for i in range(600)}
        connection.pipeline([("SET", key, "x", "PXAT", end) for key, end in ends.items()])
        wrong, gone = [], 0
        while gone < len(ends):
            before = connection.must("TIME")
            values = connection.must("MGET", *ends)
            after = connection.must("TIME")
            first = int(before[0]) * 1000 + int(before[1]) // 1000
            last = int(after[0]) * 1000 + int(after[1]) // 1000
            gone = values.count(None)
            for (key, end), value in zip(ends.items(), values):
                if (value is None and last < end) or (value is not None and first > end):
                    wrong.append((key, end, value, first, last))
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    harness.main()
