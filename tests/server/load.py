# SPDX-License-Identifier: MIT
"""Writers that remember what was acknowledged, and check a node that comes back after kill -9."""
import collections
import random
import threading
import time

import harness

PADDING = b"." * 2000


class Writer(threading.Thread):
    """One connection. Its keys are its own, so each reply must be one more than the last; a pair of
    keys is written by MULTI or MSET only, so both are always equal."""

    def __init__(self, node, name, base, rate=None):
        super().__init__()
        self.node = node
        self.counters = ["%s:own:%d" % (name, i) for i in range(8)]
        self.multi = ("%s:multi:a" % name, "%s:multi:b" % name)
        self.mset = ("%s:mset:a" % name, "%s:mset:b" % name)
        self.blob = "%s:blob" % name
        self.sent = dict(base)
        self.history = {key: collections.deque() for key in self.keys()}
        self.acknowledged = 0
        self.wrong = []
        self.pause = 1.0 / rate if rate else 0.0
        self.stopping = False

    def keys(self):
        return [*self.counters, *self.multi, *self.mset, self.blob]

    def run(self):
        try:
            with self.node.connect() as connection:
                while not self.stopping:
                    self._round(connection)
                    time.sleep(self.pause)
        except (OSError, EOFError):
            pass  # the node was killed
        except AssertionError as failure:
            self.wrong.append(str(failure))

    def _round(self, connection):
        """A pipeline of some commands, then all their replies."""
        steps = [random.choice((self._count, self._count, self._count, self._pair, self._put,
                                self._blob)) for _ in range(random.randint(1, 16))]
        plans = [step() for step in steps]
        connection.send(b"".join(plan[0] for plan in plans))
        for _, replies, written in plans:
            for expected in replies:
                reply = connection.read()
                if reply != expected:
                    self.wrong.append("reply %r instead of %r" % (reply, expected))
            now = time.monotonic()
            for key, value in written:
                self.history[key].append((now, value))
                while len(self.history[key]) > 2 and self.history[key][1][0] < now - 6:
                    self.history[key].popleft()
            self.acknowledged += 1

    def _next(self, key):
        self.sent[key] = self.sent.get(key, 0) + 1
        return self.sent[key]

    def _count(self):
        key = random.choice(self.counters)
        value = self._next(key)
        return harness.encode("INCR", key), [value], [(key, value)]

    def _pair(self):
        one, two = self.multi
        value = self._next(one)
        self._next(two)
        data = b"".join(harness.encode(*words) for words in
                        (("MULTI",), ("INCR", one), ("INCR", two), ("EXEC",)))
        return data, ["OK", "QUEUED", "QUEUED", [value, value]], [(one, value), (two, value)]

    def _put(self):
        one, two = self.mset
        value = self._next(one)
        self._next(two)
        return harness.encode("MSET", one, value, two, value), ["OK"], [(one, value), (two, value)]

    def _blob(self):
        value = self._next(self.blob)
        return (harness.encode("SET", self.blob, b"%d %s" % (value, PADDING)), ["OK"],
                [(self.blob, value)])

    def must_have(self, key, before):
        """The newest value acknowledged before this time, or None."""
        found = None
        for when, value in self.history[key]:
            if when <= before:
                found = value
        return found


def read_all(node, keys):
    """The values of these keys as numbers; blobs are checked to be whole."""
    found = {}
    with node.connect() as connection:
        for key, value in zip(keys, connection.must("MGET", *keys)):
            if value is None:
                continue
            if key.endswith(":blob"):
                value, padding = value.split(b" ", 1)
                assert padding == PADDING, "%s is torn" % key
            found[key] = int(value)
    return found


class Attempt:
    """A node under load that is killed again and again, and never loses what it acknowledged."""

    def __init__(self, node, writers, rate=None, grace=0.0):
        self.node = node
        self.writers = writers
        self.rate = rate
        self.grace = grace  # seconds before the kill whose acknowledgements may be lost
        self.base = {}
        self.problems = []
        self.acknowledged = 0
        self.lost = 0

    def round(self, seconds, disturb=None):
        """Load for so long, with `disturb` called in the middle of it; kill; restart; check."""
        load = [Writer(self.node, "w%d" % i, self.base, self.rate) for i in range(self.writers)]
        for writer in load:
            writer.start()
        time.sleep(seconds)
        if disturb is not None:
            disturb(self.node)
        killed = time.monotonic()
        self.node.kill()
        for writer in load:
            writer.stopping = True
            writer.join()
        self.node.start()
        self._check(load, killed)

    def _check(self, load, killed):
        keys = [key for writer in load for key in writer.keys()]
        found = read_all(self.node, keys)
        before = killed - self.grace if self.grace else float("inf")
        for writer in load:
            self.problems += writer.wrong
            self.acknowledged += writer.acknowledged
            for key in writer.keys():
                self._check_key(writer, key, found.get(key, 0), before)
            for one, two in (writer.multi, writer.mset):
                if found.get(one) != found.get(two):
                    self.problems.append("torn: %s is %r, %s is %r"
                                         % (one, found.get(one), two, found.get(two)))
        self.base = found

    def _check_key(self, writer, key, value, before):
        least = writer.must_have(key, before)
        if least is None:
            least = self.base.get(key, 0)  # it was recovered once: it must be on the disk
        last = writer.must_have(key, float("inf"))
        self.lost += max(0, (last or 0) - value)
        if value < least:
            self.problems.append("lost: %s is %d after the restart, %d was acknowledged"
                                 % (key, value, least))
        if value > writer.sent.get(key, 0):
            self.problems.append("invented: %s is %d, only %d was sent"
                                 % (key, value, writer.sent.get(key, 0)))
