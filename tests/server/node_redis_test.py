#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""node-redis (or whatever `require('redis')` finds), unmodified: node_redis_client.js does it."""
import os
import shutil
import subprocess

import harness

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_redis_client.js")


def node_command():
    """Debian's node with Debian's modules, else the first on the path."""
    return "/usr/bin/node" if os.path.exists("/usr/bin/node") else shutil.which("node")


def environment():
    return dict(os.environ, NODE_PATH="/usr/share/nodejs:/usr/lib/nodejs:"
                + os.environ.get("NODE_PATH", ""))


def missing():
    if node_command() is None:
        return "not installed: nodejs"
    done = subprocess.run([node_command(), "-e", "require('redis')"], env=environment(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return "not installed: node-redis" if done.returncode else None


class NodeRedis(harness.NodeCase):
    def test_application(self):
        server = self.node()
        done = subprocess.run([node_command(), SCRIPT, str(server.port)], env=environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode("utf-8", "replace"))
        self.assertEqual(done.stdout.decode().count(" ok"), 5)


if __name__ == "__main__":
    harness.main(skip=missing())
