#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`weft bench serve` at work: plausible figures of weft, and servers that answer wrongly, close,
hang or speak another language, which it must find out without hanging itself.

    tests/cli/bench_serve_test.py                      run the tests
    tests/cli/bench_serve_test.py serve PORT BEHAVIOUR be a small server of one kind
"""
import json
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.abspath(__file__)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(ROOT, "build", "weft"))
SOME_REQUESTS = 500  # after so many the planted servers begin to misbehave


class PlantedServer(socketserver.StreamRequestHandler):
    """GET, SET, MSET, INCR and PING for one behaviour."""
    behaviour = "good"
    table = {}
    requests = 0
    gate = threading.Lock()

    def handle(self):
        while True:
            head = self.rfile.readline()
            if not head:
                return
            words = []
            for _ in range(int(head[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2])
            with self.gate:
                PlantedServer.requests += 1
                if self.behaviour == "stall" and self.requests % 300 == 0:
                    time.sleep(0.4)
            reply = self.answer(words[0].upper(), words[1:])
            if self.requests > SOME_REQUESTS:
                if self.behaviour == "close":
                    return
                if self.behaviour == "hang":
                    time.sleep(3600)
                if self.behaviour == "exit":
                    os._exit(1)
                if self.behaviour == "babble":
                    reply += b"+OK\r\n"
                if self.behaviour == "foreign":
                    reply = b"HTTP/1.1 400 Bad Request\r\n\r\n"
            self.wfile.write(reply)

    def answer(self, command, words):
        late = self.requests > SOME_REQUESTS
        if command == b"SET":
            if self.behaviour == "error" and late:
                return b"-OOM command not allowed\r\n"
            self.table[words[0]] = words[1]
            return b"+OK\r\n"
        if command == b"MSET":
            self.table.update(zip(words[::2], words[1::2]))
            return b"+OK\r\n"
        if command == b"INCR":
            count = int(self.table.get(words[0], b"0")) + 1
            if not (self.behaviour == "forget" and self.requests % 7 == 0):
                self.table[words[0]] = b"%d" % count
            return b":%d\r\n" % count
        if command == b"GET":
            return self.get(words[0], late)
        return b"+PONG\r\n" if command == b"PING" else b"-ERR unknown command\r\n"

    def get(self, key, late):
        if self.behaviour == "mixed-up" and late and key.startswith(b"key:"):
            key = b"key:%012d" % (int(key[4:]) ^ 1)
        value = self.table.get(key)
        if value is None or (self.behaviour == "lose" and late):
            return b"$-1\r\n"
        if self.behaviour == "torn" and late:
            value = value[:-1] + b"Z"
        return b"$%d\r\n%s\r\n" % (len(value), value)


def serve(port, behaviour):
    PlantedServer.behaviour = behaviour
    if behaviour == "leave":
        sys.exit("no thank you")
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), PlantedServer) as server:
        server.serve_forever()


def bench(*options, limit=60):
    return subprocess.run([BINARY, "bench", "serve", *options], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=limit, check=False)


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


class Folder(unittest.TestCase):
    """A folder for the servers' data, which must be empty again at the end."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="weft-bench-test-")
        self.data = os.path.join(self.folder.name, "data")
        os.mkdir(self.data)

    def tearDown(self):
        self.assertEqual(os.listdir(self.data), [])
        self.folder.cleanup()

    def run_short(self, *options, peers="none"):
        path = os.path.join(self.folder.name, "result.json")
        done = bench("--peers", peers, "--dir", self.data, "--json", path, "--noisy", "--keys",
                     "300", *options)
        with open(path, encoding="utf-8") as file:
            return done, json.load(file)


class Figures(Folder):
    def test_closed_loop(self):
        done, result = self.run_short("--mix", "get=60,set=20,incr=10,mset=5,setex=5", "--rounds",
                                      "2", "--seconds", "1", "--pipeline", "4", "--threads", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((result["format"], result["kind"]), ("weft-bench/1", "serve"))
        self.assertIn("weft bench serve --peers none", result["command"])
        self.assertEqual([(p["id"], p["status"]) for p in result["peers"]], [("weft", "ok")])
        cells = {cell["id"]: cell["results"][0] for cell in result["cells"]}
        self.assertEqual(set(cells), {"custom/operations", "custom/cpu", "custom/memory"})
        operations = cells["custom/operations"]
        self.assertEqual(len(operations["samples"]), 2)
        self.assertTrue(500 < operations["median"] < 1e8, operations)
        self.assertTrue(operations["low"] <= operations["median"] <= operations["high"])
        self.assertTrue(50 < operations["cpu_ns"] < 2e6, operations)
        self.assertTrue(20 < operations["client_cpu_ns"] < 2e6, operations)
        latency = operations["latency"]
        self.assertTrue(0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"]
                        <= latency["max"] < 5e9, latency)
        # Little's law: 50 connections with 4 requests each, all the time.
        self.assertTrue(0.05 < operations["median"] * latency["p50"] / 1e9 / 200 < 2, operations)

    def test_open_loop_keeps_its_rate(self):
        for arrivals in ("poisson", "constant"):
            done, result = self.run_short("--rate", "2000", "--arrivals", arrivals, "--rounds",
                                          "1", "--seconds", "1")
            self.assertEqual(done.returncode, 0, done.stderr)
            cells = {cell["id"]: cell for cell in result["cells"]}
            found = cells["custom/p99"]["results"][0]
            self.assertEqual(cells["custom/p99"]["better"], "less")
            self.assertEqual((found["late"], found["dropped"]), (0, 0))
            self.assertTrue(1800 < found["latency"]["samples"] < 2200, found)

    def test_overload_is_told(self):
        # Nothing on this machine answers 20 million a second: the backlog fills, and is bounded.
        done, result = self.run_short("--rate", "2e7", "--rounds", "1", "--seconds", "0.3")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = result["cells"][0]["results"][0]
        self.assertGreater(found["dropped"] + found["late"], 0)
        self.assertIn("not answered in time", done.stdout)

    def test_missing_servers_are_named(self):
        environment = dict(os.environ, PATH="/nonexistent")
        done = subprocess.run([BINARY, "bench", "serve", "--mix", "get=100", "--keys", "100",
                               "--rounds", "1", "--seconds", "0.1", "--noisy", "--dir", self.data],
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for package in ("redis-server", "valkey-server", "memcached"):
            self.assertIn("missing, not installed; the package is " + package, done.stdout)

    def test_interrupt_leaves_what_there_is(self):
        path = os.path.join(self.folder.name, "result.json")
        with subprocess.Popen([BINARY, "bench", "serve", "--peers", "none", "--mix", "get=100",
                               "--keys", "100", "--rounds", "100", "--seconds", "0.2", "--noisy",
                               "--dir", self.data, "--json", path],
                              stdout=subprocess.DEVNULL) as process:
            time.sleep(2.0)
            children = children_of(process.pid)
            process.send_signal(signal.SIGINT)
            process.wait(20)
        # The server, and where there is a second processor the partner of the probe.
        self.assertIn(len(children), (1, 2))
        for child in children:
            self.assertFalse(os.path.exists("/proc/%d" % child))
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        self.assertTrue(result["partial"])
        self.assertTrue(0 < len(result["cells"][0]["results"][0]["samples"]) < 100)


class PlantedServers(Folder):
    def judge(self, behaviour, mix="get=50,set=30,incr=20"):
        command = "%s %s serve {port} %s" % (sys.executable, HERE, behaviour)
        done, result = self.run_short("--server", "planted=" + command, "--mix", mix, "--rounds",
                                      "1", "--seconds", "0.3", "--timeout", "3", "--connections",
                                      "4")
        weft, planted = result["peers"]
        self.assertEqual((weft["id"], weft["status"]), ("weft", "ok"), weft)
        measured = {one["peer"] for cell in result["cells"] for one in cell["results"]}
        self.assertEqual("planted" in measured, planted["status"] == "ok")
        self.assertEqual(done.returncode, 0 if planted["status"] == "ok" else 1, done.stderr)
        return planted["status"], planted["note"]

    def test_good_one_is_measured(self):
        self.assertEqual(self.judge("good")[0], "ok")

    def test_stalls_are_not_hidden_by_waiting_for_replies(self):
        # At 500 requests/s every 300th stops the server for 0.4 s, in which 200 more are due. A
        # client that waits would see 4 slow ones of 300.
        command = "%s %s serve {port} stall" % (sys.executable, HERE)
        _, result = self.run_short("--server", "planted=" + command, "--mix", "get=100", "--rounds",
                                   "1", "--seconds", "1.5", "--connections", "4", "--rate", "500",
                                   "--arrivals", "constant")
        cell = next(c for c in result["cells"] if c["id"] == "custom/p99")
        latency = {one["peer"]: one["latency"] for one in cell["results"]}["planted"]
        self.assertTrue(700 <= latency["samples"] <= 751, latency)
        self.assertGreater(latency["p90"], 0.1e9)

    def test_value_of_another_key(self):
        status, note = self.judge("mixed-up")
        self.assertEqual(status, "wrong")
        self.assertIn("nobody wrote", note)

    def test_torn_value(self):
        self.assertEqual(self.judge("torn")[0], "wrong")

    def test_lost_key(self):
        status, note = self.judge("lose")
        self.assertEqual(status, "wrong")
        self.assertIn("missing", note)

    def test_lost_increments(self):
        status, note = self.judge("forget")
        self.assertEqual(status, "wrong")
        self.assertIn("counters hold", note)

    def test_reply_too_many(self):
        self.assertIn(self.judge("babble")[0], ("failed", "wrong"))

    def test_error_replies(self):
        status, note = self.judge("error")
        self.assertEqual(status, "failed")
        self.assertIn("OOM", note)

    def test_closed_connection(self):
        status, note = self.judge("close")
        self.assertEqual(status, "failed")
        self.assertIn("closed", note)

    def test_end_of_the_server(self):
        self.assertEqual(self.judge("exit")[0], "failed")

    def test_hang(self):
        began = time.monotonic()
        status, note = self.judge("hang")
        self.assertEqual(status, "failed")
        self.assertIn("no reply", note)
        self.assertLess(time.monotonic() - began, 30)

    def test_other_language(self):
        status, note = self.judge("foreign")
        self.assertEqual(status, "failed")
        self.assertIn("no reply of RESP2", note)

    def test_server_that_does_not_start(self):
        status, note = self.judge("leave")
        self.assertEqual(status, "failed")
        self.assertIn("no thank you", note)


class BadOptions(unittest.TestCase):
    CASES = [
        (["--rounds", "0"], "1 to 100"),
        (["--seconds", "x"], "0.1 to 3600"),
        (["--peers", "mysql"], "redis, valkey and memcached"),
        (["--mix", "get=50,set=40"], "add up to 100"),
        (["--mix", "get=50,del=50"], "get, set, setex, incr and mset"),
        (["--distribution", "zipf=-1"], "uniform"),
        (["--pipeline", "0"], "1 to 1000"),
        (["--value-bytes", "15"], "16 to 1048576"),
        (["--rate", "0"], "requests a second"),
        (["--threads", "9", "--connections", "8"], "one a connection"),
        (["--value-bytes", "1048576", "--pipeline", "1000"], "1 GiB"),
        (["--mix", "mset=100", "--keys", "9"], "10 keys"),
        (["--server", "bad"], "a command"),
        (["--server", "bad=/nonexistent/program"], "a program that is there"),
        (["--server", "weft=true"], "a name that no other server has"),
        (["--server", "a=true", "--server", "a=true"], "a name that no other server has"),
        (["--dir", "/nonexistent"], "a folder"),
        (["--frobnicate"], "--help"),
        (["--rounds"], "needs a value"),
        (["extra"], "what is 'extra'"),
    ]

    def test_they_say_what_is_allowed(self):
        for options, text in self.CASES:
            with self.subTest(options=options):
                done = bench(*options)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(text, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_workload_files(self):
        cases = [('{"name": "x", "about": "y"}', 1, "the key 'mix' is missing"),
                 ('{"name": "x",\n"about": "y",\n"colour": 1}', 3, "there is no key 'colour'"),
                 ('{"name": "x",\n"keys": 0}', 2, "from 1 to 10^9"),
                 ('{"name": "x",', 1, "expected"), ("[]", 1, "one JSON object")]
        with tempfile.TemporaryDirectory(prefix="weft-bench-test-") as folder:
            path = os.path.join(folder, "x.json")
            for text, line, message in cases:
                with self.subTest(text=text):
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(text)
                    done = bench("--workload", path)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn("%s:%d: " % (path, line), done.stderr)
                    self.assertIn(message, done.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        unittest.main()
