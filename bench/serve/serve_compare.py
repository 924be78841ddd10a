#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""weft serve against redis-server, with redis-benchmark, in one run.

Both servers hold the same 1 M keys (16 bytes, values of 32) and write their logs to the same disk
with the same promise (everysec). Each measurement of one is followed by the same of the other, and
the order turns round in each round; the table shows medians over the rounds. CPU time is user +
system of all threads of the server and of the children it waited for. A measurement during which
other programs used the machine is repeated, and a run that stays noisy is not judged.

Exit codes: 0 every must is met, 1 one is missed, 2 usage, 3 not measured (noise, or something
missing).
"""
import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "server"))
import harness  # noqa: E402  (the tests' way to start servers)

TESTS = ("SET", "GET", "INCR", "MSET")
PIPELINES = (1, 16)
CONNECTIONS = 50
KEYS = 1_000_000
VALUE_BYTES = 32
MUST = {"throughput": 1.0, "cpu": 0.667, "memory": 1.0}
FOREIGN_MAX = 0.08   # share of the machine used by other programs
STEAL_MAX = 0.03
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="3 short rounds")
    parser.add_argument("--rounds", type=int, help="rounds (9; 3 with --quick)")
    parser.add_argument("--seconds", type=float, help="aim for one measurement (1.5; 0.5)")
    parser.add_argument("--threads", type=int, help="threads of weft (its default)")
    parser.add_argument("--tests", default=",".join(TESTS), help="of " + ",".join(TESTS))
    parser.add_argument("--control", action="store_true",
                        help="compare redis-server with itself: shows the noise of the bench")
    parser.add_argument("--noisy", action="store_true", help="judge a noisy run all the same")
    parser.add_argument("--json", nargs="?", const="", metavar="FILE",
                        help="write the result (default: a file in bench/results)")
    options = parser.parse_args()
    options.tests = [name for name in options.tests.upper().split(",") if name]
    if not options.tests or set(options.tests) - set(TESTS):
        parser.error("--tests: of " + ",".join(TESTS))
    options.rounds = options.rounds or (3 if options.quick else 9)
    options.seconds = options.seconds or (0.5 if options.quick else 1.5)
    return options


# ---------------------------------------------------------------- the machine

def machine_times():
    """(busy, stolen) seconds of all cores since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:7])) / TICKS, fields[7] / TICKS


def server_cpu(node):
    with open("/proc/%d/stat" % node.process.pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=True, cwd=ROOT)
        return done.stdout.decode().split("\n", maxsplit=1)[0].strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def fingerprint(binary):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1))
    found = {"cpu": model.group(1) if model else platform.machine(), "cores": CORES,
             "memory_mib": memory // 1024, "kernel": platform.release(),
             "redis_server": first_line("redis-server", "--version"),
             "redis_benchmark": first_line("redis-benchmark", "--version"),
             "commit": first_line("git", "rev-parse", "--short=12", "HEAD")}
    text = "%(cpu)s/%(cores)s/%(memory_mib)s/%(kernel)s" % found
    found["machine"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    if os.path.exists(binary):
        with open(binary, "rb") as file:
            found["binary_sha256"] = hashlib.sha256(file.read()).hexdigest()
    return found


# ---------------------------------------------------------------- measuring

def load_keys(node):
    """Exactly KEYS distinct keys, named as redis-benchmark names its random ones."""
    with node.connect(120.0) as connection:
        for start in range(0, KEYS, 2000):
            replies = connection.pipeline(
                [("SET", b"key:%012d" % i, b"%032d" % i) for i in range(start, start + 2000)])
            assert replies == ["OK"] * 2000, replies[:3]
        assert connection.must("DBSIZE") == KEYS


def settle(node):
    """Wait until the node writes no checkpoint, and has made durable what it was sent."""
    with node.connect(120.0) as connection:
        while True:
            info = connection.must("INFO", "persistence")
            if b"aof_rewrite_in_progress:1" not in info and b"bgsave_in_progress:1" not in info:
                break
            time.sleep(0.1)
    time.sleep(0.3)


def settled_rss(node):
    """Resident bytes when nothing is going on any more."""
    time.sleep(2.5)
    settle(node)
    return node.rss()


def benchmark(node, test, pipeline, requests):
    """One run of redis-benchmark: requests/s, CPU seconds a request, and who else was busy."""
    command = ["redis-benchmark", "-p", str(node.port), "-t", test.lower(), "-c",
               str(CONNECTIONS), "-P", str(pipeline), "-n", str(requests), "-r", str(KEYS), "-d",
               str(VALUE_BYTES), "--csv"]
    children, (busy, stolen), cpu = os.times(), machine_times(), server_cpu(node)
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                          check=True)
    settle(node)  # the checkpoint that these requests caused is theirs
    cpu = server_cpu(node) - cpu
    spent = time.monotonic() - began
    now_busy, now_stolen = machine_times()
    after = os.times()
    client = (after.children_user + after.children_system
              - children.children_user - children.children_system)
    rows = re.findall(r'^"%s[^"]*","([0-9.]+)"' % test, done.stdout.decode(), re.MULTILINE)
    if len(rows) != 1:
        raise RuntimeError("redis-benchmark said: " + done.stdout.decode()[-500:])
    foreign = max(0.0, now_busy - busy - cpu - client) / (spent * CORES)
    return {"rps": float(rows[0]), "cpu_us": cpu / requests * 1e6, "requests": requests,
            "foreign": foreign, "steal": (now_stolen - stolen) / (spent * CORES)}


def noisy(sample):
    return sample["foreign"] > FOREIGN_MAX or sample["steal"] > STEAL_MAX


class Run:
    def __init__(self, options, nodes):
        self.options = options
        self.nodes = nodes  # name → node; the first one is the peer
        self.samples = {}   # (test, pipeline, name) → list
        self.requests = {}

    def plan(self):
        """How many requests last about as long as wanted, by a short run against the peer."""
        peer = self.nodes[0][1]
        for test in self.options.tests:
            for pipeline in PIPELINES:
                trial = benchmark(peer, test, pipeline, 20_000 if pipeline == 1 else 100_000)
                wanted = trial["rps"] * self.options.seconds
                self.requests[test, pipeline] = max(20_000, int(round(wanted, -4)))

    def pair(self, test, pipeline, turn):
        """One measurement of each, in turn; again if others disturbed it."""
        order = self.nodes if turn % 2 == 0 else self.nodes[::-1]
        best = None
        for _ in range(3):
            found = {name: benchmark(node, test, pipeline, self.requests[test, pipeline])
                     for name, node in order}
            worst = max(sample["foreign"] + sample["steal"] for sample in found.values())
            if best is None or worst < best[0]:
                best = (worst, found)
            if not any(noisy(sample) for sample in found.values()):
                break
            time.sleep(1.0)
        for name, sample in best[1].items():
            self.samples.setdefault((test, pipeline, name), []).append(sample)

    def all(self):
        self.plan()
        for turn in range(self.options.rounds):
            for test in self.options.tests:
                for pipeline in PIPELINES:
                    self.pair(test, pipeline, turn)
            print("round %d of %d" % (turn + 1, self.options.rounds), file=sys.stderr)

    def median(self, test, pipeline, name, field):
        return statistics.median(s[field] for s in self.samples[test, pipeline, name])

    def ratio(self, test, pipeline, field):
        """The median over rounds of the ratio within a round: what disturbs both cancels out."""
        peer, ours = (self.samples[test, pipeline, name] for name, _ in self.nodes)
        ratios = [b[field] / a[field] if a[field] else float("nan") for a, b in zip(peer, ours)]
        return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}

    def noisy_share(self):
        everything = [sample for samples in self.samples.values() for sample in samples]
        return sum(map(noisy, everything)) / len(everything)


# ---------------------------------------------------------------- the result

def verdicts(run):
    rows = []
    for test in run.options.tests:
        for pipeline in PIPELINES:
            row = {"test": test, "pipeline": pipeline}
            for name, _ in run.nodes:
                row[name] = {field: run.median(test, pipeline, name, field)
                             for field in ("rps", "cpu_us")}
            row["throughput"] = run.ratio(test, pipeline, "rps")
            row["cpu"] = run.ratio(test, pipeline, "cpu_us")
            row["throughput_met"] = row["cpu_met"] = None
            if not run.options.control:
                row["throughput_met"] = row["throughput"]["median"] >= MUST["throughput"]
                if pipeline == 16:
                    row["cpu_met"] = row["cpu"]["median"] <= MUST["cpu"]
            rows.append(row)
    return rows


def word(met):
    return {True: "yes", False: "NO", None: "-"}[met]


def print_table(result, names):
    peer, ours = names
    print("\n%-5s %3s  %11s %11s  %-18s %-4s  %9s %9s  %-18s %-4s" % (
        "test", "P", peer[:9] + "/s", ours[:9] + "/s", "ratio (range)", "met",
        "us/cmd", "us/cmd", "CPU ratio (range)", "met"))
    for row in result["rows"]:
        texts = ["%.2f (%.2f-%.2f)" % (row[kind]["median"], row[kind]["least"], row[kind]["most"])
                 for kind in ("throughput", "cpu")]
        print("%-5s %3d  %11.0f %11.0f  %-18s %-4s  %9.3f %9.3f  %-18s %-4s" % (
            row["test"], row["pipeline"], row[peer]["rps"], row[ours]["rps"], texts[0],
            word(row["throughput_met"]), row[peer]["cpu_us"], row[ours]["cpu_us"], texts[1],
            word(row["cpu_met"])))
    memory = result["memory"]
    print("resident for %d keys: %s %.1f MiB, %s %.1f MiB, ratio %.2f, met: %s" % (
        KEYS, peer, memory[peer] / 2 ** 20, ours, memory[ours] / 2 ** 20, memory["ratio"],
        word(memory["met"])))
    print("load %s before, %s after; %.0f %% of the measurements were disturbed" % (
        result["load_before"], result["load_after"], 100 * result["noisy_share"]))


def write_json(result, path):
    if not path:
        folder = os.path.join(ROOT, "bench", "results")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "serve-%s-%s.json" % (
            result["fingerprint"]["machine"], time.strftime("%Y%m%d-%H%M%S", time.gmtime())))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, sort_keys=True)
        file.write("\n")
    print("written: " + path)


def measure(options, nodes):
    result = {"load_before": list(os.getloadavg()), "must": MUST, "rounds": options.rounds,
              "seconds": options.seconds, "connections": CONNECTIONS, "keys": KEYS,
              "value_bytes": VALUE_BYTES, "quick": options.quick, "control": options.control,
              "fingerprint": fingerprint(harness.BINARY),
              "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    peer, ours = names = [name for name, _ in nodes]
    for _, node in nodes:
        load_keys(node)
    memory = {name: settled_rss(node) for name, node in nodes}
    memory["ratio"] = memory[ours] / memory[peer]
    memory["met"] = None if options.control else memory["ratio"] <= MUST["memory"]
    result["memory"] = memory
    run = Run(options, nodes)
    run.all()
    result.update(rows=verdicts(run), noisy_share=run.noisy_share(),
                  load_after=list(os.getloadavg()),
                  samples={"%s P%d %s" % key: value for key, value in run.samples.items()})
    print_table(result, names)
    return result


def judge(options, result):
    met = [result["memory"]["met"]]
    for row in result["rows"]:
        met += [row["throughput_met"], row["cpu_met"]]
    if options.control:
        print("control: both were redis-server; the ratios show the noise, nothing is judged")
        return 0
    if result["noisy_share"] > 0.25 and not options.noisy:
        print("not judged: other programs used the machine (--noisy judges all the same)")
        return 3
    missed = False in met
    print("a must is missed" if missed else "every must is met")
    return 1 if missed else 0


def main():
    options = parse_arguments()
    needed = ["redis-server", "redis-benchmark"] + ([] if options.control else [harness.BINARY])
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        print("not measured; not installed: " + ", ".join(missing), file=sys.stderr)
        return 3
    kinds = ("redis", "redis") if options.control else ("redis", "weft")
    names = ("redis", "redis again") if options.control else kinds
    nodes = []
    try:
        for name, kind in zip(names, kinds):
            # The default of weft is a thread for each core; redis-server runs commands in one.
            extra = {"threads": options.threads} if kind == "weft" else {}
            nodes.append((name, harness.Node(kind=kind, sync="everysec", **extra)))
            nodes[-1][1].start()
        result = measure(options, nodes)
    finally:
        for _, node in nodes:
            node.destroy()
    if options.json is not None:
        write_json(result, options.json)
    return judge(options, result)


if __name__ == "__main__":
    sys.exit(main())
