#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A node where something around it is wrong: disk, folder, port, an option. It says what, in
one line, with exit code 2 for usage and 3 for the environment; a running one goes on serving."""
import os
import pwd
import shutil
import socket
import subprocess
import time
import unittest

import harness

USAGE, ENVIRONMENT = 2, 3
AS_ROOT = os.geteuid() == 0
NOBODY = 65534
MIB = 1 << 20


def run(*words, binary=harness.BINARY, **options):
    """`weft serve` that is expected to end by itself: its exit code and what it said."""
    done = subprocess.run([binary, "serve", *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
                          check=False, **options)
    return done.returncode, done.stdout.decode("utf-8", "replace")


class SetupCase(harness.NodeCase):
    def setUp(self):
        self.folder = harness.scratch_dir()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def assert_refused(self, code, words, *texts, **options):
        found, text = run(*words, **options)
        self.assertEqual(found, code, text)
        for part in texts:
            self.assertIn(part, text)
        self.assertNotIn("weft: ready", text)
        return text

    def ports(self):
        return ["--port", str(harness.free_port()), "--http", "0"]

    def mount(self, *options):
        """A small file system of its own, or the test is skipped."""
        path = os.path.join(self.folder, "disk")
        os.makedirs(path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", *options, "weft-test", path],
                              stderr=subprocess.PIPE, check=False) if AS_ROOT else None
        if done is None or done.returncode:
            self.skipTest("not root, or mounting is not allowed")
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path


class Folder(SetupCase):
    def test_unwritable(self):
        if not AS_ROOT:
            self.skipTest("not root: cannot become another user")
        path = os.path.join(self.folder, "closed")
        os.mkdir(path, 0o755)
        os.chmod(self.folder, 0o755)
        # A copy: another user may be kept from the folder that this tree is in.
        binary = shutil.copy(harness.BINARY, self.folder)
        user = pwd.getpwuid(NOBODY).pw_name
        for target in (path, os.path.join(path, "below")):
            self.assert_refused(ENVIRONMENT, ["--dir", target, *self.ports()], path,
                                "Permission denied", binary=binary, user=user, group=NOBODY,
                                extra_groups=[])
        self.assertEqual(os.listdir(path), [])

    def test_read_only(self):
        path = self.mount("-o", "ro")
        self.assert_refused(ENVIRONMENT, ["--dir", os.path.join(path, "data"), *self.ports()],
                            path, "Read-only file system")

    def test_not_a_folder(self):
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        self.assert_refused(ENVIRONMENT, ["--dir", path, *self.ports()], path)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_foreign(self):
        """A folder that holds other people's files is left as it was."""
        with open(os.path.join(self.folder, "thesis.txt"), "w", encoding="ascii") as file:
            file.write("precious")
        self.assert_refused(ENVIRONMENT, ["--dir", self.folder, *self.ports()], self.folder)
        self.assertEqual(os.listdir(self.folder), ["thesis.txt"])

    def test_in_use(self):
        node = self.node(sync="always")
        connection = self.connect(node)
        connection.must("SET", "a", "1")
        self.assert_refused(ENVIRONMENT, ["--dir", node.directory, *self.ports()],
                            node.directory, "in use")
        connection.must("INCR", "a")
        node.kill()
        node.start()
        with node.connect() as again:
            self.assertEqual(again.must("GET", "a"), b"2")

    def test_removed_while_it_runs(self):
        """Somebody deletes the folder: an error or service, never a crash."""
        node = self.node(sync="always")
        connection = self.connect(node)
        connection.must("SET", "a", "1")
        shutil.rmtree(node.directory)
        for i in range(2000):
            connection.call("SET", "a%d" % (i % 50), "x" * 5000)
        connection.call("SAVE")
        self.assertEqual(connection.must("PING"), "PONG")
        self.assertIn(connection.must("GET", "a"), (b"1",))
        self.assertTrue(node.alive())


class FullDisk(SetupCase):
    def fill(self, node, acknowledged, name):
        """Writes until the node refuses; the error."""
        connection = self.connect(node, 10.0)
        value = os.urandom(20_000).hex()
        for i in range(20_000):
            key = "%s:%d" % (name, i)
            reply = connection.call("SET", key, value + str(i))
            if isinstance(reply, harness.ReplyError):
                return connection, reply
            acknowledged[key] = (value + str(i)).encode()
        self.fail("800 MB fit on a disk of 256")

    def check(self, node, acknowledged):
        connection = self.connect(node, 60.0)
        for key, value in acknowledged.items():
            self.assertTrue(connection.must("GET", key) == value, key)

    def scenario(self, sync):
        path = self.mount("-o", "size=256m")
        ballast = os.path.join(path, "ballast")
        with open(ballast, "wb") as file:
            for _ in range(128):
                file.write(b"x" * MIB)
        node = self.node(directory=os.path.join(path, "data"), sync=sync, threads=2, http=True)
        acknowledged = {}
        connection, error = self.fill(node, acknowledged, "first")
        self.assert_error(error, "MISCONF")
        self.assertIn("No space left on device", str(error))
        self.assertEqual(connection.must("PING"), "PONG")
        self.check(node, acknowledged)
        self.assertIn(health(node)[0], (503,))
        return node, ballast, connection, acknowledged

    def test_always_keeps_all_and_recovers_by_itself(self):
        node, ballast, connection, acknowledged = self.scenario("always")
        os.unlink(ballast)
        deadline = time.monotonic() + 15
        while isinstance(connection.call("SET", "after", "1"), harness.ReplyError):
            self.assertLess(time.monotonic(), deadline, "still refuses with room on the disk")
            time.sleep(0.1)
        acknowledged["after"] = b"1"
        self.assertEqual(health(node)[0], 200)
        node.kill()
        node.start()
        self.check(node, acknowledged)

    def test_always_keeps_all_after_kill_on_the_full_disk(self):
        node, ballast, _, acknowledged = self.scenario("always")
        node.kill()
        try:
            node.start()
        except harness.StartFailed as failure:
            self.assertIn("No space left on device", failure.text)
            os.unlink(ballast)
            node.start()
        self.check(node, acknowledged)

    def test_everysec_keeps_all_until_there_is_room(self):
        node, ballast, _, acknowledged = self.scenario("everysec")
        os.unlink(ballast)
        time.sleep(3.0)
        self.assertEqual(node.stop(), 0, node.log())
        node.start()
        self.check(node, acknowledged)

    def test_reads_and_deletes_go_on(self):
        _, _, connection, acknowledged = self.scenario("always")
        some = list(acknowledged)[:3]
        self.assertEqual(connection.must("MGET", *some), [acknowledged[key] for key in some])
        self.assert_error(connection.call("INCR", "n"), "MISCONF")
        self.assertIsInstance(connection.must("INFO"), bytes)
        self.assertIsInstance(connection.must("DBSIZE"), int)


class Ports(SetupCase):
    def test_port_of_another_program(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            self.assert_refused(ENVIRONMENT, ["--memory", "--http", "0", "--port", port], port,
                                "in use")

    def test_port_of_another_weft(self):
        """Two nodes must never share a port and answer in turn; the kernel would let them."""
        node = self.node(memory=True)
        self.assert_refused(ENVIRONMENT, ["--memory", "--http", "0", "--port", str(node.port)],
                            str(node.port), "in use")

    def test_http_port(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            self.assert_refused(ENVIRONMENT, ["--memory", "--http", port, "--port",
                                              str(harness.free_port())], port, "in use")

    def test_address_that_is_not_here(self):
        for address in ("192.0.2.1", "no such host"):
            self.assert_refused(ENVIRONMENT, ["--memory", "--bind", address, *self.ports()],
                                address)

    def test_unix_socket(self):
        path = os.path.join(self.folder, "socket")
        node = self.unstarted(memory=True, extra=["--unix", path])
        node.start()
        with harness.Resp(path) as connection:
            self.assertEqual(connection.must("PING"), "PONG")
        self.assert_refused(ENVIRONMENT, ["--memory", "--unix", path, *self.ports()], path)
        with harness.Resp(path) as connection:
            self.assertEqual(connection.must("PING"), "PONG")
        node.kill()
        self.assertTrue(os.path.exists(path))
        node.start()  # a socket that nobody listens on any more is replaced
        with harness.Resp(path) as connection:
            self.assertEqual(connection.must("PING"), "PONG")
        self.assertEqual(node.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_unix_path_of_a_file(self):
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        self.assert_refused(ENVIRONMENT, ["--memory", "--unix", path, *self.ports()], path)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        self.assert_refused(ENVIRONMENT, ["--memory", "--unix", "/" + "x" * 200, *self.ports()],
                            "xxx")


class Options(SetupCase):
    def test_bad_options(self):
        for words in (["--nonsense"], ["--port"], ["--port", "70000"], ["--port", "-1"],
                      ["--port", "abc"], ["--port", "1e3"], ["--threads", "0"],
                      ["--threads", "100000"], ["--sync", "sometimes"], ["--max-memory", "1x"],
                      ["--max-memory", "-1"], ["--max-memory", "99999999999999999999"],
                      ["--max-clients", "0"], ["--http", "65536"], ["--dir", ""], ["stray"]):
            text = self.assert_refused(USAGE, words, words[0], cwd=self.folder)
            self.assertLess(len(text.splitlines()), 4, text)
        self.assertEqual(os.listdir(self.folder), [])

    def test_help(self):
        code, text = run("--help")
        self.assertEqual(code, 0)
        for name in ("port", "bind", "unix", "dir", "memory", "threads", "sync", "auth-file",
                     "http", "max-memory", "max-clients"):
            self.assertIn("--" + name, text)

    def test_auth_file(self):
        missing = os.path.join(self.folder, "missing")
        empty = os.path.join(self.folder, "empty")
        long = os.path.join(self.folder, "long")
        with open(empty, "w", encoding="ascii"):
            pass
        with open(long, "w", encoding="ascii") as file:
            file.write("x" * 5000)
        for path in (missing, empty, long, self.folder, "/dev/null"):
            self.assert_refused(ENVIRONMENT,
                                ["--memory", "--auth-file", path, *self.ports()], path)


def http(port, data, timeout=5.0):
    """What the HTTP port answers to these bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout) as client:
        client.sendall(data)
        answer = b""
        try:
            while True:
                part = client.recv(65536)
                if not part:
                    return answer
                answer += part
        except (socket.timeout, ConnectionError):
            return answer


def get(node, path):
    answer = http(node.http_port, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                  % path.encode())
    head, body = answer.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), head.decode(), body.decode()


def health(node):
    return get(node, "/healthz")


def parse_metrics(text):
    """Prometheus text format, strictly: {name or name{labels}: value}, all with HELP and TYPE."""
    found, types, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram", "untyped"), line
            types[name] = kind
        elif line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped and len(line.split(" ", 3)[3]) > 3, line
            helped.add(name)
        else:
            series, value = line.rsplit(" ", 1)
            name = series.split("{")[0]
            assert name.replace("_", "").replace(":", "").isalnum(), line
            assert name in types and name in helped, line
            assert not name.endswith("_total") or types[name] == "counter", line
            assert series not in found, line
            found[series] = float(value)
    assert text.endswith("\n")
    return found


class Http(SetupCase):
    def setUp(self):
        super().setUp()
        self.server = self.node(http=True, threads=2)
        self.control = self.connect(self.server)

    def test_health(self):
        code, _, body = health(self.server)
        self.assertEqual((code, body.strip()), (200, "ok"))

    def test_metrics_follow_the_commands(self):
        before = parse_metrics(get(self.server, "/metrics")[2])
        self.control.pipeline([("SET", "k%d" % i, "v") for i in range(1000)])
        self.control.pipeline([("GET", "k1"), ("GET", "none"), ("NOSUCH",)])
        code, head, body = get(self.server, "/metrics")
        self.assertEqual(code, 200)
        self.assertIn("text/plain; version=0.0.4", head)
        after = parse_metrics(body)

        def grown(name):
            return after[name] - before[name]

        self.assertEqual(after["weft_keys"], 1000)
        self.assertGreaterEqual(grown("weft_commands_total"), 1002)
        self.assertEqual(grown("weft_keyspace_hits_total"), 1)
        self.assertEqual(grown("weft_keyspace_misses_total"), 1)
        self.assertEqual(grown("weft_error_replies_total"), 1)
        self.assertGreater(grown("weft_received_bytes_total"), 29_000)
        self.assertGreaterEqual(grown("weft_sent_bytes_total"), 5_000)
        self.assertEqual(after["weft_connections"], 1)
        self.assertEqual(after["weft_log_good"], 1)

    def test_garbage(self):
        for data in (b"\0" * 5000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"*1\r\n$4\r\nPING\r\n",
                     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
                     b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx",
                     b"GET /healthz HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"GET /../../etc/passwd HTTP/1.0\r\n\r\n", b"\xff\xfe\xfd\r\n\r\n",
                     os.urandom(3000)):
            try:
                answer = http(self.server.http_port, data, 1.0)
            except OSError:
                continue
            self.assertNotIn(b"200 OK", answer, data[:40])
        self.assertEqual(get(self.server, "/nothing")[0], 404)
        self.assertEqual(health(self.server)[0], 200)
        self.assertEqual(self.control.must("PING"), "PONG")

    def test_idle_and_many(self):
        idle = [socket.create_connection(("127.0.0.1", self.server.http_port), 5.0)
                for _ in range(200)]
        for client in idle:
            client.sendall(b"GET /hea")
        self.assertEqual(health(self.server)[0], 200)
        for client in idle:
            client.close()
        for _ in range(100):
            self.assertEqual(health(self.server)[0], 200)
        self.assertLess(len(os.listdir("/proc/%d/fd" % self.server.process.pid)), 120)

    def test_only_on_loopback(self):
        """The figures are for this machine: the port is not opened on other addresses."""
        node = self.node(memory=True, http=True, bind="0.0.0.0")
        with open("/proc/net/tcp", encoding="ascii") as file:
            local = [line.split()[1] for line in file if ":%04X " % node.http_port in line]
        self.assertIn("0100007F:%04X" % node.http_port, local)


if __name__ == "__main__":
    harness.main(skip=None if harness.KIND == "weft" else "these are weft's own promises")
