# SPDX-License-Identifier: MIT
"""The bench's peers: small traces, written here from the page's format, through every peer that is
built. Weft's own and the controls in C have to be there; others are used where they are."""
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("WEFT_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(SOURCE, "build"))
PEERS = os.path.join(BUILD, "peers")
MASK = (1 << 64) - 1
GET, PUT, INSERT, REMOVE, ADD, RMW = range(6)
ONE_WRITER = ("ck-ht", "weft-owner")
LACKS = {"weft-fixed": ["bytes"]}


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def padded(data):
    return data + b"\0" * (-len(data) % 8)


def chunks(shape, operations, kind):
    for at in range(0, len(operations), 4096):
        part = operations[at:at + 4096]
        body = padded(bytes(code for code, _ in part))
        if shape == 0:
            body += b"".join(struct.pack("<Q", key) for _, key in part)
        else:
            offsets = [0]
            for _, key in part:
                offsets.append(offsets[-1] + len(key))
            body += padded(struct.pack("<%dI" % len(offsets), *offsets))
            body += padded(b"".join(key for _, key in part))
        yield struct.pack("<IIII", len(part), 16 + len(body), kind, crc32c(body)) + body


def trace(shape, prefill, operations):
    parts = list(chunks(shape, [(INSERT, key) for key in prefill], 0))
    parts += chunks(shape, operations, 1)
    body = b"".join(parts)
    return struct.pack("<8sIIQQQQQQ64s", b"WEFTTRC1", shape, 40 if shape else 8, len(prefill),
                       len(operations), len(parts), 0, 1, 128 + len(body), b"small") + body


def mix(x):
    x ^= x >> 30
    x = x * 0xbf58476d1ce4e5b9 & MASK
    x ^= x >> 27
    x = x * 0x94d049bb133111eb & MASK
    return x ^ x >> 31


def number_of(key):
    if isinstance(key, int):
        return key
    digest = 0xcbf29ce484222325
    for byte in key:
        digest = (digest ^ byte) * 0x100000001b3 & MASK
    return digest


def answer(entries, code, key, number):
    """One operation on a dictionary, and what the page calls r."""
    there = key in entries
    if code == GET:
        return entries.get(key, 0)
    if code == REMOVE:
        entries.pop(key, None)
        return int(there)
    old = entries.get(key, 0)
    if code != INSERT or not there:
        entries[key] = (old + 1) & MASK if code == ADD else number
    return {PUT: 1, INSERT: int(not there), ADD: entries[key], RMW: old}[code]


def checksum(prefill, operations):
    entries, h = {}, 0
    for number, key in enumerate(prefill, 1):
        answer(entries, INSERT, key, number)
    for number, (code, key) in enumerate(operations, len(prefill) + 1):
        r = answer(entries, code, key, number)
        h = ((h << 5 | h >> 59) & MASK ^ r) * 0x9e3779b97f4a7c15 & MASK
    content = sum(mix(mix(number_of(key)) ^ value) for key, value in entries.items()) & MASK
    return "%016x" % (h ^ mix((content + len(entries)) & MASK)), len(entries)


def small_trace(shape, codes, seed=1):
    rng = random.Random(seed)
    keys = [rng.getrandbits(64) for _ in range(600)] + [0, 1, MASK]
    if shape == 1:
        keys = [b"key%d" % i * rng.randrange(1, 9) for i in range(600)] + [b"\0", b"x" * 300]
    operations = [(rng.choice(codes), rng.choice(keys)) for _ in range(9000)]
    return keys[:300], operations


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weft-peers-")
        cls.built = cls.find()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def find(cls):
        """Ids and executables. The controls in C are built here if `make peers` has not run."""
        folders = os.path.join(SOURCE, "bench", "peers")
        found = {}
        for name in sorted(os.listdir(folders)):
            if not os.path.exists(os.path.join(folders, name, "peer.toml")):
                continue
            path = os.path.join(PEERS, name)
            if name in ("c-empty", "c-mutex") and not os.path.exists(path):
                subprocess.run([os.path.join(folders, name, "build.sh"), cls.folder], check=True)
                path = os.path.join(cls.folder, name)
            if os.access(path, os.X_OK):
                found[name] = path
            else:
                print("not built, left out: %s" % name, file=sys.stderr)
        return found

    def write(self, data):
        path = os.path.join(self.folder, "trace")
        with open(path, "wb") as stream:
            stream.write(data)
        return path

    def ask(self, path, data, *commands):
        done = subprocess.run([path, "--trace", self.write(data)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, check=False,
                              input="".join(c + "\n" for c in commands).encode())
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def maps(self, shape=0):
        """Peers that are maps of the shape: all but those whose control is no map at all."""
        return {i: path for i, path in self.built.items() if not i.endswith("-empty") and not
                (shape == 1 and "bytes" in LACKS.get(i, []))}

    def test_needed_peers_are_built(self):
        for name in ("weft-lockfree", "weft-rwlock", "weft-trie", "weft-list", "weft-fixed",
                     "weft-owner", "c-empty", "c-mutex"):
            self.assertIn(name, self.built)

    def test_hello_is_as_described(self):
        data = trace(0, *small_trace(0, [GET]))
        for name, path in self.built.items():
            with self.subTest(peer=name):
                hello = self.ask(path, data, "hello")[0]
                toml = os.path.join(SOURCE, "bench", "peers", name, "peer.toml")
                with open(toml, encoding="utf-8") as stream:
                    said = dict(re.findall(r'^(\w+) = "(.*)"$', stream.read(), flags=re.M))
                self.assertEqual((hello["peer"], hello["language"]), (name, said["language"]))
                self.assertEqual(said["id"], name)
                self.assertEqual(hello["control"], said.get("control") == "yes")
                self.assertIn(hello["map"], said["maps"].split())
                self.assertEqual(hello.get("writers", 0), 1 if name in ONE_WRITER else 0)
                if name in LACKS:
                    self.assertEqual(hello["lacks"], LACKS[name])

    def test_checksums_are_the_reference_s(self):
        for shape in (0, 1):
            codes = [GET, GET, PUT, INSERT, REMOVE, RMW] + ([ADD] if shape == 0 else [])
            prefill, operations = small_trace(shape, codes)
            wanted = checksum(prefill, operations)
            for name, path in self.maps(shape).items():
                with self.subTest(peer=name, shape=shape):
                    told = self.ask(path, trace(shape, prefill, operations), "verify", "verify")
                    for line in told:
                        self.assertEqual((line.get("checksum"), line.get("entries")), wanted, line)

    def test_entries_balance_with_four_threads(self):
        for shape in (0, 1):
            data = trace(shape, *small_trace(shape, [GET, INSERT, REMOVE]))
            for name, path in self.maps(shape).items():
                threads = 1 if name in ONE_WRITER else 4
                with self.subTest(peer=name, shape=shape):
                    lines = self.ask(path, data, "prefill threads=%d" % threads,
                                     "run threads=%d seconds=0.05 offset=1 latency=0" % threads,
                                     "once threads=%d latency=1" % threads)
                    self.assertEqual((lines[0]["ops"], lines[0]["entries"]), (300, 300))
                    self.assertEqual(lines[2]["ops"], 9000)
                    before = 300
                    for line in lines[1:]:
                        self.assertEqual(line["entries_before"], before)
                        before += line["inserted"] - line["removed"]
                        self.assertEqual(line["entries"], before)
                        self.assertGreater(line["seconds"], 0)

    def test_latency_is_sane(self):
        data = trace(0, *small_trace(0, [GET, PUT]))
        for name, path in self.built.items():
            with self.subTest(peer=name):
                lines = self.ask(path, data, "prefill threads=1", "once threads=1 latency=1",
                                 "once threads=1 latency=0")
                latency = lines[1]["latency"]
                self.assertIn(latency["samples"], (9000 // 32, 9000 // 32 + 1))
                order = [latency[k] for k in ("p50", "p90", "p99", "p999", "max")]
                self.assertEqual(order, sorted(order))
                self.assertLess(latency["max"], 60e9)
                self.assertIsNone(lines[2].get("latency"))

    def test_clear_drops_the_map(self):
        data = trace(0, *small_trace(0, [GET]))
        for name, path in self.built.items():
            with self.subTest(peer=name):
                lines = self.ask(path, data, "prefill threads=1", "clear", "run threads=1")
                self.assertGreater(lines[1]["rss_after"], 0)
                self.assertIn("error", lines[2])

    def test_a_single_writer_refuses_more(self):
        mixed = trace(0, *small_trace(0, [GET, PUT]))
        reads = trace(0, *small_trace(0, [GET]))
        for name in set(ONE_WRITER) & set(self.built):
            with self.subTest(peer=name):
                lines = self.ask(self.built[name], mixed, "prefill threads=2", "prefill threads=1",
                                 "run threads=2 seconds=0.01")
                self.assertIn("single writer", lines[0]["error"])
                self.assertIn("single writer", lines[2]["error"])
                lines = self.ask(self.built[name], reads, "prefill threads=1",
                                 "run threads=2 seconds=0.01")
                self.assertGreater(lines[1]["hits"], 0)

    def test_what_is_no_trace_is_refused(self):
        good = trace(0, *small_trace(0, [GET, PUT]))
        wrong = {"magic": b"WEFTTRC9" + good[8:], "cut": good[:-8], "short": good[:40],
                 "longer": good + b"\0" * 8, "empty": b""}
        for name, path in self.built.items():
            for what, data in wrong.items():
                with self.subTest(peer=name, what=what):
                    lines = self.ask(path, data, "verify")
                    self.assertEqual(len(lines), 1)
                    self.assertIn("error", lines[0])

    def test_the_kit_looks_at_every_length(self):
        good = bytearray(trace(0, *small_trace(0, [GET, PUT])))
        for offset, value in ((8, 7), (12, 9), (32, 1), (128, 0), (128, 5000), (132, 24), (136, 2)):
            data = bytearray(good)
            data[offset:offset + 4] = struct.pack("<I", value)
            with self.subTest(offset=offset, value=value):
                lines = self.ask(self.built["weft-lockfree"], bytes(data), "verify")
                self.assertIn("error", lines[0])
        bytes_trace = bytearray(trace(1, *small_trace(1, [GET, PUT])))
        bytes_trace[128 + 16 + 304 + 4:128 + 16 + 304 + 8] = struct.pack("<I", 1 << 30)
        lines = self.ask(self.built["weft-lockfree"], bytes(bytes_trace), "verify")
        self.assertIn("error", lines[0])

    def test_unknown_commands_are_answered(self):
        data = trace(0, *small_trace(0, [GET]))
        for name in ("weft-lockfree", "c-mutex"):
            lines = self.ask(self.built[name], data, "hallo", "run threads=0", "run threads",
                             "hello")
            self.assertEqual([sorted(line)[0] for line in lines[:3]], ["error"] * 3)
            self.assertEqual(lines[3]["peer"], name)

    def test_map_chooses_the_engine(self):
        data = self.write(trace(0, *small_trace(0, [GET])))
        for engine in ("lockfree", "rwlock", "trie", "list", "nothing"):
            done = subprocess.run([self.built["weft-lockfree"], "--map", engine, "--trace", data],
                                  input=b"hello\n", stdout=subprocess.PIPE, check=False)
            line = json.loads(done.stdout)
            if engine == "nothing":
                self.assertIn("error", line)
            else:
                self.assertEqual(line["map"], engine)


if __name__ == "__main__":
    unittest.main()
