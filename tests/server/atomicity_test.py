#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Commands on several keys are seen whole or not at all, whichever threads serve the clients."""
import random
import threading
import time

import harness

SECONDS = 1.5
THREADS = 4  # of the node: more than this machine may have, so that they interrupt each other


class Atomicity(harness.NodeCase):
    def setUp(self):
        self.server = self.node(memory=True, threads=THREADS)
        self.control = self.connect(self.server)

    def run_all(self, *works, seconds=SECONDS):
        """Runs each work(connection, going) in a thread with its own connection."""
        ends = time.monotonic() + seconds
        failures = []

        def guarded(work):
            try:
                with self.server.connect() as connection:
                    work(connection, lambda: time.monotonic() < ends)
            except Exception as failure:  # shown by the test
                failures.append("%s: %s" % (type(failure).__name__, failure))

        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_mset_pairs_are_never_torn(self):
        seen = []

        def write(connection, going):
            name, turn = threading.get_ident(), 0
            while going():
                values = [b"%d:%d" % (name, turn + i) for i in range(8)]
                connection.pipeline([("MSET", "a", v, "b", v, "c", v) for v in values])
                turn += 8

        def read(connection, going):
            while going():
                for values in connection.pipeline([("MGET", "a", "c", "b")] * 8):
                    assert values[0] == values[1] == values[2], values
                    seen.append(values[0])

        self.run_all(write, write, read, read)
        self.assertGreater(len(set(seen)), 20)

    def test_del_and_msetnx_act_on_all_keys_at_once(self):
        def write(connection, going):
            while going():
                connection.pipeline([("MSETNX", "x", 1, "y", 1), ("DEL", "x", "y")] * 4)

        def read(connection, going):
            while going():
                for count in connection.pipeline([("EXISTS", "x", "y")] * 8):
                    assert count in (0, 2), count

        self.run_all(write, write, read, read)

    def test_transfers_keep_the_sum(self):
        accounts = ["account:%d" % i for i in range(16)]
        self.control.must("MSET", *[word for name in accounts for word in (name, 100)])

        def transfer(connection, going):
            while going():
                commands = []
                for _ in range(4):
                    source, target = random.sample(accounts, 2)
                    amount = random.randint(1, 9)
                    commands += [("MULTI",), ("DECRBY", source, amount),
                                 ("INCRBY", target, amount), ("EXEC",)]
                for reply in connection.pipeline(commands)[3::4]:
                    assert isinstance(reply, list) and len(reply) == 2, reply

        def audit(connection, going):
            while going():
                values = connection.must("MGET", *accounts)
                assert sum(map(int, values)) == 1600, values

        def audit_in_transaction(connection, going):
            while going():
                reply = connection.pipeline([("MULTI",), *[("GET", a) for a in accounts],
                                             ("EXEC",)])[-1]
                assert sum(map(int, reply)) == 1600, reply

        self.run_all(transfer, transfer, transfer, audit, audit_in_transaction)

    def test_watch_makes_increments_exact(self):
        done = []
        self.control.must("SET", "n", 0)

        def count(connection, going):
            while going():
                connection.must("WATCH", "n")
                value = int(connection.must("GET", "n"))
                reply = connection.pipeline([("MULTI",), ("SET", "n", value + 1), ("EXEC",)])[-1]
                if reply is not None:
                    assert reply == ["OK"], reply
                    done.append(1)

        self.run_all(*[count] * 4)
        self.assertEqual(int(self.control.must("GET", "n")), len(done))
        self.assertGreater(len(done), 50)

    def test_incr_is_exact(self):
        rounds, depth = 100, 50

        def count(connection, _):
            for _ in range(rounds):
                replies = connection.pipeline([("INCR", "n")] * depth)
                assert replies == sorted(set(replies)), "replies do not grow"

        self.run_all(*[count] * 4)
        self.assertEqual(self.control.must("GET", "n"), b"%d" % (4 * rounds * depth))

    def test_rename_never_loses(self):
        names = ["r:%d" % i for i in range(4)]
        self.control.must("SET", names[0], "ball")

        def rename(connection, going):
            while going():
                commands = [("RENAMENX", *random.sample(names, 2)) for _ in range(8)]
                for reply in connection.pipeline(commands):
                    text = str(reply)
                    assert reply in (0, 1) or text == "ERR no such key", text

        def look(connection, going):
            while going():
                for values in connection.pipeline([("MGET", *names)] * 4):
                    assert values.count(b"ball") == 1, values

        self.run_all(rename, rename, look, look)

    def test_copy_and_getdel_and_set_get_hand_over_once(self):
        taken, given = [], []

        def give(connection, going):
            turn = 0
            while going():
                value = b"%d:%d" % (threading.get_ident(), turn)
                if connection.must("SET", "slot", value, "NX") == "OK":
                    given.append(value)
                turn += 1

        def take(connection, going):
            while going():
                value = connection.must("GETDEL", "slot")
                if value is not None:
                    taken.append(value)

        self.run_all(give, give, take, take)
        last = self.control.must("GETDEL", "slot")
        if last is not None:
            taken.append(last)
        self.assertEqual(sorted(taken), sorted(given))
        self.assertGreater(len(taken), 50)

    def test_appends_are_whole(self):
        rounds = 300

        def append(letter):
            def work(connection, _):
                for _ in range(rounds):
                    connection.pipeline([("APPEND", "text", letter * 7)] * 4)
            return work

        self.run_all(*[append(letter) for letter in (b"a", b"b", b"c")])
        text = self.control.must("GET", "text")
        self.assertEqual(len(text), 3 * rounds * 4 * 7)
        parts = {text[i:i + 7] for i in range(0, len(text), 7)}
        self.assertEqual(parts, {b"a" * 7, b"b" * 7, b"c" * 7})

    def test_flushall_is_one_point(self):
        def write(connection, going):
            turn = 0
            while going():
                connection.pipeline([("MSET", "p", turn, "q", turn)] * 4 + [("FLUSHALL",)])
                turn += 1

        def read(connection, going):
            while going():
                for one, two in connection.pipeline([("MGET", "p", "q")] * 8):
                    assert (one is None) == (two is None), (one, two)

        self.run_all(write, write, read, read)


if __name__ == "__main__":
    harness.main()
