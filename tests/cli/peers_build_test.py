#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Flags and allocators of the bench's peers are those that bench/peers/README.md states. Every
build.sh runs with compilers that only write down what they are asked for: none has to be there."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(os.environ.get("WEFT_SOURCE", os.path.join(os.path.dirname(__file__), "..",
                                                                   "..")))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(SOURCE, "build"))
PEERS = os.path.join(SOURCE, "bench", "peers")
ALLOCATORS = re.compile(r"jemalloc|mimalloc|tcmalloc|hoard|snmalloc|rpmalloc|LD_PRELOAD")
# Flags that change what the compiler makes of the code; -fPIC and visibility are what a library is.
TUNES = re.compile(r"-O|-f(?!PIC$|visibility|sanitize|no-sanitize)|-m|-DNDEBUG$|-Wl,|-l")
LIBRARIES = {"ck-ht": {"-lck"}, "liburcu": {"-lurcu-qsbr", "-lurcu-cds"}, "onetbb": {"-ltbb"}}

# Writes down its name, arguments and environment, and makes what it was asked for.
TOOL = r"""#!%s
import json, os, sys
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
if words in (["--version"], ["-version"], ["env", "GOVERSION"]):
    print({"cargo": "cargo 1.99.0", "javac": "javac 21", "go": "go1.99"}.get(name, name))
    sys.exit(0)
with open(os.environ["TOOL_LOG"], "a") as log:
    log.write(json.dumps([name, words, dict(os.environ)]) + "\n")
if "-o" in words:
    open(words[words.index("-o") + 1], "w").close()
    os.chmod(words[words.index("-o") + 1], 0o755)
if "-d" in words and name == "javac":
    os.makedirs(words[words.index("-d") + 1])
if name == "cargo" and "--bin" in words:
    folder = os.path.join(os.environ["CARGO_TARGET_DIR"], "release")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, words[words.index("--bin") + 1]), "w").close()
""" % sys.executable


def description(peer):
    with open(os.path.join(PEERS, peer, "peer.toml"), encoding="utf-8") as stream:
        return dict(re.findall(r'(?m)^(\w+) *= *"(.*)" *$', stream.read()))


def peers_in(*languages):
    found = sorted(os.path.basename(os.path.dirname(path))
                   for path in glob.glob(os.path.join(PEERS, "*", "peer.toml")))
    return [peer for peer in found
            if description(peer)["language"] in languages and not peer.startswith("weft-")]


def own_flags():
    """Those of weft's release build; the build under test may be of another kind."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as stream:
        commands = [entry["command"] for entry in json.load(stream)
                    if entry["file"].endswith("src/engine/lockfree.c")]
    words = next(command for command in commands if "weft_objects.dir" in command).split()
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as stream:
        release = re.search(r"(?m)^CMAKE_C_FLAGS_RELEASE:\w+=(.*)$", stream.read()).group(1)
    return {word for word in words if word.startswith(("-f", "-m")) and TUNES.match(word)} | set(
        release.split())


class Builds(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-peers-build-")
        self.addCleanup(shutil.rmtree, self.folder)
        for tool in ("cc", "c++", "cargo", "go", "java", "javac"):
            path = os.path.join(self.folder, tool)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(TOOL)
            os.chmod(path, 0o755)

    def calls(self, peer, folder=PEERS):
        """What build.sh asks its tools for: (tool, arguments, environment) each."""
        log = os.path.join(self.folder, peer + ".log")
        environment = dict(os.environ, TOOL_LOG=log, RUSTFLAGS="-C opt-level=0",
                           GOFLAGS="-gcflags=-N", PATH=self.folder + ":" + os.environ["PATH"])
        environment.pop("CC", None)
        environment.pop("CXX", None)
        subprocess.run([os.path.join(folder, peer, "build.sh"), os.path.join(self.folder, "out")],
                       env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
        with open(log, encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]

    def tuning(self, peer, folder=PEERS):
        """The flags and libraries that a peer in C or C++ is compiled with."""
        compiles = [words for _, words, _ in self.calls(peer, folder)
                    if "-o" in words and "-fsyntax-only" not in words]
        self.assertEqual(len(compiles), 1, compiles)
        return {word for word in compiles[0] if TUNES.match(word)}

    def test_c_and_cpp_have_weft_s_own_flags(self):
        for peer in peers_in("c", "c++"):
            with self.subTest(peer):
                self.assertEqual(self.tuning(peer), own_flags() | LIBRARIES.get(peer, set()))

    def test_rust_has_the_release_profile(self):
        for peer in peers_in("rust"):
            with self.subTest(peer):
                builds = [(words, environment) for _, words, environment in self.calls(peer)
                          if words[0] == "build"]
                self.assertEqual(len(builds), 1)
                words, environment = builds[0]
                self.assertIn("--release", words)
                special = ("--config", "--profile", "-Z")
                self.assertEqual([w for w in words if w.startswith(special)], [])
                self.assertEqual(environment["RUSTFLAGS"], "")
        with open(os.path.join(PEERS, "rust", "Cargo.toml"), encoding="utf-8") as stream:
            self.assertNotIn("[profile", stream.read())
        self.assertFalse(os.path.exists(os.path.join(PEERS, "rust", ".cargo")))

    def test_rust_has_one_allocator_for_all(self):
        with_one = []
        for path in glob.glob(os.path.join(PEERS, "rust*", "*.rs")):
            with open(path, encoding="utf-8") as stream:
                with_one += [os.path.basename(path)] * ("global_allocator" in stream.read())
        self.assertEqual(with_one, ["system.rs"])

    def test_go_has_no_flags(self):
        for peer in peers_in("go") + ["go-claims"]:
            with self.subTest(peer):
                builds = [(words, environment) for _, words, environment in self.calls(peer)
                          if words[0] == "build"]
                self.assertEqual(len(builds), 1)
                words, environment = builds[0]
                self.assertEqual([w for w in words if re.match(r"-(gcflags|ldflags|pgo|race)", w)],
                                 [])
                self.assertEqual(environment["GOFLAGS"], "")

    def test_a_program_is_built_where_no_peer_is_looked_for(self):
        out = os.path.join(self.folder, "out")
        environment = dict(os.environ, TOOL_LOG=os.path.join(self.folder, "log"),
                           PATH=self.folder + ":" + os.environ["PATH"])
        for told in ("built", "up to date"):
            done = subprocess.run([os.path.join(SOURCE, "scripts", "peers.sh"), "--no-install", out,
                                   "go-claims"], env=environment, check=True, timeout=60,
                                  capture_output=True, text=True)
            self.assertRegex(done.stdout, r"(?m)^go-claims +%s$" % told)
        self.assertTrue(os.access(os.path.join(out, ".programs", "go-claims"), os.X_OK))
        self.assertEqual([name for name in os.listdir(out) if not name.startswith(".")], [])

    def test_java_has_one_collector_and_heap_for_all(self):
        started = set()
        for peer in peers_in("java"):
            (_, words, _), = self.calls(peer)
            self.assertEqual([w for w in words if w.startswith(("-g", "-J"))], [])
            with open(os.path.join(self.folder, "out", peer), encoding="utf-8") as stream:
                started.add(tuple(re.findall(r"-X\S+", stream.read())))
        self.assertEqual(len(started), 1, started)

    def test_no_other_allocator(self):
        for path in glob.glob(os.path.join(PEERS, "*", "*")):
            if os.path.isdir(path) or path.startswith(os.path.join(PEERS, "rust")):
                continue
            with open(path, encoding="utf-8") as stream:
                self.assertIsNone(ALLOCATORS.search(stream.read()), path)

    def test_weft_itself_has_no_other_allocator(self):
        loaded = subprocess.run(["ldd", os.path.join(BUILD, "peers", "weft-lockfree")],
                                capture_output=True, text=True, check=False).stdout
        self.assertIsNone(ALLOCATORS.search(loaded), loaded)

    def test_a_departure_is_found(self):
        folder = os.path.join(self.folder, "peers")
        for part in ("replay", "c-empty"):
            shutil.copytree(os.path.join(PEERS, part), os.path.join(folder, part))
        self.assertEqual(self.tuning("c-empty", folder), own_flags())
        with open(os.path.join(folder, "c-empty", "build.sh"), "a", encoding="utf-8") as stream:
            stream.write("compile empty.c -march=native -ljemalloc\n")
        last = self.calls("c-empty", folder)[-1][1]
        self.assertEqual({w for w in last if TUNES.match(w)} - own_flags(),
                         {"-march=native", "-ljemalloc"})


if __name__ == "__main__":
    unittest.main()
