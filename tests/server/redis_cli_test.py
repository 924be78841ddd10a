#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis-cli, unmodified: the commands a person types, --pipe, -3 and --scan."""
import os
import subprocess
import time

import harness

SCAN_KEYS = 100_000


class RedisCli(harness.NodeCase):
    def setUp(self):
        self.server = self.node()

    def cli(self, *words, data=None, options=()):
        done = subprocess.run(["redis-cli", "-p", str(self.server.port), *options, *words],
                              input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, check=False)
        return done.stdout.decode("utf-8", "replace").rstrip("\n")

    def fill(self, prefix, count):
        lines = b"".join(harness.encode("SET", "%s:%06d" % (prefix, i), "v%d" % i)
                         for i in range(count))
        return self.cli("--pipe", data=lines)

    def test_counter_with_ttl(self):
        self.assertEqual(self.cli("ping"), "PONG")
        self.assertEqual(self.cli("incr", "hits"), "1")
        self.assertEqual(self.cli("incrby", "hits", "41"), "42")
        self.assertEqual(self.cli("decr", "hits"), "41")
        self.assertEqual(self.cli("incrbyfloat", "load", "1.5"), "1.5")
        self.assertEqual(self.cli("pexpire", "hits", "150"), "1")
        self.assertIn(self.cli("ttl", "hits"), ("0", "1"))
        time.sleep(0.2)
        self.assertEqual(self.cli("get", "hits"), "")
        self.assertEqual(self.cli("ttl", "hits"), "-2")
        self.assertEqual(self.cli("ttl", "load"), "-1")

    def test_session(self):
        self.assertEqual(self.cli("set", "session:1", "alice", "ex", "100"), "OK")
        self.assertEqual(self.cli("getex", "session:1", "ex", "500"), "alice")
        self.assertIn(int(self.cli("ttl", "session:1")), (499, 500))
        self.assertEqual(self.cli("getex", "session:1", "persist"), "alice")
        self.assertEqual(self.cli("ttl", "session:1"), "-1")
        self.assertEqual(self.cli("set", "session:1", "bob", "nx"), "")
        self.assertEqual(self.cli("set", "session:1", "bob", "xx", "get"), "alice")

    def test_transaction_in_one_run(self):
        out = self.cli(data=b"multi\nset a 1\nincr a\nget a\nexec\n")
        self.assertEqual(out.split("\n"), ["OK", "QUEUED", "QUEUED", "QUEUED", "OK", "2", "2"])

    def test_errors_are_redis_words(self):
        self.cli("set", "text", "abc")
        self.assertEqual(self.cli("incr", "text").strip(),
                         "ERR value is not an integer or out of range")
        self.assertEqual(self.cli("get").strip(),
                         "ERR wrong number of arguments for 'get' command")
        self.assertEqual(self.cli("nonsense", "a", "b").strip(),
                         "ERR unknown command 'nonsense', with args beginning with: 'a' 'b'")
        self.assertEqual(self.cli("set", "a", "b", "ex", "0").strip(),
                         "ERR invalid expire time in 'set' command")
        self.assertEqual(self.cli("set", "a", "b", "nx", "xx").strip(), "ERR syntax error")

    def test_pipe_and_scan(self):
        out = self.fill("key", SCAN_KEYS)
        self.assertIn("errors: 0, replies: %d" % SCAN_KEYS, out)
        self.assertEqual(self.cli("dbsize"), str(SCAN_KEYS))
        found = self.cli(options=("--scan",)).split("\n")
        self.assertEqual(set(found), {"key:%06d" % i for i in range(SCAN_KEYS)})
        found = self.cli(options=("--scan", "--pattern", "key:0000??")).split("\n")
        self.assertEqual(set(found), {"key:%06d" % i for i in range(100)})

    def test_pipe_reports_errors(self):
        data = harness.encode("SET", "a", "x") + harness.encode("INCR", "a")
        self.assertIn("errors: 1, replies: 2", self.cli("--pipe", data=data))

    def test_resp3(self):
        out = self.cli("hello", "3", options=("-3", "--no-raw"))
        self.assertIn('"proto" => (integer) 3', out)
        self.assertEqual(self.cli("set", "a", "1", options=("-3",)), "OK")
        self.assertEqual(self.cli("get", "none", options=("-3", "--no-raw")), "(nil)")
        self.assertEqual(self.cli("mget", "a", "none", options=("-3", "--no-raw")),
                         '1) "1"\n2) (nil)')

    def test_bulk_binary_value(self):
        value = os.urandom(70_000).replace(b"\n", b"x")
        self.assertEqual(self.cli("-x", "set", "blob", data=value), "OK")
        self.assertEqual(self.cli("strlen", "blob"), str(len(value)))
        done = subprocess.run(["redis-cli", "-p", str(self.server.port), "--raw", "get", "blob"],
                              stdout=subprocess.PIPE, timeout=20, check=True)
        self.assertEqual(done.stdout, value + b"\n")

    def test_info_and_latency_modes(self):
        info = self.cli("info")
        for field in ("redis_version:", "connected_clients:", "used_memory:",
                      "total_commands_processed:", "# Keyspace"):
            self.assertIn(field, info)
        self.assertEqual(self.cli("-n", "0", "ping"), "PONG")
        self.cli("mset", "a", "1", "b", "2")
        with subprocess.Popen(["redis-cli", "-p", str(self.server.port), "--stat", "-i", "0.05"],
                              stdout=subprocess.PIPE) as stat:
            lines = [stat.stdout.readline().decode().split() for _ in range(4)]
            stat.kill()
        self.assertEqual(lines[1][0], "keys")
        self.assertEqual(lines[2][0], "2")
        self.assertEqual(lines[3][0], "2")

    def test_unix_socket_and_password(self):
        node = self.node(unix=True, password="open sesame")
        base = ["redis-cli", "-s", node.unix]

        def run(*words):
            return subprocess.run([*base, *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=20,
                                  check=False).stdout.decode().strip()

        self.assertEqual(run("get", "a"), "NOAUTH Authentication required.")
        self.assertTrue(run("auth", "wrong").startswith("WRONGPASS"))
        self.assertEqual(run("-a", "open sesame", "set", "a", "1"), "OK")
        self.assertEqual(run("-a", "open sesame", "incr", "a"), "2")


if __name__ == "__main__":
    harness.main(tools=["redis-cli"])
