#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`weft serve --record`: the trace holds what clients did with the keys."""
import os
import subprocess
import sys
import unittest

import harness

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "cli"))
import trace_reference as trace  # noqa: E402


def show(path):
    """`weft bench trace show`: its exit code and what it says."""
    done = subprocess.run([harness.BINARY, "bench", "trace", "show", path], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=20)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def read(path):
    with open(path, "rb") as file:
        return trace.read_trace(file.read())


@harness.weft_only
class Record(harness.NodeCase):
    def recording_node(self, *extra, **options):
        node = self.unstarted(**options)
        path = os.path.join(node.scratch, "trace")
        node.options["extra"] = ["--record", path, *extra]
        return node.start(), path

    def test_everything_is_in_the_trace(self):
        node, path = self.recording_node(memory=True)
        client = self.connect(node)
        for i in range(100):
            self.assertEqual(client.call("SET", "key:%d" % i, "v"), "OK")
            self.assertEqual(client.call("GET", "key:%d" % i), b"v")
        self.assertIsNone(client.call("GET", "nothing"))
        self.assertEqual(client.call("DEL", "key:7"), 1)
        code, text = show(path)
        self.assertEqual(code, 2, text)
        self.assertIn("no finished trace", text)
        node.stop()
        code, text = show(path)
        self.assertEqual(code, 0, text)
        found = read(path)
        self.assertEqual(found.shape, trace.BYTES)
        present, written, seen = set(), set(), []
        for code, key in found.prefill + found.operations:
            seen.append(key)
            if code == trace.REMOVE:
                present.discard(key)
            elif code != trace.GET:
                present.add(key)
                written.add(key)
        keys = {b"key:%d" % i for i in range(100)}
        self.assertEqual(written, keys)
        self.assertEqual(present, keys - {b"key:7"})
        self.assertEqual(set(seen), keys | {b"nothing"})
        self.assertGreaterEqual(len(seen), 202)

    def test_entries_from_before_begin_the_trace(self):
        node = self.node()
        client = self.connect(node)
        for i in range(10):
            self.assertEqual(client.call("SET", "old:%d" % i, "v"), "OK")
        node.stop()
        path = os.path.join(node.scratch, "trace")
        node.options["extra"] = ["--record", path]
        node.start()
        self.connect(node).call("GET", "old:1")
        node.stop()
        found = read(path)
        self.assertEqual({key for _, key in found.prefill}, {b"old:%d" % i for i in range(10)})
        self.assertIn((trace.GET, b"old:1"), found.operations)

    def test_sample(self):
        node, path = self.recording_node("--record-sample", "4", memory=True)
        client = self.connect(node)
        for i in range(400):
            client.call("SET", "key:%d" % i, "v")
            client.call("SET", "key:%d" % i, "w")
        node.stop()
        found = read(path)
        keys = [key for _, key in found.operations]
        self.assertTrue(40 < len(set(keys)) < 180, len(set(keys)))
        for key in set(keys):
            self.assertGreaterEqual(keys.count(key), 2, key)

    def test_file_that_is_there_is_left_alone(self):
        node = self.unstarted(memory=True)
        path = os.path.join(node.scratch, "trace")
        with open(path, "wb") as file:
            file.write(b"precious")
        node.options["extra"] = ["--record", path]
        with self.assertRaises(harness.StartFailed) as failed:
            node.start()
        self.assertEqual(failed.exception.code, 3)
        self.assertIn("%s: is there already" % path, failed.exception.text)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"precious")

    def test_flushall_ends_an_exact_recording(self):
        node, path = self.recording_node(memory=True)
        client = self.connect(node)
        client.call("SET", "a", "b")
        self.assertEqual(client.call("FLUSHALL"), "OK")
        self.assertEqual(client.call("SET", "a", "b"), "OK")
        self.assertEqual(node.stop(), 3)
        self.assertIn("of no use: the map was cleared", node.log())
        self.assertIn("no finished trace", show(path)[1])


if __name__ == "__main__":
    harness.main()
