#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`weft bench compare`: finds a change that is there, none where there is only noise, and says what
is wrong with a file."""
import copy
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(ROOT, "build", "weft"))
DATA = os.path.join(HERE, "data")
ROUNDS = 7
NOISE = 0.02


def data(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as stream:
        return json.load(stream)


def set_samples(figure, samples):
    figure.update(samples=samples, median=statistics.median(samples), low=min(samples),
                  high=max(samples))


def run_of(chance, cells=8, peers=4, slower=None):
    """A result of random rounds, which all maps share the mood of the machine in; in the cells of
    `slower` weft does that share less."""
    result = data("won.json")
    pattern = result["cells"][0]
    result["cells"] = []
    for number in range(cells):
        cell = dict(pattern, id="test-%d/2" % number, workload="test-%d" % number, results=[])
        mood = [chance.lognormvariate(0, 0.2) for _ in range(ROUNDS)]
        for peer in ["weft-lockfree"] + ["peer-%d" % p for p in range(peers)]:
            speed = 2e7 if peer == "weft-lockfree" else 1e7
            if peer == "weft-lockfree" and number in (slower or {}):
                speed *= 1 - slower[number]
            figure = {"peer": peer}
            set_samples(figure, [speed * m * chance.gauss(1, NOISE) for m in mood])
            cell["results"].append(figure)
        result["cells"].append(cell)
    return result


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-compare-")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def compare(self, *arguments):
        return subprocess.run([BINARY, "bench", "compare", *arguments], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def judged(self, first, second, *options):
        """(exit code, the comparison as JSON) of two results."""
        out = os.path.join(self.folder, "out.json")
        done = self.compare(self.write("a.json", first), self.write("b.json", second), "--json",
                            out, *options)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        with open(out, encoding="utf-8") as stream:
            return done.returncode, json.load(stream)

    def test_same_file(self):
        code, found = self.judged(data("full.json"), data("full.json"))
        self.assertEqual(code, 0)
        self.assertTrue(found["rows"])
        for row in found["rows"]:
            self.assertEqual((row["verdict"], row["p"], row["a"]), ("same", 1, row["b"]))

    def test_planted_change(self):
        chance = random.Random(1)
        for _ in range(10):
            code, found = self.judged(run_of(chance), run_of(chance, slower={3: 0.1}))
            slower = {row["cell"] for row in found["rows"] if row["verdict"] == "slower"}
            self.assertEqual((code, slower), (1, {"test-3/2"}))
            for row in found["rows"]:
                if row["verdict"] == "slower":
                    self.assertLess(row["low"], -0.1 / 2)
                    self.assertAlmostEqual(row["change"], -0.1, delta=0.06)

    def test_faster_is_no_finding(self):
        chance = random.Random(2)
        code, found = self.judged(run_of(chance, slower={1: 0.2}), run_of(chance))
        self.assertEqual((code, found["slower"], found["faster"]), (0, 0, 4))

    def test_noise(self):
        """Of runs without a difference few are called; without the least change, one in twenty."""
        chance = random.Random(3)
        called = {"5": 0, "0": 0}
        for _ in range(60):
            first, second = run_of(chance), run_of(chance)
            for least in called:
                called[least] += self.judged(first, second, "--least", least)[0]
        self.assertLessEqual(called["5"], 1)
        self.assertLessEqual(called["0"], 8)

    def test_mood_of_the_machine(self):
        """A machine that is half as fast changes figures, and no ratio."""
        chance = random.Random(4)
        first = run_of(chance)
        second = copy.deepcopy(first)
        for cell in second["cells"]:
            for figure in cell["results"]:
                set_samples(figure, [s / 2 * chance.gauss(1, 0.001) for s in figure["samples"]])
        self.assertEqual(self.judged(first, second)[0], 0)
        code, found = self.judged(first, second, "--absolute")
        self.assertEqual(code, 1)
        self.assertAlmostEqual(found["rows"][0]["change"], -0.5, delta=0.2)

    def test_less_is_better(self):
        first = run_of(random.Random(5), cells=1)
        first["cells"][0]["better"] = "less"
        second = copy.deepcopy(first)
        weft = second["cells"][0]["results"][0]
        set_samples(weft, [s * 1.5 for s in weft["samples"]])
        self.assertEqual(self.judged(first, second)[0], 1)
        self.assertEqual(self.judged(second, first)[0], 0)
        self.assertEqual(self.judged(first, second, "--absolute")[0], 1)

    def test_rounds_that_are_missing(self):
        """Ratios are those of single rounds, also where each map lacks another one."""
        first = run_of(random.Random(7), cells=1)
        second = copy.deepcopy(first)
        for figure, missing in zip(second["cells"][0]["results"], (1, 4, 0, 6, 3)):
            figure["rounds"] = [r for r in range(ROUNDS) if r != missing]
            set_samples(figure, [figure["samples"][r] for r in figure["rounds"]])
        _, found = self.judged(first, second)
        own, peer = [r["samples"] for r in first["cells"][0]["results"][:2]]
        ratios = [a / b for r, (a, b) in enumerate(zip(own, peer)) if r not in (1, 4)]
        self.assertAlmostEqual(found["rows"][0]["b"], statistics.median(ratios), delta=1e-5)

    def test_another_peer_changed(self):
        """With --absolute a peer that became slower is told, and is no finding about weft."""
        first = run_of(random.Random(6), cells=1)
        second = copy.deepcopy(first)
        peer = second["cells"][0]["results"][2]
        set_samples(peer, [s * 0.2 for s in peer["samples"]])
        code, found = self.judged(first, second, "--absolute")
        verdicts = {row["peer"]: row["verdict"] for row in found["rows"]}
        self.assertEqual((code, verdicts["peer-1"], verdicts["peer-0"]), (0, "slower", "same"))

    def test_cells_of_one_only(self):
        first, second = data("full.json"), data("full.json")
        gone = first["cells"].pop(0)["id"]
        new = second["cells"].pop(-1)["id"]
        _, found = self.judged(first, second)
        self.assertEqual((found["only_in_a"], found["only_in_b"]), ([new], [gone]))
        done = self.compare(self.write("a.json", first), self.write("b.json", second))
        self.assertIn("only in A: " + new, done.stdout)
        self.assertIn("only in B: " + gone, done.stdout)

    def test_few_rounds(self):
        done = self.compare(os.path.join(DATA, "full.json"), os.path.join(DATA, "full.json"))
        self.assertIn("use more --rounds", done.stdout)

    def test_notes(self):
        second = data("full.json")
        second["machine"]["cpu"] = "test data of another machine"
        second["peers"][2]["version"] = "1.3"
        second["noise"]["noisy"] = second["partial"] = True
        done = self.compare(os.path.join(DATA, "full.json"), self.write("b.json", second))
        for words in ("the machines differ in 'cpu'", "peer-a is version 1.2 in A, 1.3 in B",
                      "B is marked as noisy", "B is marked as partial"):
            self.assertIn(words, done.stdout)

    def test_memory_speed(self):
        """Told if one of the two runs had a much slower memory, whatever the ratios are."""
        full = os.path.join(DATA, "full.json")
        for which, factor, told in (("cache", 2, True), ("memory", 2, True), ("handover", 2, True),
                                    ("cache", 1.2, False)):
            second = data("full.json")
            second["noise"]["read_ns"][which]["median"] *= factor
            done = self.compare(full, self.write("b.json", second))
            self.assertEqual("the machine was not the same" in done.stdout, told, done.stdout)
        del second["noise"]["read_ns"]
        done = self.compare(full, self.write("b.json", second))
        self.assertNotIn("the machine was not the same", done.stdout)

    def test_nothing_measured(self):
        """A figure of 0 can't be divided by: the row says so, and the others are judged."""
        second = data("full.json")
        set_samples(second["cells"][0]["results"][2], [0, 0, 0])
        code, found = self.judged(data("full.json"), second)
        verdicts = [(row["cell"], row["peer"]) for row in found["rows"]
                    if row["verdict"] == "not comparable"]
        self.assertEqual((code, verdicts), (0, [("test-reads/1", "peer-a")]))
        self.assertGreater(len(found["rows"]), 5)

    def test_bare(self):
        bare = os.path.join(DATA, "bare.json")
        self.assertEqual(self.compare(bare, bare).returncode, 0)

    def test_usage(self):
        full = os.path.join(DATA, "full.json")
        for arguments in ((), (full,), (full, full, full), (full, full, "--what"),
                          (full, full, "--least"), (full, full, "--least", "x"),
                          (full, full, "--least", "-1"), (full, full, "--least", "100")):
            done = self.compare(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(self.compare("--help").returncode, 0)

    def test_broken_files(self):
        def broken(change):
            result = data("full.json")
            change(result)
            return result
        full = os.path.join(DATA, "full.json")
        cases = [
            ('{"format": 1,\n "kind": }', "b.json:2:10: "),
            ("[]", 'format: "weft-bench/1" is expected'),
            (broken(lambda r: r.update(format="x")), 'found "x"'),
            (broken(lambda r: r.pop("noise")), "noise: an object is expected, and nothing is"),
            (broken(lambda r: r["cells"][1].update(better="most")),
             'cells[1].better: "more" or "less" is expected'),
            (broken(lambda r: r["cells"][2]["results"][1].update(median="1")),
             "cells[2].results[1].median: a number is expected"),
            (broken(lambda r: r["cells"][0]["results"][0]["samples"].insert(1, -1)),
             "cells[0].results[0].samples[1]: a number from 0 up is expected"),
            (broken(lambda r: r["peers"].append(3)), "peers[7]: an object is expected"),
        ]
        for content, words in cases:
            done = self.compare(full, self.write("b.json", content))
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn(words, done.stderr)
            self.assertIn("b.json", done.stderr)
        done = self.compare(full, os.path.join(self.folder, "none.json"))
        self.assertEqual(done.returncode, 3)
        self.assertIn("none.json", done.stderr)
        done = self.compare(full, full, "--json", os.path.join(self.folder, "none", "x.json"))
        self.assertEqual(done.returncode, 3)
        self.assertIn("cannot be written", done.stderr)


if __name__ == "__main__":
    unittest.main()
