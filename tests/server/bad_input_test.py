#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a broken or hostile client sends: each gets a clear error, others are served."""
import os
import random
import socket
import threading
import time
import unittest

import harness

HALF_OPEN = int(os.environ.get("WEFT_TEST_HALF_OPEN", "10000"))
MIB = 1 << 20


class BadInput(harness.NodeCase):
    def setUp(self):
        self.server = self.node(threads=2, max_clients=12_000, sync="always")
        self.control = self.connect(self.server)
        self.control.must("SET", "kept", "1")

    def tearDown(self):
        self.assertTrue(self.server.alive(), self.server.log()[-2000:])
        self.assertEqual(self.control.must("GET", "kept"), b"1")
        with self.server.connect() as connection:
            self.assertEqual(connection.must("GET", "kept"), b"1")

    def raw(self, data, timeout=10.0):
        connection = harness.Resp(self.server.address, timeout)
        self.addCleanup(connection.close)
        connection.send(data)
        return connection


class Protocol(BadInput):
    def test_malformed_requests(self):
        """The error that redis-server gives, then the end of the connection."""
        cases = {
            b"*abc\r\n": "invalid multibulk length",
            b"*2147483648\r\n": "invalid multibulk length",
            b"*99999999999999999999999\r\n": "invalid multibulk length",
            b"*1 \r\n": "invalid multibulk length",
            b"*1\r\nPING\r\n": "expected '$', got 'P'",
            b"*1\r\n:1\r\n": "expected '$', got ':'",
            b"*2\r\n$3\r\nGET\r\n*1\r\n": "expected '$', got '*'",
            b"*1\r\n$abc\r\n": "invalid bulk length",
            b"*1\r\n$-1\r\n": "invalid bulk length",
            b"*1\r\n$-9223372036854775808\r\n": "invalid bulk length",
            b"*1\r\n$536870913\r\n": "invalid bulk length",
            b"*1\r\n$18446744073709551617\r\n": "invalid bulk length",
            b"set \"a\r\n": "unbalanced quotes in request",
            b"set 'a\r\n": "unbalanced quotes in request",
            b"set \"a\"b c\r\n": "unbalanced quotes in request",
            b"a" * 66_000: "too big inline request",
            b"*" + b"1" * 66_000: "too big mbulk count string",
            b"*1\r\n$" + b"1" * 66_000: "too big bulk count string",
        }
        for data, text in cases.items():
            connection = self.raw(data)
            reply = connection.read()
            self.assert_error(reply, "ERR Protocol error: " + text)
            self.assertTrue(connection.at_end(), data[:40])

    def test_replies_before_the_error_are_kept(self):
        connection = self.raw(harness.encode("SET", "a", "1") + harness.encode("INCR", "a")
                              + b"*1\r\n!\r\n" + harness.encode("INCR", "a"))
        self.assertEqual([connection.read(), connection.read()], ["OK", 2])
        self.assert_error(connection.read(), "ERR Protocol error")
        self.assertTrue(connection.at_end())
        self.assertEqual(self.control.must("GET", "a"), b"2")

    def test_empty_requests_are_passed_over(self):
        connection = self.raw(b"\r\n*0\r\n*-1\r\n \r\n\n*1\r\n$4\r\nPING\r\nPING\r\n")
        self.assertEqual([connection.read(), connection.read()], ["PONG", "PONG"])

    def test_a_request_for_a_web_server_ends_the_connection(self):
        """A browser that is tricked into sending a form here must not run commands."""
        connection = self.raw(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET kept 2\r\n")
        self.assertTrue(connection.at_end())
        connection = self.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET kept 2\r\n")
        self.assertTrue(connection.at_end())

    def test_every_split(self):
        """A request is the same wherever the network cuts it."""
        data = harness.encode("SET", "split", b"\r\n*1$2\r\n") + harness.encode("GET", "split")
        for cut in range(1, len(data)):
            connection = self.raw(data[:cut])
            if cut % 16 == 0:
                time.sleep(0.002)
            connection.send(data[cut:])
            self.assertEqual([connection.read(), connection.read()], ["OK", b"\r\n*1$2\r\n"])
            connection.close()
        connection = self.raw(b"")
        for i in range(len(data)):
            connection.send(data[i:i + 1])
            time.sleep(0.0005)
        self.assertEqual([connection.read(), connection.read()], ["OK", b"\r\n*1$2\r\n"])

    def test_random_bytes(self):
        generator = random.Random(20)
        alphabet = [b"*", b"$", b"\r\n", b"1", b"3", b"-1", b"GET", b"SET", b"a", b"\0", b"\xff",
                    b"\"", b" ", b"MULTI", b"EXEC", b"*3\r\n$3\r\nSET\r\n$1\r\nz\r\n"]
        for _ in range(400):
            try:
                with harness.Resp(self.server.address, 5.0) as connection:
                    connection.send(b"".join(generator.choice(alphabet)
                                             for _ in range(generator.randint(1, 60))))
                    connection.send(generator.randbytes(generator.randint(0, 200)) + b"\r\n")
                    connection.socket.shutdown(socket.SHUT_WR)
                    self.assertTrue(connection.at_end())
            except OSError:
                pass  # closed by the node already

    @harness.weft_only
    def test_arguments_in_every_number(self):
        """Each command with none to six wrong arguments, with every sort of them."""
        names = [item[0].decode() for item in self.control.must("COMMAND")]
        skipped = {"shutdown", "quit", "debug", "flushall", "flushdb", "client", "hello", "auth",
                   "reset", "multi", "exec", "discard", "config", "save", "bgsave", "wait"}
        words = [b"", b"kept:not", b"-1", b"9223372036854775808", b"\0\r\n\xff", b"1e400", b"EX"]
        without = {"ping", "dbsize", "randomkey", "info", "time", "lastsave", "command", "unwatch"}
        generator = random.Random(7)
        connection = self.raw(b"")
        for name in names:
            if name in skipped:
                continue
            for count in range(7):
                for _ in range(3):
                    reply = connection.call(name, *generator.choices(words, k=count))
                    if count == 0 and name not in without:
                        self.assert_error(reply, "ERR wrong number of arguments")
        self.assertEqual(connection.must("PING"), "PONG")


class Limits(BadInput):
    def test_announced_lengths_take_no_memory(self):
        before = self.server.rss()
        for data in (b"*1000000\r\n", b"*1048576\r\n$1\r\na\r\n", b"*1\r\n$536870912\r\n",
                     b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nx"):
            for _ in range(50):
                self.raw(data)
        time.sleep(0.3)
        self.assertEqual(self.control.must("PING"), "PONG")
        self.assertLess(self.server.rss() - before, 64 * MIB)

    def test_large_value(self):
        value = os.urandom(MIB) * 64
        connection = self.connect(self.server, 60.0)
        self.assertEqual(connection.must("SET", "large", value), "OK")
        self.assertEqual(connection.must("GET", "large"), value)
        self.assertEqual(connection.must("APPEND", "large", "x"), len(value) + 1)
        self.server.kill()
        self.server.start()
        self.control = self.connect(self.server, 60.0)
        self.assertEqual(self.control.must("GET", "large"), value + b"x")
        self.assertEqual(self.control.must("DEL", "large"), 1)

    def test_values_beyond_the_limit(self):
        self.assert_error(self.control.call("SETRANGE", "big", "536870912", "x"),
                          "ERR string exceeds maximum allowed size")
        self.assert_error(self.control.call("SETRANGE", "big", "-1", "x"),
                          "ERR offset is out of range")
        self.assertEqual(self.control.must("EXISTS", "big"), 0)

    def test_long_keys(self):
        for size in (0, 1, 255, 256, 65_535, 65_536, MIB):
            key = b"k" * size
            self.assertEqual(self.control.must("SET", key, size), "OK")
            self.assertEqual(self.control.must("GET", key), b"%d" % size)
        self.server.kill()
        self.server.start()
        self.control = self.connect(self.server)
        self.assertEqual(self.control.must("STRLEN", b"k" * MIB), 7)
        self.assertEqual(self.control.must("GET", b""), b"0")

    def test_many_arguments(self):
        pairs = [b"%d" % i for i in range(200_000)]
        self.assertEqual(self.control.must("MSET", *pairs), "OK")
        self.assertEqual(self.control.must("MGET", *pairs[::2]), pairs[1::2])
        self.assertEqual(self.control.must("DEL", *pairs[::2]), 100_000)

    def test_wrong_types_of_arguments(self):
        self.control.must("SET", "text", "abc")
        for words, text in (
                (("INCR", "text"), "ERR value is not an integer or out of range"),
                (("INCRBY", "n", "1.5"), "ERR value is not an integer or out of range"),
                (("INCRBYFLOAT", "text", "1"), "ERR value is not a valid float"),
                (("INCRBYFLOAT", "n", "nan"), "ERR value is not a valid float"),
                (("EXPIRE", "text", "soon"), "ERR value is not an integer or out of range"),
                (("EXPIRE", "text", "9223372036854775807"), "ERR invalid expire time"),
                (("SET", "text", "x", "PX", "-5"), "ERR invalid expire time in 'set' command"),
                (("SCAN", "abc"), "ERR invalid cursor"),
                (("SELECT", "99"), "ERR DB index is out of range"),
                (("GET", "a", "b"), "ERR wrong number of arguments for 'get' command"),
                (("LPUSH7", "a", "b"), "ERR unknown command 'LPUSH7'"),
                (("EXEC",), "ERR EXEC without MULTI"),
                (("DISCARD",), "ERR DISCARD without MULTI")):
            self.assert_error(self.control.call(*words), text)
        self.assertEqual(self.control.must("GET", "text"), b"abc")

    def test_error_inside_multi_refuses_the_whole(self):
        replies = self.control.pipeline([("MULTI",), ("SET", "m", 1), ("NOSUCH",), ("EXEC",)])
        self.assert_error(replies[2], "ERR unknown command")
        self.assert_error(replies[3], "EXECABORT")
        self.assertEqual(self.control.must("EXISTS", "m"), 0)

    def test_unauthenticated_clients_are_kept_small(self):
        node = self.node(password="secret", memory=True)
        for data in (b"*11\r\n", b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"):
            with harness.Resp(node.address) as connection:
                connection.send(data)
                self.assert_error(connection.read(), "ERR Protocol error: unauthenticated")
                self.assertTrue(connection.at_end())
        with harness.Resp(node.address) as connection:
            self.assert_error(connection.call("GET", "a"), "NOAUTH")
            self.assert_error(connection.call("AUTH", "wrong"), "WRONGPASS")
            self.assertEqual(connection.must("AUTH", "secret"), "OK")
            self.assertIsNone(connection.must("GET", "a"))


class Crowd(BadInput):
    def test_half_open_connections(self):
        """Thousands of clients that send half a request and wait cost little and block nobody."""
        if harness.raise_file_limit(HALF_OPEN + 200) < HALF_OPEN + 200:
            self.skipTest("the limit of open files is too low")
        before = self.server.rss()
        sockets = []
        try:
            for i in range(HALF_OPEN):
                half = socket.create_connection(self.server.address, 20.0)
                sockets.append(half)
                half.sendall((b"*3\r\n$3\r\nSET\r\n$5\r\nhal", b"", b"PIN", b"*")[i % 4])
            began = time.monotonic()
            for _ in range(200):
                self.control.must("INCR", "alive")
            latency = (time.monotonic() - began) / 200
            with self.server.connect() as newcomer:
                self.assertEqual(newcomer.must("PING"), "PONG")
                info = newcomer.must("INFO", "clients").decode()
            self.assertGreaterEqual(int(info.split("connected_clients:")[1].split()[0]),
                                    HALF_OPEN)
            each = (self.server.rss() - before) / HALF_OPEN
            print("%d half-open: %.1f KiB each, INCR beside them %.2f ms"
                  % (HALF_OPEN, each / 1024, latency * 1e3))
            self.assertLess(each, (400 if self.server.is_instrumented() else 40) * 1024)
            self.assertLess(latency, 0.1)
            for half in sockets[:40:4]:
                half.sendall(b"fx\r\n$1\r\n1\r\n")
                self.assertEqual(half.recv(100), b"+OK\r\n")
        finally:
            for half in sockets:
                half.close()
        deadline = time.monotonic() + 20
        while len(self.control.must("CLIENT", "LIST").splitlines()) > 50:
            self.assertLess(time.monotonic(), deadline, "connections are not given back")
            time.sleep(0.05)

    def test_too_many_clients(self):
        node = self.node(memory=True, max_clients=32)
        with node.connect() as first:
            others = [harness.Resp(node.address) for _ in range(31)]
            for other in others:
                self.assertEqual(other.must("PING"), "PONG")
            with harness.Resp(node.address) as refused:
                self.assert_error(refused.read(), "ERR max number of clients reached")
                self.assertTrue(refused.at_end())
            self.assertEqual(first.must("PING"), "PONG")
            for other in others:
                other.close()
            time.sleep(0.3)
            with harness.Resp(node.address) as welcome:
                self.assertEqual(welcome.must("PING"), "PONG")

    def test_connections_that_come_and_go(self):
        """Resets, half closes and silence in quick turn leave nothing behind."""
        linger = b"\x01\0\0\0\0\0\0\0"
        for i in range(1500):
            client = socket.create_connection(self.server.address, 10.0)
            if i % 3 == 0:
                client.sendall(harness.encode("GET", "kept") * 100)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif i % 3 == 1:
                client.sendall(b"*3\r\n$3\r\nSET")
                client.shutdown(socket.SHUT_WR)
            client.close()
        deadline = time.monotonic() + 10
        while len(self.control.must("CLIENT", "LIST").splitlines()) > 1:
            self.assertLess(time.monotonic(), deadline, "connections are not given back")
            time.sleep(0.05)
        self.assertLess(len(os.listdir("/proc/%d/fd" % self.server.process.pid)), 100)


class SlowReaders(BadInput):
    SIZE = MIB
    COUNT = 600

    @harness.weft_only
    def test_replies_that_nobody_reads_are_bounded(self):
        value = b"v" * self.SIZE
        self.control.must("SET", "wide", value)
        slow = self.raw(b"", 30.0)
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sender = threading.Thread(target=self.send_quietly, args=(slow,))
        sender.start()
        most = 0
        ends = time.monotonic() + 1.5
        while time.monotonic() < ends:
            self.assertEqual(self.control.must("PING"), "PONG")
            most = max(most, self.server.rss())
            time.sleep(0.01)
        print("%d MB asked for, at most %d MiB resident" % (self.COUNT, most / MIB))
        self.assertLess(most, 400 * MIB)
        got = 0
        try:
            for _ in range(self.COUNT):
                self.assertEqual(slow.read(), value)
                got += 1
        except (EOFError, ConnectionError):
            pass  # the other allowed answer: the connection was closed
        sender.join()
        print("%d replies were read in the end" % got)
        self.assertEqual(self.control.must("PING"), "PONG")

    def send_quietly(self, connection):
        try:
            connection.send(harness.encode("GET", "wide") * self.COUNT)
        except OSError:
            pass

    def test_more_replies_than_any_buffer_holds(self):
        """One pipeline, 600 MB of replies, a client that reads them: it gets them all."""
        value = b"v" * self.SIZE
        self.control.must("SET", "wide", value)
        connection = self.raw(harness.encode("GET", "wide") * self.COUNT, 60.0)
        for _ in range(self.COUNT):
            self.assertEqual(connection.read(), value)

    def test_reader_that_is_only_slow_gets_everything(self):
        connection = self.raw(harness.encode("GET", "kept") * 50_000, 60.0)
        for turn in range(50_000):
            self.assertEqual(connection.read(), b"1")
            if turn % 5_000 == 0:
                time.sleep(0.05)

    def test_requests_without_reading(self):
        """A client that only writes, many small commands: the node stops reading, or copes."""
        connection = self.raw(b"", 60.0)
        connection.socket.settimeout(2.0)
        data = harness.encode("INCR", "flood") * 10_000
        sent = 0
        try:
            for _ in range(60):
                connection.send(data)
                sent += 10_000
        except (socket.timeout, OSError):
            pass
        self.assertEqual(self.control.must("PING"), "PONG")
        self.assertLess(self.server.rss(), 400 * MIB)


if __name__ == "__main__":
    unittest.util._MAX_LENGTH = 400  # values here are long
    harness.main()
