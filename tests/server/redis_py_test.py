#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis-py, unmodified: counters with TTL, sessions, pipelines, MULTI and WATCH, SCAN."""
import threading
import time

import harness

SCAN_KEYS = 100_000


class RedisPy(harness.NodeCase):
    def setUp(self):
        import redis
        self.redis = redis
        self.server = self.node()
        self.client = self.connect_client()

    def connect_client(self, node=None, **options):
        client = self.redis.Redis(port=(node or self.server).port, **options)
        self.addCleanup(client.close)
        return client

    def test_counters_with_ttl(self):
        client = self.client
        self.assertEqual(client.incr("hits"), 1)
        self.assertTrue(client.pexpire("hits", 200))
        self.assertEqual(client.incr("hits", 9), 10)
        self.assertTrue(0 < client.pttl("hits") <= 200)
        self.assertEqual(client.decr("hits", 3), 7)
        self.assertAlmostEqual(client.incrbyfloat("load", 0.25), 0.25)
        self.assertAlmostEqual(client.incrbyfloat("load", "1e2"), 100.25)
        time.sleep(0.25)
        self.assertIsNone(client.get("hits"))
        self.assertEqual(client.incr("hits"), 1)
        self.assertEqual(client.ttl("hits"), -1)
        self.assertFalse(client.expire("hits", 10, xx=True))
        self.assertTrue(client.expire("hits", 10, nx=True))
        self.assertFalse(client.expire("hits", 5, gt=True))
        self.assertTrue(client.expire("hits", 5, lt=True))
        client.set("max", 2 ** 63 - 1)
        with self.assertRaisesRegex(self.redis.ResponseError, "overflow"):
            client.incr("max")
        self.assertEqual(int(client.get("max")), 2 ** 63 - 1)

    def test_sessions(self):
        client = self.client
        client.set("session:1", b"\x00alice\r\n", ex=60)
        self.assertEqual(client.getex("session:1", ex=600), b"\x00alice\r\n")
        self.assertTrue(598 <= client.ttl("session:1") <= 600)
        self.assertTrue(client.set("session:1", "bob", keepttl=True))
        self.assertTrue(598 <= client.ttl("session:1") <= 600)
        self.assertEqual(client.set("session:1", "carol", get=True), b"bob")
        self.assertEqual(client.ttl("session:1"), -1)
        self.assertIsNone(client.set("session:1", "dave", nx=True))
        self.assertEqual(client.getdel("session:1"), b"carol")
        self.assertEqual(client.exists("session:1"), 0)
        at = int(time.time()) + 100
        client.set("session:2", "eve", exat=at)
        self.assertEqual(client.execute_command("EXPIRETIME", "session:2"), at)
        self.assertTrue(client.persist("session:2"))
        self.assertEqual(client.ttl("session:2"), -1)

    def test_pipelines(self):
        with self.client.pipeline(transaction=False) as pipe:
            for i in range(5000):
                pipe.set("p:%d" % i, i).incr("sum", i).get("p:%d" % i)
            replies = pipe.execute()
        self.assertEqual(len(replies), 15000)
        self.assertEqual(replies[2::3], [b"%d" % i for i in range(5000)])
        self.assertEqual(replies[-2], sum(range(5000)))
        self.assertEqual(self.client.mget("p:1", "none", "p:4999"), [b"1", None, b"4999"])

    def test_pipeline_keeps_an_error_in_its_place(self):
        self.client.set("text", "abc")
        with self.client.pipeline(transaction=False) as pipe:
            replies = pipe.incr("n").incr("text").incr("n").execute(raise_on_error=False)
        self.assertEqual((replies[0], replies[2]), (1, 2))
        self.assertIsInstance(replies[1], self.redis.ResponseError)

    def test_multi(self):
        with self.client.pipeline() as pipe:
            replies = pipe.set("a", 1).incr("a").get("a").delete("a").execute()
        self.assertEqual(replies, [True, 2, b"2", 1])
        with self.client.pipeline() as pipe:
            pipe.set("text", "abc").incr("text").incr("n")
            with self.assertRaises(self.redis.ResponseError):
                pipe.execute()
        self.assertEqual(self.client.get("n"), b"1")

    def test_watch_counts_exactly(self):
        workers, rounds = 4, 100
        self.client.set("n", 0)

        def work():
            client = self.connect_client()
            for _ in range(rounds):
                client.transaction(
                    lambda pipe: (lambda n: (pipe.multi(), pipe.set("n", n + 1)))(
                        int(pipe.get("n"))), "n")

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.client.get("n"), b"%d" % (workers * rounds))

    def test_scan(self):
        expected = {b"scan:%06d" % i for i in range(SCAN_KEYS)}
        with self.client.pipeline(transaction=False) as pipe:
            for start in range(0, SCAN_KEYS, 1000):
                pipe.mset({"scan:%06d" % i: i for i in range(start, start + 1000)})
            pipe.execute()
        self.assertEqual(self.client.dbsize(), SCAN_KEYS)
        self.assertEqual(set(self.client.scan_iter(count=1000)), expected)
        self.assertEqual(set(self.client.scan_iter(match="scan:0000*")),
                         {b"scan:%06d" % i for i in range(100)})
        self.assertEqual(set(self.client.keys("scan:00000?")),
                         {b"scan:%06d" % i for i in range(10)})
        self.assertIn(self.client.randomkey(), expected)

    def test_scan_while_keys_are_written_and_removed(self):
        stable = {b"stable:%05d" % i for i in range(20_000)}
        self.client.mset({key: 1 for key in stable})
        stop = threading.Event()

        def churn():
            client = self.connect_client()
            turn = 0
            while not stop.is_set():
                names = ["churn:%d:%d" % (turn, i) for i in range(5000)]
                client.mset({name: 1 for name in names})
                client.delete(*names)
                turn += 1

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(3):
                found = set(self.client.scan_iter(count=100))
                self.assertEqual(stable - found, set())
        finally:
            stop.set()
            thread.join()

    def test_password_and_client_name(self):
        node = self.node(password="pass:with spaces")
        with self.assertRaises(self.redis.AuthenticationError):
            self.connect_client(node).ping()
        client = self.connect_client(node, password="pass:with spaces", client_name="worker")
        self.assertTrue(client.ping())
        self.assertEqual(client.client_getname(), "worker")
        self.assertIn("worker", [entry["name"] for entry in client.client_list()])

    def test_blocking_pool_of_connections(self):
        clients = [self.connect_client() for _ in range(50)]
        for turn in range(20):
            for client in clients:
                client.incr("shared")
        self.assertEqual(self.client.get("shared"), b"%d" % (50 * 20))

    def test_a_running_checkpoint_is_told(self):
        pipe = self.client.pipeline(transaction=False)
        for i in range(50_000):
            pipe.set("key:%d" % i, b"x" * 100)
        pipe.execute()
        before = self.client.lastsave()
        pipe.bgsave()
        pipe.info("persistence")
        told = pipe.execute()[1]
        self.assertEqual(told["rdb_bgsave_in_progress"], 1)
        self.assertEqual(told["aof_rewrite_in_progress"], 1)
        deadline = time.monotonic() + 30
        while told["rdb_bgsave_in_progress"] and time.monotonic() < deadline:
            time.sleep(0.05)
            told = self.client.info("persistence")
        self.assertEqual(told["rdb_bgsave_in_progress"], 0)
        self.assertEqual(told["rdb_last_bgsave_status"], "ok")
        self.assertGreaterEqual(self.client.lastsave(), before)

    def test_server_information(self):
        info = self.client.info()
        self.assertIn("redis_version", info)
        self.assertGreaterEqual(info["connected_clients"], 1)
        self.client.set("k", "v" * 100)
        self.assertGreaterEqual(self.client.memory_usage("k"), 100)
        self.assertTrue(abs(self.client.time()[0] - time.time()) < 2)
        self.assertGreater(self.client.command_count(), 50)
        self.assertIn("save", self.client.config_get("*"))
        self.assertTrue(self.client.flushall())
        self.assertEqual(self.client.dbsize(), 0)


if __name__ == "__main__":
    harness.main(modules=["redis"])
