#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`weft advise`: rules and measurements on the known traces, bad input, descriptions, the binary
alone."""
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build"))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(BUILD, "weft"))
KNOWN = os.path.join(ROOT, "bench", "workloads", "advise")
SHORT = ["--quick", "--rounds", "1", "--seconds", "0.01"]
NEAR = 0.95

# trace: the rule that its profile leads to, and the engine that this names
RULES = {"advise-config": ("frozen", "cow"), "advise-counters": ("usual", "lockfree"),
         "advise-hot": ("hot", "lockfree"), "advise-sessions": ("usual", "lockfree"),
         "advise-routes": ("frozen", "cow"), "advise-tiny": ("alone", "owner"),
         "advise-bulk": ("replaced", "cow"), "advise-cold": ("usual", "lockfree")}


class Advise(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-advise-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_weft(self, code, *words, binary=BINARY, environment=None):
        """(standard output, standard error) of a run that must end with this exit code."""
        done = subprocess.run([binary, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd=self.folder, timeout=120,
                              env=dict(os.environ, TMPDIR=self.folder, **(environment or {})),
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        left = [name for name in os.listdir(self.folder) if name.startswith("weft-bench.")]
        self.assertEqual(left, [], "traces were left behind")
        return done.stdout, done.stderr

    def trace(self, name, **changes):
        """The trace of a known workload, perhaps with fewer operations; its path."""
        with open(os.path.join(KNOWN, name + ".json"), encoding="utf-8") as stream:
            workload = {**json.load(stream), **changes}
        with open(self.path(name + ".json"), "w", encoding="utf-8") as stream:
            json.dump(workload, stream)
        self.run_weft(0, "bench", "trace", "make", self.path(name + ".json"), "-o",
                      self.path(name))
        return self.path(name)

    def advise(self, *words):
        """The advice, as JSON."""
        out, _ = self.run_weft(0, "advise", *SHORT, "--json", "-", *words)
        result = json.loads(out)
        self.assertEqual(result["kind"], "advise")
        self.assertEqual(len(result["advice"]), 1)
        return result["advice"][0]


class Traces(Advise):
    def require_sound(self, advice):
        """What is named may be named, and is as good as its reason says."""
        rows = {row["peer"]: row for row in advice["measured"]}
        named = rows[advice["peer"]]
        self.assertTrue(named["eligible"], advice)
        best = max(row["figure"] for row in rows.values() if row["eligible"])
        self.assertEqual(rows[advice["best"]]["figure"], best)
        self.assertGreaterEqual(named["figure"], NEAR * best * 0.999)
        self.assertIn(advice["judged_by"], ("rate", "rate_per_core"))
        if not advice["agrees"] and advice["advice"] != "plain":
            self.assertIn("disagree", advice["because"])
        for row in rows.values():
            self.assertTrue("rate" in row or row["note"], row)

    def require_profile_of_one_key(self, advice):
        found = advice["dimensions"]
        self.assertLess(found["entropy_bits"], 0.01)
        self.assertEqual(found["wanted_percent"], 100)
        self.assertAlmostEqual(found["reads_percent"], 50, delta=3)
        self.assertAlmostEqual(found["reads_percent"] + found["writes_percent"], 100)
        self.assertEqual(found["entries_most"], 10000)
        self.assertIsNone(found["lifetime_operations"])
        self.assertGreater(found["rate_per_core"], 0)
        self.assertGreater(found["tail_most_ns"], 0)

    def require_those_left_out(self, advice):
        rows = {row["engine"]: row for row in advice["measured"]}
        self.assertNotIn("rate", rows["owner"])
        self.assertNotIn("rate", rows["cow"])
        self.assertFalse(rows["twotier"]["eligible"])
        self.assertIn("removed keys", rows["twotier"]["note"])

    def test_known_traces(self):
        """The generator's traces, shortened: what they are is the same."""
        self.assertEqual({name[:-5] for name in os.listdir(KNOWN) if name.endswith(".json")},
                         set(RULES))
        for name, (rule, engine) in RULES.items():
            with self.subTest(name):
                changes = {"ops": {"advise-bulk": 800000, "advise-cold": 60000}.get(name, 20000)}
                threads = "1" if name == "advise-tiny" else "2"
                advice = self.advise("--threads", threads, self.trace(name, **changes))
                self.assertEqual(advice["rule"]["name"], rule)
                self.assertEqual(advice["rule"]["engine"], engine)
                self.require_sound(advice)
                if name == "advise-hot":
                    self.require_profile_of_one_key(advice)
                if name == "advise-sessions":
                    self.require_those_left_out(advice)

    def test_a_low_rate_needs_no_more_than_a_plain_map(self):
        trace = self.trace("advise-counters", ops=20000)
        advice = self.advise("--threads", "2", "--rate", "1000", trace)
        self.assertEqual((advice["rule"]["name"], advice["advice"]), ("slow", "plain"))
        self.assertEqual(advice["options"], "a plain map under a mutex")

    def test_wishes(self):
        trace = self.trace("advise-counters", ops=20000)
        advice = self.advise("--threads", "2", "--bounded", trace)
        self.assertEqual((advice["rule"]["name"], advice["advice"]), ("bounded", "fixed"))
        advice = self.advise("--threads", "2", "--latency", "tail", trace)
        self.assertEqual(advice["rule"]["name"], "tail")
        rows = {row["peer"]: row for row in advice["measured"] if row["eligible"]}
        self.assertEqual(rows[advice["best"]]["p999_ns"],
                         min(row["p999_ns"] for row in rows.values()))

    def test_text_and_page(self):
        page = self.path("page.html")
        out, _ = self.run_weft(0, "advise", *SHORT, "--report", page,
                               self.trace("advise-routes", ops=20000))
        for word in ("rate", "entropy", "reads", "tail", "size", "lifetime", "rule", "advice",
                     "because", "c-mutex", "weft-lockfree"):
            self.assertIn(word, out)
        with open(page, encoding="utf-8") as stream:
            self.assertIn('"advice"', stream.read())

    def test_the_binary_alone(self):
        """No peers, no data, no source tree."""
        trace = self.trace("advise-tiny", ops=20000)
        alone = os.path.join(self.folder, "alone")
        os.mkdir(alone)
        binary = shutil.copy(BINARY, alone)
        out, _ = self.run_weft(0, "advise", *SHORT, "--threads", "1", trace, binary=binary,
                               environment={"WEFT_BENCH": "/none", "WEFT_PEERS": "/none"})
        self.assertIn("weft-owner", out)

    def test_check_measures_anew(self):
        out = subprocess.run([BINARY, "advise", "--check", "--only", "tiny", "--noisy", "--json",
                              "-", *SHORT], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, timeout=120, check=False)
        result = json.loads(out.stdout)
        reach = result["advice"][0]["reach"]
        self.assertEqual(out.returncode, 0 if reach >= 0.9 else 1, out.stderr)
        self.assertEqual(len(result["cells"]), 1)


class Refusals(Advise):
    def refused(self, *words, of=()):
        _, err = self.run_weft(2, "advise", *words)
        for word in of:
            self.assertIn(word, err)

    def test_bad_traces(self):
        good = self.trace("advise-tiny", ops=20000)
        with open(good, "rb") as stream:
            whole = stream.read()

        def bad(name, data):
            with open(self.path(name), "wb") as stream:
                stream.write(data)
            return self.path(name)

        for name, data, words in (
                ("empty", b"", ("byte 0",)),
                ("text", b"get a\n" * 100, ("byte 0", "WEFTTRC1")),
                ("cut", whole[:-8], ("byte 56", "cut off")),
                ("shape", whole[:8] + b"\7" + whole[9:], ("byte 8", "allowed: 0 (u64), 1")),
                ("flipped", whole[:400] + bytes([whole[400] ^ 1]) + whole[401:],
                 ("byte 300", "damaged"))):
            with self.subTest(name):
                path = bad(name, data)
                self.refused(path, of=(path,) + words)
        self.run_weft(3, "advise", self.path("missing"))

    def test_two_operations_are_a_trace(self):
        path = self.path("keys.txt")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("a\nb\n")
        self.run_weft(0, "bench", "trace", "convert", path, "-o", self.path("keys"))
        out, err = self.run_weft(0, "advise", *SHORT, "--threads", "1", self.path("keys"))
        self.assertEqual(err, "")
        self.assertIn("advice      owner", out)
        self.assertIn("too few to measure", out)

    def test_options(self):
        self.refused(of=("--describe",))
        self.refused("--check", "--record", of=("one of",))
        self.refused("a", "b", of=("'b'",))
        self.refused("--latency", "fast", "a", of=("average, tail",))
        self.refused("--only", "tiny", "a", of=("--check",))
        self.refused("--check", "--only", "nothing", "--noisy", of=("advise-tiny",))
        self.refused("--threads", "0", "a", of=("1 to 4096",))


class Descriptions(Advise):
    GIVEN = ["--describe", "--threads", "1", "--entries", "500", "--reads", "80", "--skew", "even",
             "--lifetime", "stays", "--latency", "average"]

    def test_all_given(self):
        advice = self.advise(*self.GIVEN)
        self.assertEqual(advice["rule"]["name"], "alone")
        self.assertEqual(advice["dimensions"]["entries_most"], 500)
        self.assertAlmostEqual(advice["dimensions"]["reads_percent"], 80, delta=2)

    def test_lifetimes(self):
        for lifetime, rule in (("short", "usual"), ("bulk", "replaced")):
            words = ["--describe", "--threads", "2", "--entries", "500", "--reads", "99", "--skew",
                     "zipf", "--lifetime", lifetime, "--latency", "average"]
            advice = self.advise(*words)
            self.assertEqual(advice["rule"]["name"], rule)
            left = advice["dimensions"]["lifetime_operations"]
            self.assertEqual(left is not None, lifetime == "short")

    def test_what_is_missing_is_named(self):
        for at in range(1, len(self.GIVEN), 2):
            words = self.GIVEN[:at] + self.GIVEN[at + 2:]
            _, err = self.run_weft(2, "advise", *words)
            self.assertIn(self.GIVEN[at], err)
            self.assertIn("allowed", err)

    def test_wrong_words(self):
        for option in ("--skew", "--lifetime"):
            words = list(self.GIVEN)
            words[words.index(option) + 1] = "odd"
            _, err = self.run_weft(2, "advise", *words)
            self.assertIn("'odd'; allowed:", err)

    def test_a_terminal_is_asked(self):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        with subprocess.Popen([BINARY, "advise", *SHORT, "--describe"], stdin=follower,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as process:
            os.close(follower)
            os.write(leader, b"none\n1\n100\n90\neven\nstays\naverage\n")
            out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, out)
        self.assertEqual(out.count("How many threads"), 2)
        self.assertIn("rule        alone", out)

    def test_how_to_record(self):
        out, _ = self.run_weft(0, "advise", "--record")
        self.assertIn("weft serve --record", out)
        self.assertIn("weft_recording_start", out)


if __name__ == "__main__":
    unittest.main()
