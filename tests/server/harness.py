# SPDX-License-Identifier: MIT
"""Starts and stops nodes for the tests of this folder, and speaks RESP to them byte by byte.

WEFT_BINARY  the program under test (build/weft)
WEFT_TEST_SERVER=redis  run against redis-server instead, which proves the tests themselves right
"""
import ctypes
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(ROOT, "build", "weft"))
KIND = os.environ.get("WEFT_TEST_SERVER", "weft")
SKIPPED = 77
START_SECONDS = float(os.environ.get("WEFT_TEST_START_SECONDS", "20"))
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1

weft_only = unittest.skipIf(KIND != "weft", "redis-server has no such feature")


class StartFailed(Exception):
    """The node ended before it answered."""

    def __init__(self, code, text):
        super().__init__("exit code %r: %s" % (code, text.strip()))
        self.code = code
        self.text = text


class ReplyError(Exception):
    """An error reply."""


class Push(list):
    """A RESP3 push message."""


def encode(*words):
    """One command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, str):
            word = word.encode()
        elif not isinstance(word, (bytes, bytearray)):
            word = str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Resp:
    """A socket that sends what it is told and parses the replies of RESP2 and RESP3."""

    def __init__(self, address, timeout=20.0):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError("connection closed by the server")
        self.pending += data

    def _line(self):
        start = 0
        while True:
            end = self.pending.find(b"\r\n", start)
            if end >= 0:
                line, self.pending = self.pending[:end], self.pending[end + 2:]
                return line
            start = max(0, len(self.pending) - 1)
            self._more()

    def _exact(self, size):
        while len(self.pending) < size + 2:
            self._more()
        data, tail = self.pending[:size], self.pending[size:size + 2]
        if tail != b"\r\n":
            raise AssertionError("bulk reply of %d bytes does not end with CRLF" % size)
        self.pending = self.pending[size + 2:]
        return data

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ReplyError(rest.decode("utf-8", "replace"))
        if kind in b":(":
            return int(rest)
        if kind in b"$=":
            size = int(rest)
            return None if size < 0 else self._exact(size)
        if kind in b"*~>":
            size = int(rest)
            items = None if size < 0 else [self.read() for _ in range(size)]
            return Push(items) if kind == b">" else items
        if kind == b"%":
            return {self._hashable(self.read()): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise AssertionError("not a reply: %r" % line[:80])

    @staticmethod
    def _hashable(value):
        return tuple(value) if isinstance(value, list) else value

    def call(self, *words):
        """Runs one command; an error reply is returned as a ReplyError."""
        self.send(encode(*words))
        return self.read()

    def must(self, *words):
        """Runs one command; an error reply is raised."""
        reply = self.call(*words)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, commands):
        self.send(b"".join(encode(*command) for command in commands))
        return [self.read() for _ in commands]

    def at_end(self):
        """Reads up to the end of the stream; True if the server closed the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False


def free_port():
    """A free port below the range from which the kernel gives client ports."""
    for _ in range(200):
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


def raise_file_limit(wanted):
    """Raises the limit of open files to `wanted` or as near as this user may; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def scratch_dir():
    """A new folder on a real disk."""
    return tempfile.mkdtemp(prefix="weft-test-", dir=os.environ.get("WEFT_TEST_TMP"))


class Node:
    """One server process: weft, or redis-server with the same promises."""

    def __init__(self, kind=None, **options):
        self.kind = kind or KIND
        self.options = options
        self.scratch = scratch_dir()
        self.directory = options.get("directory") or os.path.join(self.scratch, "data")
        self.password = options.get("password")
        self.unix = os.path.join(self.scratch, "socket") if options.get("unix") else None
        self.process = None
        self.port = options.get("port") or 0
        self.http_port = 0
        self._log = os.path.join(self.scratch, "log")

    # ------------------------------------------------------------ the process

    def _weft_arguments(self):
        options = self.options
        self.http_port = free_port() if options.get("http") else 0
        arguments = [BINARY, "serve", "--port", str(self.port), "--http", str(self.http_port)]
        if options.get("memory"):
            arguments.append("--memory")
        else:
            arguments += ["--dir", self.directory, "--sync", options.get("sync", "everysec")]
        for name in ("threads", "max_memory", "max_clients", "bind"):
            if options.get(name) is not None:
                arguments += ["--" + name.replace("_", "-"), str(options[name])]
        if self.unix:
            arguments += ["--unix", self.unix]
        if self.password:
            path = os.path.join(self.scratch, "auth")
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.password + "\n")
            os.chmod(path, 0o600)
            arguments += ["--auth-file", path]
        return arguments + list(options.get("extra", ()))

    def _redis_arguments(self):
        options = self.options
        os.makedirs(self.directory, exist_ok=True)
        arguments = ["redis-server", "--port", str(self.port), "--dir", self.directory,
                     "--save", "", "--bind", "127.0.0.1"]
        if not options.get("memory"):
            arguments += ["--appendonly", "yes", "--appendfsync", options.get("sync", "everysec")]
        for name, redis_name in (("max_memory", "maxmemory"), ("max_clients", "maxclients")):
            if options.get(name) is not None:
                arguments += ["--" + redis_name, str(options[name])]
        if self.unix:
            arguments += ["--unixsocket", self.unix]
        if self.password:
            arguments += ["--requirepass", self.password]
        return arguments + list(options.get("redis_extra", ()))

    def _before_exec(self):
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        raise_file_limit(self.options.get("files", 12000))
        if self.options.get("user") is not None:
            os.setgroups([])
            os.setgid(self.options["user"])
            os.setuid(self.options["user"])

    def start(self):
        """Starts the process and waits until it answers; StartFailed if it ends before that."""
        attempts = 1 if self.options.get("port") else 5
        while True:
            attempts -= 1
            if not self.options.get("port"):
                self.port = free_port()
            try:
                return self._start_once()
            except StartFailed as failure:
                if attempts <= 0 or "in use" not in failure.text or "port" not in failure.text:
                    raise

    def _start_once(self):
        arguments = (self._weft_arguments if self.kind == "weft" else self._redis_arguments)()
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=self._before_exec,
                                            cwd=self.scratch)
        deadline = time.monotonic() + START_SECONDS
        pause = 0.002
        while not self._answers():
            if self.process.poll() is not None:
                raise StartFailed(self.process.returncode, self.log())
            if time.monotonic() > deadline:
                self.kill()
                raise StartFailed(None, "no answer in %g s; log: %s"
                                  % (START_SECONDS, self.log()))
            time.sleep(pause)
            pause = min(0.05, pause * 1.5)
        return self

    def _answers(self):
        try:
            with Resp(self.address, 5.0) as probe:
                reply = probe.call("PING")
                return reply == "PONG" or str(reply).startswith("NOAUTH")
        except (OSError, EOFError):
            return False

    @property
    def address(self):
        return (self.options.get("bind") or "127.0.0.1", self.port)

    def log(self):
        try:
            with open(self._log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL, as a power switch for the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=20):
        """An orderly stop; returns the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("still running %g s after SIGTERM; log: %s"
                                 % (seconds, self.log())) from None

    def destroy(self):
        self.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # ------------------------------------------------------------ looking at it

    def connect(self, timeout=20.0):
        if not self.alive():
            code = self.process.returncode if self.process else None
            raise StartFailed(code, "it has ended; log: " + self.log())
        connection = Resp(self.address, timeout)
        if self.password:
            connection.must("AUTH", self.password)
        return connection

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def is_instrumented(self):
        """True for a build with a sanitizer, whose memory is not what users get."""
        with open("/proc/%d/maps" % self.process.pid, encoding="utf-8") as file:
            return re.search(r"lib[at]san", file.read()) is not None

    def cpu_seconds(self):
        """User and system time of all its threads."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk_bytes(self):
        total = 0
        for folder, _, names in os.walk(self.directory):
            for name in names:
                try:
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total


class NodeCase(unittest.TestCase):
    """A test that starts nodes; none outlives it."""

    def node(self, **options):
        node = Node(**options)
        self.addCleanup(node.destroy)
        return node.start()

    def unstarted(self, **options):
        node = Node(**options)
        self.addCleanup(node.destroy)
        return node

    def connect(self, node, timeout=20.0):
        connection = node.connect(timeout)
        self.addCleanup(connection.close)
        return connection

    def assert_error(self, reply, prefix):
        self.assertIsInstance(reply, ReplyError)
        self.assertTrue(str(reply).startswith(prefix), "%r does not start with %r"
                        % (str(reply), prefix))


def main(tools=(), modules=(), skip=None):
    """Runs the test program; exit code 77, with the reason, if something it needs is missing."""
    program = "redis-server" if KIND == "redis" else BINARY
    missing = [name for name in (program, *tools) if shutil.which(name) is None]
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            missing.append("python module " + name)
    if missing or skip:
        print("skipped: " + (skip or "not installed: " + ", ".join(missing)))
        sys.exit(SKIPPED)
    unittest.main(verbosity=1 if os.environ.get("CTEST_QUIET") else 2)
