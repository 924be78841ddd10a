#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kill -9 at random moments under load: what was acknowledged is there after the restart, nothing
is torn, the log is never refused, and the folder does not grow with overwrites.

WEFT_TEST_KILLS   kills for each sync policy (100)
"""
import os
import random
import threading
import time
import unittest

import harness
import load

KILLS = int(os.environ.get("WEFT_TEST_KILLS", "100"))
NODES = 4           # nodes that are killed side by side
LONG_ROUNDS = 0.16  # share of rounds under everysec that last longer than what may be lost
MAY_LOSE = 5.0


class Kill(harness.NodeCase):
    def attempts(self, count, **options):
        found = []
        for _ in range(count):
            attempt = load.Attempt(self.node(threads=2, sync=options["sync"]), 3,
                                   rate=options.get("rate"), grace=options.get("grace", 0.0))
            found.append(attempt)
        return found

    def run_side_by_side(self, attempts, work):
        failures = []

        def guarded(attempt):
            try:
                work(attempt)
            except (harness.StartFailed, OSError, EOFError, AssertionError) as failure:
                failures.append("%s: %s" % (type(failure).__name__, failure))

        threads = [threading.Thread(target=guarded, args=(attempt,)) for attempt in attempts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for attempt in attempts:
            self.assertEqual(attempt.problems, [])

    def summary(self, attempts, kills):
        print("%d kills, %d acknowledged commands, %d increments lost" % (
            kills, sum(a.acknowledged for a in attempts), sum(a.lost for a in attempts)))

    def test_always_loses_nothing(self):
        attempts = self.attempts(NODES, sync="always")
        rounds = -(-KILLS // NODES)

        def work(attempt):
            for _ in range(rounds):
                attempt.round(random.uniform(0.01, 0.3))

        self.run_side_by_side(attempts, work)
        self.summary(attempts, rounds * NODES)
        self.assertGreater(min(a.acknowledged for a in attempts), rounds)
        self.assertEqual(sum(a.lost for a in attempts), 0)

    def test_everysec_loses_nothing_old(self):
        attempts = self.attempts(NODES, sync="everysec", rate=200, grace=MAY_LOSE)
        rounds = -(-KILLS // NODES)

        def work(attempt):
            for turn in range(rounds):
                long = turn == 0 or random.random() < LONG_ROUNDS
                attempt.round(random.uniform(MAY_LOSE + 0.2, MAY_LOSE + 1.5) if long
                              else random.uniform(0.01, 0.3))

        self.run_side_by_side(attempts, work)
        self.summary(attempts, rounds * NODES)

    def test_killed_while_it_compacts(self):
        attempts = self.attempts(2, sync="always")
        rounds = max(2, KILLS // 10)

        def checkpoint(node):
            try:
                with node.connect() as connection:
                    connection.call("BGSAVE")
            except (OSError, EOFError):
                pass
            time.sleep(random.uniform(0.0, 0.06))

        def work(attempt):
            with attempt.node.connect() as connection:
                value = b"x" * 3000
                for start in range(0, 5000, 500):
                    connection.pipeline([("SET", "still:%d" % i, b"%d%s" % (i, value))
                                         for i in range(start, start + 500)])
            for _ in range(rounds):
                attempt.round(random.uniform(0.01, 0.1), disturb=checkpoint)
                with attempt.node.connect() as connection:
                    for i in range(0, 5000, 499):
                        assert connection.must("GET", "still:%d" % i) == b"%d%s" % (i, value)

        self.run_side_by_side(attempts, work)
        self.summary(attempts, rounds * 2)


class Folder(harness.NodeCase):
    LIVE_KEYS = 2000
    SIZE = 2000

    def overwrite(self, node, times, sign):
        with node.connect() as connection:
            for turn in range(times):
                connection.pipeline([("SET", "k:%d" % i, b"%d %s %d" % (turn, sign * self.SIZE, i))
                                     for i in range(self.LIVE_KEYS)])

    @harness.weft_only
    def test_overwrites_do_not_fill_it(self):
        """4 MB of keys, overwritten until 800 MB were written, across kills and orderly stops."""
        node = self.node(sync="everysec", threads=2)
        largest = 0
        for restart in range(8):
            self.overwrite(node, 25, b"%d" % restart)
            largest = max(largest, node.disk_bytes())
            if restart % 2:
                node.kill()
                node.start()
            else:
                self.overwrite(node, 1, b"%d" % restart)
                self.assertEqual(node.stop(), 0)
                node.start()
                with node.connect() as connection:
                    value = b"0 %s 7" % (b"%d" % restart * self.SIZE)
                    self.assertEqual(connection.must("GET", "k:7"), value)
            with node.connect() as connection:
                self.assertEqual(connection.must("DBSIZE"), self.LIVE_KEYS)
        print("800 MB written, at most %.0f MB on the disk" % (largest / 1e6))
        self.assertLess(largest, 256 << 20)
        with node.connect() as connection:
            connection.must("SAVE")
        deadline = time.monotonic() + 10
        while node.disk_bytes() > 96 << 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLess(node.disk_bytes(), 96 << 20)

    def test_restarts_do_not_fill_it(self):
        node = self.node(sync="everysec", threads=2)
        with node.connect() as connection:
            connection.must("SET", "a", "1")
        self.assertEqual(node.stop(), 0)
        sizes = []
        for turn in range(12):
            node.start()
            with node.connect() as connection:
                self.assertEqual(connection.must("INCR", "a"), turn + 2)
            if turn % 3:
                self.assertEqual(node.stop(), 0)
            else:
                time.sleep(1.2)
                node.kill()
            sizes.append(node.disk_bytes())
        self.assertLessEqual(sizes[-1], sizes[2] + (1 << 20), sizes)

    def test_orderly_stop_loses_nothing(self):
        """SIGTERM and SHUTDOWN write everything, whatever the policy."""
        for sync, way in (("no", "SIGTERM"), ("everysec", "SHUTDOWN"), ("no", "SHUTDOWN")):
            node = self.node(sync=sync, threads=2)
            connection = self.connect(node)
            connection.pipeline([("SET", "k:%d" % i, i) for i in range(5000)])
            if way == "SIGTERM":
                self.assertEqual(node.stop(), 0)
            else:
                connection.send(harness.encode("SHUTDOWN"))
                self.assertTrue(connection.at_end())
                self.assertEqual(node.process.wait(20), 0)
            node.start()
            connection = self.connect(node)
            self.assertEqual(connection.must("DBSIZE"), 5000)
            self.assertEqual(connection.must("GET", "k:4999"), b"4999")


class Canary(unittest.TestCase):
    def test_a_loss_is_noticed(self):
        """The check itself: an attempt whose keys vanish must report them as lost."""
        node = harness.Node(memory=True)
        try:
            attempt = load.Attempt(node.start(), 1)
            attempt.round(0.2)
            self.assertTrue(any("lost" in text for text in attempt.problems), attempt.problems)
        finally:
            node.destroy()


if __name__ == "__main__":
    harness.main()
