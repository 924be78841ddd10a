#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Keys with a deadline: gone on time for readers, swept in the background at bounded cost."""
import time

import harness


def server_ms(connection):
    seconds, micros = connection.must("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


class Expiry(harness.NodeCase):
    def test_every_reader_misses_a_dead_key(self):
        """Before any sweep: the deadline is set in the past, or passes just now."""
        connection = self.connect(self.node(memory=True, threads=2))
        reads = (("GET",), ("EXISTS",), ("TTL",), ("TYPE",), ("STRLEN",), ("GETDEL",),
                 ("PERSIST",), ("EXPIRE", "100"), ("GETEX",), ("TOUCH",), ("DEL",), ("UNLINK",),
                 ("GETRANGE", "0", "-1"), ("INCR",), ("APPEND", "x"), ("SETRANGE", "1", "x"),
                 ("SETNX", "x"), ("GETSET", "x"), ("SET", "x", "XX"), ("SET", "x", "GET"),
                 ("RENAME", "other"), ("COPY", "other"), ("MGET",), ("OBJECT",))
        for words in reads:
            connection.must("FLUSHALL")
            name = words[0]
            command = (name, "ENCODING", "k") if name == "OBJECT" else (name, "k", *words[1:])
            expected = connection.call(*command)
            connection.must("FLUSHALL")
            end = server_ms(connection) + 2
            connection.must("SET", "k", "5", "PXAT", end)
            while server_ms(connection) <= end:
                pass
            found = connection.call(*command)
            self.assertEqual(str(found), str(expected), command)

    def test_a_deadline_in_the_past_removes(self):
        connection = self.connect(self.node(memory=True))
        for words in (("EXPIRE", "-1"), ("PEXPIRE", "0"), ("EXPIREAT", "1"), ("PEXPIREAT", "1")):
            connection.must("SET", "k", "v")
            self.assertEqual(connection.must(words[0], "k", words[1]), 1)
            self.assertEqual(connection.must("DBSIZE"), 0, words)

    def test_writes_keep_or_drop_the_deadline_as_redis_does(self):
        connection = self.connect(self.node(memory=True))
        keep = (("INCR", "k"), ("APPEND", "k", "1"), ("SETRANGE", "k", "0", "1"), ("GETEX", "k"),
                ("SET", "k", "1", "KEEPTTL"), ("INCRBYFLOAT", "k", "1"), ("DECRBY", "k", "1"))
        drop = (("SET", "k", "1"), ("GETSET", "k", "1"), ("MSET", "k", "1"), ("PERSIST", "k"),
                ("GETEX", "k", "PERSIST"))
        for command in keep + drop:
            connection.must("SET", "k", "10", "EX", "100")
            connection.must(*command)
            left = connection.must("TTL", "k")
            self.assertEqual(left in (99, 100) if command in keep else left == -1, True, command)
        connection.must("SET", "k", "1", "EX", "100")
        connection.must("RENAME", "k", "l")
        self.assertIn(connection.must("TTL", "l"), (99, 100))
        connection.must("COPY", "l", "m")
        self.assertIn(connection.must("TTL", "m"), (99, 100))

    def test_a_watched_key_that_dies_aborts(self):
        """EXEC is refused if a watched key died after WATCH, not if it was dead before."""
        node = self.node(memory=True, threads=2)
        connection = self.connect(node)
        connection.must("SET", "k", "v", "PX", "40")
        connection.must("WATCH", "k")
        time.sleep(0.08)
        replies = connection.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])
        self.assertIsNone(replies[-1])
        connection.must("WATCH", "k")
        replies = connection.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])
        self.assertEqual(replies[-1], [None])

    def test_swept_without_reads(self):
        """200 000 keys go by themselves, their memory is used again; others are served."""
        node = self.node(memory=True, threads=2)
        connection = self.connect(node)
        value = b"x" * 200

        def fill(ms):
            for start in range(0, 200_000, 2000):
                connection.pipeline([("SET", b"k:%d" % i, value, "PX", ms)
                                     for i in range(start, start + 2000)])

        connection.pipeline([("SET", b"stays:%d" % i, value) for i in range(1000)])
        fill(4000)
        filled = node.rss()
        deadline = time.monotonic() + 40
        slowest = 0.0
        while connection.must("DBSIZE") > 1000:
            self.assertLess(time.monotonic(), deadline, "not swept")
            began = time.monotonic()
            connection.must("GET", "stays:1")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.01)
        swept = node.rss()
        self.assertEqual(connection.must("DBSIZE"), 1000)
        for _ in range(3):
            fill(600_000)
        self.assertEqual(connection.must("DBSIZE"), 201_000)
        again = node.rss()
        print("RSS MiB: filled %.0f, swept %.0f, filled again %.0f; slowest GET %.1f ms" % (
            filled / 2 ** 20, swept / 2 ** 20, again / 2 ** 20, slowest * 1e3))
        if not node.is_instrumented():
            self.assertLess(again, filled * 1.5)
        self.assertLess(slowest, 0.5)

    def test_sweeping_costs_little_when_nothing_is_due(self):
        node = self.node(memory=True, threads=2)
        connection = self.connect(node)
        for start in range(0, 200_000, 2000):
            connection.pipeline([("SET", b"k:%d" % i, "v", "EX", "1000")
                                 for i in range(start, start + 2000)])
        time.sleep(0.5)
        cpu = node.cpu_seconds()
        time.sleep(2.0)
        share = (node.cpu_seconds() - cpu) / 2.0
        print("%.1f %% of a core" % (100 * share))
        self.assertLess(share, 0.10)


if __name__ == "__main__":
    harness.main()
