#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The examples of README.md, pasted: the C program, and redis-cli against a node."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build"))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(BUILD, "weft"))
DEFAULT_PORT = "7379"


def blocks():
    """The fenced blocks of the README: (language, text)."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as stream:
        return re.findall(r"^```(\w+)\n(.*?)^```$", stream.read(), flags=re.M | re.S)


def example(marker):
    """The block that holds the marker, and the text block after it."""
    found = blocks()
    at = next(i for i, (_, text) in enumerate(found) if marker in text)
    answer = next(text for language, text in found[at + 1:] if language == "text")
    return found[at][1], answer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Readme(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-readme-")
        self.addCleanup(shutil.rmtree, self.folder)

    def shell(self, text):
        done = subprocess.run(["sh", "-ec", text], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_c_example(self):
        program = next(text for language, text in blocks() if language == "c")
        with open(os.path.join(self.folder, "hello.c"), "w", encoding="utf-8") as stream:
            stream.write(program)
        os.symlink(os.path.join(ROOT, "include"), os.path.join(self.folder, "include"))
        os.symlink(BUILD, os.path.join(self.folder, "build"))
        command, answer = example("cc hello.c")
        self.assertEqual(self.shell(command), answer)
        self.assertLessEqual(program.count("\n"), 25)

    def test_redis_cli_example(self):
        port = str(free_port())
        node = subprocess.Popen([BINARY, "serve", "--port", port, "--http", str(free_port()),
                                 "--dir", os.path.join(self.folder, "data")], cwd=self.folder,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(node.wait)
        self.addCleanup(node.terminate)
        self.wait_for(node, int(port))
        command, answer = example("redis-cli")
        command = command.replace("redis-cli -p " + DEFAULT_PORT, "redis-cli --no-raw -p " + port)
        self.assertNotIn(DEFAULT_PORT, command)
        self.assertEqual(self.shell(command), answer)

    def wait_for(self, node, port):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            self.assertIsNone(node.poll(), "the node ended")
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.05)
        self.fail("the node does not answer")


if __name__ == "__main__":
    if shutil.which("redis-cli") is None:
        print("skipped: redis-cli is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
