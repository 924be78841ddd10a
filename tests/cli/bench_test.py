#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The driver of `weft bench`: bad input, faulty peers, noise, traces, an early end."""
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

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import trace_reference as reference  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build"))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(BUILD, "weft"))
OWN = os.path.join(BUILD, "peers", "weft-lockfree")
SMALL = {"name": "small", "about": "a test", "shape": "u64", "keys": 2000, "prefill": 1000,
         "distribution": "uniform", "mix": {"get": 90, "insert": 5, "remove": 5}, "ops": 20000,
         "threads": [1, 2], "verdict": True}
QUICK = ["--noisy", "--rounds", "2", "--seconds", "0.02", "--patience", "5"]


class Bench(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-bench-test-")
        self.peers = os.path.join(self.folder, "bin")
        os.makedirs(os.path.join(self.folder, "workloads"))
        os.mkdir(self.peers)
        os.symlink(OWN, os.path.join(self.peers, "weft-lockfree"))
        self.write(SMALL)

    def tearDown(self):
        left = [name for name in os.listdir(self.folder) if name.startswith("weft-bench.")]
        shutil.rmtree(self.folder)
        self.assertEqual(left, [], "traces were left behind")

    def write(self, workload, **changes):
        """A workload's file; its path."""
        workload = {**workload, **changes}
        path = os.path.join(self.folder, "workloads", workload["name"] + ".json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(workload, stream, indent=1)
        return path

    def add_peer(self, fault):
        os.symlink(os.path.join(HERE, "bench_peer.py"), os.path.join(self.peers, "peer-" + fault))
        return "peer-" + fault

    def start(self, *words):
        environment = dict(os.environ, WEFT_BENCH=self.folder, WEFT_PEERS=self.peers,
                           TMPDIR=self.folder)
        return subprocess.Popen([BINARY, "bench", *words], env=environment, text=True,
                                cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_bench(self, code, *words):
        """(standard output, standard error) of a run that must end with this exit code."""
        with self.start(*words) as process:
            out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, out + err)
        return out, err

    def measure(self, *words):
        """The result of a short run of the small workload."""
        path = os.path.join(self.folder, "result.json")
        out, err = self.run_bench(0, "map", "--workload", "small", *QUICK, "--json", path, *words)
        with open(path, encoding="utf-8") as stream:
            return json.load(stream), out, err

    def status(self, result, peer):
        return {p["id"]: p for p in result["peers"]}[peer]

    def measured(self, result):
        return {r["peer"] for cell in result["cells"] for r in cell["results"]}


class Results(Bench):
    def test_a_good_peer_is_measured_and_weft_is_faster_than_a_dictionary_in_python(self):
        peer = self.add_peer("good")
        result, out, _ = self.measure()
        self.assertEqual(result["format"], "weft-bench/1")
        self.assertEqual([cell["id"] for cell in result["cells"]], ["small/1", "small/2"])
        self.assertEqual(self.measured(result), {"weft-lockfree", peer})
        cell = result["cells"][0]
        self.assertEqual(cell["best_peer"], peer)
        self.assertGreater(cell["ratio"], 1)
        self.assertEqual(len(cell["results"][0]["samples"]), 2)
        self.assertEqual(result["summary"]["won"], 2)
        self.assertGreater(len(result["ceilings"]), 6)
        self.assertIn("small/2", out)

    def test_the_verdict_without_a_command(self):
        self.add_peer("good")
        out, _ = self.run_bench(0, *QUICK)
        self.assertIn("small/2", out)
        self.assertNotIn("small/1", out)

    def test_latencies_are_shown(self):
        _, out, _ = self.measure("--latency")
        self.assertIn("p99.9", out)

    def test_growth_has_a_time_line(self):
        path = os.path.join(self.folder, "result.json")
        self.write(SMALL, name="u64-growth-1m", prefill=0, mode="once", mix={"insert": 100})
        self.run_bench(0, "growth", "--quick", *QUICK, "--peers", "none", "--json", path)
        with open(path, encoding="utf-8") as stream:
            cells = {cell["id"]: cell for cell in json.load(stream)["cells"]}
        own, idle = cells["growth-worst/1"]["results"]
        lines = {(one["peer"], line["name"]): line for one in (own, idle)
                 for line in one["series"]}
        self.assertEqual(set(lines), {("weft-lockfree", "inserts"), ("weft-lockfree", "worst gap"),
                                      ("idle-thread", "worst gap")})
        kinds = own["kinds"]
        self.assertTrue({"growth begins", "preempted"} & set(kinds), kinds)
        self.assertLessEqual(max(kinds.values()), max(own["samples"]) * 1.00001)  # of six digits
        rates, gaps = lines["weft-lockfree", "inserts"], lines["weft-lockfree", "worst gap"]
        self.assertEqual((rates["unit"], rates["x"]), ("1/s", "million entries"))
        self.assertEqual([x for x, _ in rates["points"]], [x for x, _ in gaps["points"]])
        self.assertAlmostEqual(rates["points"][-1][0], cells["growth-worst/1"]["entries"] / 1e6)
        self.assertAlmostEqual(max(y for _, y in gaps["points"]) / own["median"], 1, delta=1e-4)

    def test_every_engine_ends_with_more_threads_than_processors(self):
        folder = os.path.dirname(OWN)
        with open(os.path.join(ROOT, "include", "weft", "engines.def"), encoding="utf-8") as file:
            names = re.findall(r"(?m)^WEFT_ENGINE\((\w+),", file.read())
        engines = {"weft-" + name for name in names}
        for peer in engines - {"weft-lockfree"}:
            os.symlink(os.path.join(folder, peer), os.path.join(self.peers, peer))
        with open(os.path.join(ROOT, "bench", "workloads", "u64-engines.json"),
                  encoding="utf-8") as file:
            workload = json.load(file)
        self.assertEqual(workload["threads"], [1024])
        self.write(workload, threads=[64])  # the machine may have much else to do
        path = os.path.join(self.folder, "result.json")
        out, _ = self.run_bench(0, "oversub", "--engines", "--noisy", "--seconds", "0.02", "--json",
                                path)
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        cell, = result["cells"]
        self.assertEqual(self.measured(result), engines - {"weft-owner"})
        self.assertIn("one writer", self.status(result, "weft-owner")["note"])
        for one in cell["results"]:
            with self.subTest(one["peer"]):
                self.assertGreater(one["median"], 0)
                self.assertEqual(len(one["samples"]), 1)
                latency = [one["latency"][key] for key in ("p50", "p99", "p999", "max")]
                self.assertEqual(latency, sorted(latency))
                self.assertRegex(out, r"u64-engines/64 +%s +\d" % one["peer"])

    def test_peers_are_chosen(self):
        self.add_peer("good")
        result, _, _ = self.measure("--peers", "none")
        self.assertEqual(self.measured(result), {"weft-lockfree"})
        self.run_bench(2, "map", "--peers", "nobody")

    def test_a_missing_peer_is_named_with_what_installs_it(self):
        os.makedirs(os.path.join(self.folder, "peers", "absent"))
        with open(os.path.join(self.folder, "peers", "absent", "peer.toml"), "w") as stream:
            stream.write('id = "absent"\nname = "Absent map"\ninstall = "libabsent-dev"\n')
        result, out, _ = self.measure()
        self.assertEqual(self.status(result, "absent")["status"], "missing")
        self.assertIn("libabsent-dev", self.status(result, "absent")["note"])
        self.assertIn("absent", out)
        self.assertIn("libabsent-dev", self.run_bench(0, "peers")[0])

    def test_a_trace_is_replayed(self):
        path = os.path.join(self.folder, "some.trc")
        peer = self.add_peer("good")
        self.run_bench(0, "trace", "make", "small", "-o", path)
        out, _ = self.run_bench(0, "trace", "run", path, *QUICK)
        self.assertIn(peer, out)


class Gates(Bench):
    """Figures that the driver takes itself. They are there only if all answers were right; how
    fast the machine of a test is, nobody knows, but the sizes of tables are the same anywhere."""
    def gates(self, name):
        path = os.path.join(self.folder, "result.json")
        with self.start("gates", "--only", name, "--quick", "--noisy", "--peers", "none", "--json",
                        path) as process:
            out, err = process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, 1), out + err)
        with open(path, encoding="utf-8") as stream:
            result = json.load(stream)
        for gate in result["gates"]:
            with self.subTest(gate["name"]):
                self.assertIsNotNone(gate["measured"], err)
                self.assertIn(gate["name"], out)
                if "-table-" in gate["name"]:
                    self.assertTrue(gate["ok"], gate)
        return {gate["name"] for gate in result["gates"]}

    def test_churn(self):
        self.assertEqual(len(self.gates("churn-")), 6)

    def test_an_end_that_is_asked_for_ends_the_churn_too(self):
        with self.start("gates", "--only", "churn-u64", "--noisy", "--peers", "none") as process:
            time.sleep(5)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)
        self.assertIn("PARTIAL", out)

    def test_entries_that_leave(self):
        self.assertEqual(len(self.gates("leave-")), 4)

    def test_bad_hashes_and_hostile_keys(self):
        self.assertEqual(len(self.gates("bad-hash-")), 4)
        self.assertEqual(len(self.gates("adversarial-")), 1)

    def test_a_hot_key(self):
        self.assertEqual(len(self.gates("hot-key-")), 2)

    def test_thresholds(self):
        self.assertEqual(len(self.gates("threshold-")), 7)

    def test_the_family(self):
        self.assertEqual(len(self.gates("cow-")), 3)
        self.assertEqual(len(self.gates("owner-check-")), 4)


# A fault of bench_peer.py: what the driver calls it, and what it says.
FAULTS = {
    "stale": ("wrong", "checksum"),
    "loses": ("wrong", "entries"),
    "unbalanced": ("wrong", "inserted"),
    "dies": ("failed", "signal 6", "out of luck"),
    "hangs": ("failed", "no answer within"),
    "exits": ("failed", "exit code 1", "cannot find the library"),
    "refuses": ("failed", "no room for so many entries"),
    "babbles": ("failed", "no JSON object", "ready!"),
    "removeless": ("ok", "remove"),
}


class Faults(Bench):
    def test_faults_are_found_and_nobody_else_suffers(self):
        good = self.add_peer("good")
        peers = {fault: self.add_peer(fault) for fault in FAULTS}
        result, _, err = self.measure("--patience", "3", "--threads", "1")
        self.assertEqual(self.measured(result), {"weft-lockfree", good})
        for fault, (status, *texts) in FAULTS.items():
            with self.subTest(fault):
                entry = self.status(result, peers[fault])
                self.assertEqual(entry["status"], status, entry)
                said = entry["note"] + "".join(
                    err[at:at + 400] for at in [err.find("peer " + peers[fault] + " ")] if at >= 0)
                for text in texts:
                    self.assertIn(text, said)

    def test_one_that_allows_one_writer_is_left_out_where_two_write(self):
        peer = self.add_peer("single")
        result, _, _ = self.measure()
        peers = [{r["peer"] for r in cell["results"]} for cell in result["cells"]]
        self.assertEqual(peers, [{"weft-lockfree", peer}, {"weft-lockfree"}])

    def test_without_weft_there_is_nothing_to_judge(self):
        os.unlink(os.path.join(self.peers, "weft-lockfree"))
        self.assertIn("weft-lockfree", self.run_bench(3, *QUICK)[1])


class EarlyEnd(Bench):
    def test_an_interrupted_run_leaves_what_it_has(self):
        path = os.path.join(self.folder, "result.json")
        ran = os.path.join(self.folder, "peer.ran")
        self.add_peer("good")
        with self.start("map", "--workload", "small", "--noisy", "--rounds", "1000", "--seconds",
                        "0.05", "--json", path) as process:
            while not os.path.exists(ran) and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0, out + err)
        with open(path, encoding="utf-8") as stream:
            result = json.load(stream)
        self.assertTrue(result["partial"])
        self.assertLess(len(result["cells"][0]["results"][0]["samples"]), 1000)
        self.assertIn("PARTIAL", out)


    def test_an_end_that_is_asked_for_does_not_wait_for_a_peer_that_hangs(self):
        self.add_peer("hangs")
        with self.start("map", "--workload", "small", "--noisy", "--threads", "1", "--patience",
                        "60") as process:
            time.sleep(5)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=15)


class Noise(Bench):
    def test_a_disturbed_run_is_refused_and_marked(self):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(os.cpu_count())]
        path = os.path.join(self.folder, "result.json")
        try:
            words = ["map", "--workload", "small", "--rounds", "2", "--seconds", "0.2", "--threads",
                     "1", "--json", path]
            _, err = self.run_bench(3, *words)
            self.assertIn("--noisy", err)
            self.assertFalse(os.path.exists(path))
            out, _ = self.run_bench(0, *words, "--noisy")
        finally:
            for process in busy:
                process.kill()
                process.wait()
        self.assertIn("NOISY", out)
        with open(path, encoding="utf-8") as stream:
            self.assertTrue(json.load(stream)["noise"]["noisy"])


class BadInput(Bench):
    def refused(self, text, *words):
        _, err = self.run_bench(2, *words)
        self.assertIn(text, err)
        self.assertIn("allowed", err)

    def bad_workload(self, text, **changes):
        path = self.write(SMALL, **changes)
        _, err = self.run_bench(2, "map", "--workload", path, *QUICK)
        self.assertRegex(err, r"small\.json:\d+: ")
        self.assertIn(text, err)
        self.assertIn("allowed", err)
        return err

    def test_workloads(self):
        self.assertIn("small.json:19:", self.bad_workload("'colour'", colour="red"))
        self.bad_workload("'threads'", threads=[0])
        self.bad_workload("'threads'", threads=[5000])
        self.bad_workload("'threads'", threads=[1.5])
        self.bad_workload("'mix'", mix={"get": 50, "insert": 40})
        self.bad_workload("'mix'", mix={"get": 50, "fetch": 50})
        self.bad_workload("'keys'", keys="many")
        self.bad_workload("more entries than keys", prefill=2001)
        self.bad_workload("'distribution'", distribution={"zipf": -1})
        self.bad_workload("more hot keys", distribution={"hot": 5000})
        self.bad_workload("latest", distribution="latest", prefill=0)
        self.bad_workload("'shape'", shape="words")
        self.bad_workload("add", shape="bytes", mix={"add": 100})
        self.bad_workload("key_bytes", key_bytes=16)

    def test_a_workload_that_is_no_json(self):
        path = os.path.join(self.folder, "workloads", "small.json")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write('{"name": "small",\n "keys": }\n')
        _, err = self.run_bench(2, "map", "--workload", path)
        self.assertIn("small.json:2:", err)
        os.unlink(path)
        self.run_bench(3, "map", "--workload", path)

    def test_a_key_that_is_missing(self):
        path = os.path.join(self.folder, "workloads", "small.json")
        short = {key: value for key, value in SMALL.items() if key != "ops"}
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(short, stream)
        self.refused("'ops' is missing", "map", "--workload", path)

    def test_options(self):
        self.refused("--threads '0'", "map", "--threads", "0")
        self.refused("--threads '1,x'", "map", "--threads", "1,x")
        self.refused("--rounds '0'", "map", "--rounds", "0")
        self.refused("--seconds 'nan'", "map", "--seconds", "nan")
        self.refused("no gate", "gates", "--only", "nonsense")
        self.run_bench(2, "map", "--only", "x")
        self.run_bench(2, "map", "more")
        self.run_bench(2, "nonsense")
        self.run_bench(2, "--nonsense")

    def test_descriptions_of_peers(self):
        os.makedirs(os.path.join(self.folder, "peers", "odd"))
        path = os.path.join(self.folder, "peers", "odd", "peer.toml")
        for line in ("colour = \"red\"", "id = odd", "id = \"odd", "[table]", "id = \"a\\b\""):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write("name = \"Odd\"\n" + line + "\n")
            self.refused("peer.toml:2:", "peers")


class Traces(Bench):
    def path(self, name):
        return os.path.join(self.folder, name)

    def show(self, data, code):
        with open(self.path("x.trc"), "wb") as stream:
            stream.write(data)
        return self.run_bench(code, "trace", "show", self.path("x.trc"))

    def test_the_same_bytes_again(self):
        self.run_bench(0, "trace", "make", "small", "-o", self.path("a.trc"))
        self.run_bench(0, "trace", "make", "small", "-o", self.path("b.trc"))
        with open(self.path("a.trc"), "rb") as a, open(self.path("b.trc"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_another_reader_reads_what_is_written(self):
        self.run_bench(0, "trace", "make", "small", "-o", self.path("a.trc"))
        with open(self.path("a.trc"), "rb") as stream:
            trace = reference.read_trace(stream.read())
        self.assertEqual((len(trace.prefill), len(trace.operations)), (1000, 20000))

    def test_another_writer_is_read(self):
        for shape in (reference.U64, reference.BYTES):
            data = reference.trace_bytes(reference.make(shape, 50, (20, 5000), {"get": 100}))
            out, _ = self.show(data, 0)
            self.assertIn("20 entries", out)
            self.assertIn("5000 in 3 chunks", out)

    def test_damage(self):
        data = reference.trace_bytes(reference.make(reference.U64, 50, (20, 5000), {"get": 100}))
        for bad, text in ((data[:-8], "byte 56"), (data[:100], "byte 0"), (b"", "empty"),
                          (b"X" + data[1:], "byte 0"), (data + bytes(8), "byte 56"),
                          (data[:400] + b"!" + data[401:], "checksum"),
                          (data[:32] + b"\t" + data[33:], "the head says")):
            _, err = self.show(bad, 2)
            self.assertIn("x.trc: byte", err)
            self.assertIn(text, err)

    def test_texts(self):
        text = self.path("keys.txt")
        with open(text, "w", encoding="utf-8") as stream:
            stream.write("apple\npear\napple\n")
        self.run_bench(0, "trace", "convert", text, "-o", self.path("t.trc"))
        with open(self.path("t.trc"), "rb") as stream:
            trace = reference.read_trace(stream.read())
        self.assertEqual(trace.operations, [(0, b"apple"), (0, b"pear"), (0, b"apple")])
        _, err = self.run_bench(2, "trace", "convert", text, "-o", self.path("t.trc"), "--ops")
        self.assertIn("keys.txt:1:", err)
        self.assertFalse(os.path.exists(self.path("t.trc")))

    def test_texts_with_operations(self):
        text = self.path("ops.txt")
        with open(text, "w", encoding="utf-8") as stream:
            stream.write("put 7\nget 7\nadd 8\nremove 7\n")
        words = ["trace", "convert", text, "-o", self.path("t.trc"), "--ops", "--shape", "u64"]
        self.run_bench(0, *words)
        with open(self.path("t.trc"), "rb") as stream:
            trace = reference.read_trace(stream.read())
        self.assertEqual(trace.operations, [(1, 7), (0, 7), (4, 8), (3, 7)])
        with open(text, "a", encoding="utf-8") as stream:
            stream.write("get seven\n")
        self.assertIn("ops.txt:5:", self.run_bench(2, *words)[1])

    def test_words_of_a_text(self):
        path = self.write(SMALL, name="words", shape="bytes", key_source="words", value_bytes=32)
        text = self.path("text.txt")
        with open(text, "w", encoding="utf-8") as stream:
            stream.write("the quick brown fox jumps over the lazy dog")
        _, err = self.run_bench(0, "trace", "make", path, "-o", self.path("w.trc"), "--text", text)
        self.assertIn("8 different words instead of 2000", err)
        with open(self.path("w.trc"), "rb") as stream:
            trace = reference.read_trace(stream.read())
        self.assertLessEqual({key for _, key in trace.operations},
                             set(b"the quick brown fox jumps over lazy dog".split()))
        self.run_bench(3, "trace", "make", path, "-o", self.path("w.trc"), "--text", "/nowhere")


if __name__ == "__main__":
    if not os.access(OWN, os.X_OK):
        print("%s is not there; build first" % OWN)
        sys.exit(3)
    unittest.main(verbosity=2)
