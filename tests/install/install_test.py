#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`make install` into an empty prefix, consumers built against it, `weft bench` out of it, and then
`make uninstall`."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CONSUMER = os.path.join(HERE, "consumer")
EXPECTED = "WEFT_OK blue\n"
# Data that is exported for lookups that are compiled into the caller; not for use by name.
READ_BY_HEADERS = {"weft_guard_clock", "weft_inline_thread", "weft_thread_slot_value"}


def run(*command, **more):
    """The output of a command; an exception that shows it, if the command fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    if done.returncode != 0:
        raise AssertionError("%s: exit code %d\n%s" % (" ".join(command), done.returncode,
                                                       done.stdout))
    return done.stdout


def files_under(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, _, names in os.walk(folder) for name in names)


class Installed(unittest.TestCase):
    """The release build, installed once for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weft-install-")
        # A copy of the tree, so that it can be taken away.
        cls.source = os.path.join(cls.folder, "source")
        shutil.copytree(ROOT, cls.source, symlinks=True,
                        ignore=lambda folder, _: {".git", "build"} if folder == ROOT else ())
        cls.build = os.path.join(cls.folder, "build")
        cls.prefix = os.path.join(cls.folder, "prefix")
        cls.make("install")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def make(cls, target, destdir=""):
        # ctest -j and make have their own ideas of jobs: keep make's variables to this call.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        run("make", "-C", cls.source, target, "BUILD=" + cls.build, "PREFIX=" + cls.prefix,
            "DESTDIR=" + destdir, env=environment)

    def pkg_config(self, *words):
        library = run("pkg-config", "--variable=libdir", "weft", env=self.search())
        self.assertTrue(os.path.isdir(library.strip()), library)
        return run("pkg-config", *words, "weft", env=self.search()).split(), library.strip()

    def search(self, prefix=None):
        for folder, _, names in os.walk(prefix or self.prefix):
            if "weft.pc" in names:
                return dict(os.environ, PKG_CONFIG_PATH=folder, PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1")
        raise AssertionError("weft.pc was not installed")

    def compiled(self, compiler, source, flags, library):
        program = os.path.join(self.folder, "program")
        run(compiler, "-Wall", "-Wextra", "-Werror", os.path.join(CONSUMER, source), "-o", program,
            *flags)
        return run(program, env=dict(os.environ, LD_LIBRARY_PATH=library))

    def test_pkg_config_shared(self):
        flags, library = self.pkg_config("--cflags", "--libs")
        self.assertEqual(self.compiled("cc", "main.c", flags, library), EXPECTED)
        needed = run("readelf", "-d", os.path.join(self.folder, "program"))
        self.assertIn("libweft.so.0", needed)

    def test_pkg_config_shared_cxx(self):
        flags, library = self.pkg_config("--cflags", "--libs")
        self.assertEqual(self.compiled("c++", "main.cpp", flags, library), EXPECTED)

    def test_pkg_config_static(self):
        flags, library = self.pkg_config("--cflags", "--libs", "--static")
        archive = os.path.join(library, "libweft.a")
        flags = [archive if flag == "-lweft" else flag for flag in flags]
        self.assertEqual(self.compiled("cc", "main.c", flags, ""), EXPECTED)

    def find_package(self, prefix, build):
        run("cmake", "-S", CONSUMER, "-B", build, "-DCMAKE_PREFIX_PATH=" + prefix)
        run("cmake", "--build", build)
        for name in ("c-weft", "cxx-weft", "c-weft_static", "cxx-weft_static"):
            self.assertEqual(run(os.path.join(build, name)), EXPECTED, name)

    def test_find_package(self):
        self.find_package(self.prefix, os.path.join(self.folder, "consumer"))

    def test_find_package_refuses_another_version(self):
        source = os.path.join(self.folder, "later")
        shutil.copytree(CONSUMER, source)
        page = os.path.join(source, "CMakeLists.txt")
        with open(page, encoding="utf-8") as stream:
            text = stream.read().replace("find_package(weft 0.1", "find_package(weft 9.9")
        with open(page, "w", encoding="utf-8") as stream:
            stream.write(text)
        with self.assertRaises(AssertionError):
            run("cmake", "-S", source, "-B", source + "-build",
                "-DCMAKE_PREFIX_PATH=" + self.prefix)

    def test_moved_prefix(self):
        moved = os.path.join(self.folder, "moved")
        shutil.copytree(self.prefix, moved, symlinks=True)
        self.find_package(moved, os.path.join(self.folder, "moved-consumer"))
        where = run("pkg-config", "--cflags", "weft", env=self.search(moved))
        self.assertIn(os.path.realpath(moved), os.path.realpath(where.strip()[2:]))

    def test_only_public_names_are_exported(self):
        _, library = self.pkg_config("--libs")
        symbols = run("nm", "-D", "--defined-only", os.path.join(library, "libweft.so"))
        names = {line.split()[-1].split("@")[0] for line in symbols.splitlines()}
        pages = {name[:-2] for name in os.listdir(os.path.join(ROOT, "docs", "man"))
                 if name.endswith(".3")}
        self.assertEqual(names - {"WEFT_0"} - READ_BY_HEADERS, pages)

    def test_needs_libc_and_threads_alone(self):
        _, library = self.pkg_config("--libs")
        dynamic = run("readelf", "-d", os.path.join(library, "libweft.so"))
        needed = [line.split("[")[1].rstrip("]") for line in dynamic.splitlines()
                  if "NEEDED" in line]
        self.assertLessEqual(set(needed), {"libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2",
                                           "ld-linux-aarch64.so.1"})

    def test_binary_and_manual_pages(self):
        found = files_under(self.prefix)
        self.assertIn("bin/weft", found)
        self.assertIn("share/man/man3/weft_map_get.3", found)
        self.assertIn("include/weft/map.h", found)
        self.assertIn("share/weft/bench/workloads/serve/serve-incr-p1.json", found)

    @contextlib.contextmanager
    def without_source(self):
        """Neither the tree nor the build folder is where the binary was built from."""
        folders = (self.source, self.build)
        for folder in folders:
            os.rename(folder, folder + ".away")
        try:
            yield
        finally:
            for folder in folders:
                os.rename(folder + ".away", folder)

    def bench(self, prefix):
        """One short workload, with all peers that are installed, and its page."""
        result, page = (os.path.join(self.folder, name) for name in ("map.json", "map.html"))
        environment = {k: v for k, v in os.environ.items()
                       if k not in ("WEFT_BENCH", "WEFT_PEERS")}
        run(os.path.join(prefix, "bin", "weft"), "bench", "map", "--workload", "u64-10k-uniform-5",
            "--threads", "1", "--rounds", "1", "--seconds", "0.05", "--noisy", "--json", result,
            "--report", page, cwd=self.folder, env=environment)
        with open(page, encoding="utf-8") as stream:
            self.assertIn("u64-10k-uniform-5", stream.read())
        with open(result, encoding="utf-8") as stream:
            cell, = json.load(stream)["cells"]
        own = [name for name in os.listdir(os.path.join(ROOT, "bench", "peers"))
               if name.startswith("weft-")]
        self.assertEqual({one["peer"] for one in cell["results"]}, set(own))

    def test_bench_needs_no_source(self):
        moved = os.path.join(self.folder, "moved-bench")
        shutil.copytree(self.prefix, moved, symlinks=True)
        with self.without_source():
            self.bench(self.prefix)
            self.bench(moved)

    def test_uninstall_leaves_nothing(self):
        stage = os.path.join(self.folder, "stage")
        self.make("install", stage)
        self.assertTrue(files_under(stage))
        self.make("uninstall", stage)
        self.assertEqual(files_under(stage), [])


if __name__ == "__main__":
    if shutil.which("c++") is None:
        print("skipped: no C++ compiler")
        sys.exit(77)
    unittest.main(verbosity=2)
