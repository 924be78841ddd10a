#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""hiredis, unmodified: the program of hiredis_client.c, which the build made, against a node."""
import os
import subprocess

import harness

CLIENT = os.path.join(os.environ.get("WEFT_BUILD", os.path.join(harness.ROOT, "build")),
                      "tests", "server", "hiredis_client")


class Hiredis(harness.NodeCase):
    def test_application(self):
        server = self.node()
        done = subprocess.run([CLIENT, str(server.port)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode("utf-8", "replace"))
        self.assertEqual(done.stdout.decode().count(" ok"), 6)


if __name__ == "__main__":
    built = os.access(CLIENT, os.X_OK)
    harness.main(skip=None if built else "not built, for want of libhiredis-dev: " + CLIENT)
