#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A further engine is one file and one line: a copy of the tree with both builds, and the engine
passes tests of the contract and of linearizability that know nothing of it."""
import os
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGETS = ["contract_point_test", "contract_walk_test", "contract_write_batch_test",
           "lin_map_schedule_test"]


def run(*command, **more):
    """The output of a command; an exception that shows it, if the command fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    if done.returncode != 0:
        raise AssertionError("%s: exit code %d\n%s" % (" ".join(command), done.returncode,
                                                       done.stdout[-4000:]))
    return done.stdout


class Eleventh(unittest.TestCase):
    """A copy of the tree with one file and one line more."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weft-engine-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.tree = os.path.join(cls.folder, "tree")
        cls.build = os.path.join(cls.folder, "build")
        shutil.copytree(ROOT, cls.tree, symlinks=True,
                        ignore=lambda folder, _: {".git", "build"} if folder == ROOT else ())
        shutil.copy(os.path.join(HERE, "eleventh.c"), os.path.join(cls.tree, "src", "engine"))
        with open(os.path.join(cls.tree, "include", "weft", "engines.def"), "a",
                  encoding="utf-8") as lines:
            lines.write("WEFT_ENGINE(eleventh, ELEVENTH, 1000)\n")
        # ctest -j and make have their own ideas of jobs: keep make's variables out.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        run("cmake", "-S", cls.tree, "-B", cls.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_C_FLAGS=-O0 -g0", "-DWEFT_DEBUG=1", "-DWEFT_SERVER=OFF", env=environment)
        run("ninja", "-C", cls.build, *TARGETS, env=environment)

    def contract(self, name, at_least):
        """Tests of this file that ran on the engine."""
        out = run(os.path.join(self.build, "tests", "contract", name), cwd=self.build,
                  env=dict(os.environ, WEFT_TESTS="ELEVENTH/*"))
        self.assertGreaterEqual(out.count("[       OK ] ELEVENTH/"), at_least, out)
        self.assertNotIn("FAILED", out)

    def test_contract(self):
        self.contract("point_test", 10)
        self.contract("walk_test", 5)
        self.contract("write_batch_test", 5)

    def test_schedules(self):
        program = os.path.join(self.build, "tests", "lin", "map_schedule_test")
        for shape in ("bytes", "u64"):
            out = run(program, "ELEVENTH", shape, "1", "2000", cwd=self.build)
            self.assertIn("ELEVENTH %s: 2000 schedules" % shape, out)

    def test_schedules_would_see_a_fault(self):
        """The engine's own swing is what they look at: one that does not look again is caught."""
        path = os.path.join(self.tree, "src", "engine", "eleventh.c")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        weak = text.replace("if (weft_plain_is_as_seen(core, plain, key, position)) {",
                            "weft_plain_is_as_seen(core, plain, key, position);\n    {")
        self.assertNotEqual(text, weak)
        with open(path, "w", encoding="utf-8") as file:
            file.write(weak)
        run("ninja", "-C", self.build, "lin_map_schedule_test")
        run(os.path.join(self.build, "tests", "lin", "map_schedule_test"), "--find", "ELEVENTH",
            "u64", "1", "20000", cwd=self.build)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        run("ninja", "-C", self.build, "lin_map_schedule_test")


if __name__ == "__main__":
    unittest.main(verbosity=2)
