#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tree keeps the law of docs/STYLE.md."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
os.execv(sys.executable, [sys.executable, os.path.join(HERE, "tidy.py")])
