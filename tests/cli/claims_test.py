#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`weft bench claims`: every experiment in its quick form, bad input, an early end, and what Go's
program may answer."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build"))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(BUILD, "weft"))
VERDICTS = {"holds", "in_part", "not", "not_run"}


def ids():
    with open(os.path.join(ROOT, "bench", "claims", "claims.def"), encoding="utf-8") as stream:
        return re.findall(r'(?m)^WEFT_CLAIM\("([a-z0-9-]+)"', stream.read())


class Claims(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-claims-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = dict(os.environ, WEFT_PEERS=self.folder, TMPDIR=self.folder)

    def run_claims(self, code, *words):
        done = subprocess.run([BINARY, "bench", "claims", *words], env=self.environment, text=True,
                              capture_output=True, timeout=300, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def measure(self, *words):
        out, _ = self.run_claims(0, "--quick", "--json", "-", *words)
        return json.loads(out)

    def put_go(self, script):
        """A go-claims of ours."""
        path = os.path.join(self.folder, ".programs", "go-claims")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)

    def test_every_claim_comes_to_a_verdict(self):
        result = self.measure()
        self.assertEqual(result["format"], "weft-claims/1")
        self.assertEqual([claim["id"] for claim in result["claims"]], ids())
        for claim in result["claims"]:
            with self.subTest(claim["id"]):
                self.assertIn(claim["verdict"], VERDICTS)
                self.assertTrue(claim["why"].endswith("."), claim["why"])
                self.assertNotIn("nan", claim["why"])
                self.assertTrue(claim["figures"] or claim["verdict"] == "not_run")
                for figure in claim["figures"]:
                    self.assertIsNotNone(figure["measured"], figure)
        self.assertEqual(sum(result["summary"].values()), len(ids()))
        self.assertEqual(os.listdir(self.folder), [], "something was left behind")

    def test_claims_are_chosen_and_listed(self):
        result = self.measure("--only", "once,cold-init")
        self.assertEqual({claim["id"] for claim in result["claims"]}, {"once", "cold-init"})
        out, _ = self.run_claims(0, "--list")
        self.assertEqual([line.split()[0] for line in out.splitlines()], ids())
        out, _ = self.run_claims(0, "--quick", "--only", "once")
        self.assertIn("pthread_once", out)

    def test_bad_input(self):
        for words in (["--only", "nope"], ["--only", "once,"], ["--only", "once,nope"]):
            _, err = self.run_claims(2, *words)
            self.assertIn(words[1], err)
            for one in ids():
                self.assertIn(one, err)
        for words in (["once"], ["--json"], ["--fast"]):
            self.assertIn("--help", self.run_claims(2, *words)[1])
        path = os.path.join(self.folder, "no", "file.json")
        self.assertIn(path, self.run_claims(3, "--quick", "--only", "once", "--json", path)[1])

    def test_an_early_end_leaves_what_was_settled(self):
        path = os.path.join(self.folder, "result.json")
        with subprocess.Popen([BINARY, "bench", "claims", "--json", path], env=self.environment,
                              text=True, stdout=subprocess.PIPE) as process:
            process.stdout.readline()  # the first claim is settled
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, out)
        self.assertIn("PARTIAL", out)
        with open(path, encoding="utf-8") as stream:
            result = json.load(stream)
        self.assertTrue(result["partial"])
        self.assertTrue(0 < len(result["claims"]) < len(ids()))

    def test_figures_of_go_are_taken(self):
        self.put_go(r'printf "go\tgo9.9\nfigure\t$1 $2\tns\t2.5\nend\n"')
        claim, = self.measure("--only", "once")["claims"]
        self.assertEqual(claim["go"], "go9.9")
        self.assertIn({"name": "Go: once quick", "unit": "ns", "claimed": None, "measured": 2.5},
                      claim["figures"])

    def test_a_ratio_of_go_is_judged_and_told(self):
        for measured, told in (("80", "80.00."), ("0.5", "0.50.")):
            self.put_go(r'printf "go\tgo9.9\nfigure\tpointers over plain\tratio\t%s\nend\n"'
                        % measured)
            claim, = self.measure("--only", "retention")["claims"]
            self.assertTrue(claim["why"].endswith(" pointers over plain: " + told), claim["why"])
            figure = claim["figures"][-1]
            self.assertEqual(figure["measured"], float(measured))
            self.assertGreater(figure["claimed"], 70)
            if measured == "80":  # by the rule for ratios Go's verdict is that it holds
                self.assertIn(claim["verdict"], {"holds", "in_part"})

    def test_a_go_that_fails_is_told(self):
        claim, = self.measure("--only", "once")["claims"]
        self.assertIn("make peers", claim["go"])
        for script, told in ((r'printf "figure\tx\n"', "no figure"),
                             ("echo why >&2; exit 4", "why"),
                             (r'printf "figure\tx\tns\ttwo\n"', "no figure"),
                             (r'printf "go\tgo9.9\n"', "exit code 0")):
            self.put_go(script)
            claim, = self.measure("--only", "once")["claims"]
            self.assertIn(told, claim["go"])
            self.assertIn(claim["verdict"], VERDICTS - {"not_run"})


if __name__ == "__main__":
    unittest.main()
