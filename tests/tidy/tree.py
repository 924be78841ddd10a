# SPDX-License-Identifier: MIT
"""The files of the tree, and enough of C to count and compare: comments, strings, functions."""
import os
import re
import subprocess
from collections import namedtuple

Finding = namedtuple("Finding", "rule path line text")
Function = namedtuple("Function", "name parameters first last head body")

RULES = []

# Languages in which only peers of the bench are written.
PEER_SOURCES = (".cc", ".cpp", ".go", ".java", ".rs")


def rule(name, says):
    """Registers a check: a generator of findings over a tree."""
    def register(check):
        RULES.append((name, says, check))
        return check
    return register


class File:
    """One text file; what is derived from it is computed once."""

    def __init__(self, root, path):
        self.path = path
        self.folder = os.path.dirname(path)
        self.name = os.path.basename(path)
        with open(os.path.join(root, path), "rb") as stream:
            self.text = stream.read().decode("utf-8", "replace")
        self.lines = self.text.split("\n")
        self._code = None
        self._functions = None

    @property
    def is_c(self):
        return self.path.endswith((".c", ".h"))

    @property
    def is_script(self):
        return self.path.endswith((".py", ".sh", ".cmake", ".js") + PEER_SOURCES) or self.name in (
            "Makefile", "CMakeLists.txt") or self.text.startswith("#!")

    def is_in(self, *folders):
        return any(self.path.startswith(folder + "/") for folder in folders)

    @property
    def code(self):
        """The text with comments, strings and preprocessor lines blanked; the lines stay."""
        if self._code is None:
            self._code = blank(self.text)
        return self._code

    @property
    def functions(self):
        if self._functions is None:
            self._functions = list(find_functions(self.code))
        return self._functions

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1


def spaces(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    pattern = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*'
    return re.sub(pattern, lambda m: spaces(m) if m.group(0)[0] == "/" else m.group(0), text,
                  flags=re.S)


def blank(text):
    text = without_comments(text)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  lambda m: m.group(0)[0] + " " * (len(m.group(0)) - 2) + m.group(0)[0], text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", spaces, text, flags=re.M)


def split_parameters(text):
    """The parameters between a function's parentheses."""
    parts, depth, part = [], 0, ""
    for char in text:
        depth += char in "([{"
        depth -= char in ")]}"
        if char == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += char
    parts.append(part)
    parts = [" ".join(p.split()) for p in parts]
    return [] if parts in ([""], ["void"]) else parts


def parameter_name(parameter):
    pointer = re.search(r"\(\s*\*\s*(\w+)", parameter)
    if pointer:
        return pointer.group(1)
    found = re.search(r"(\w+)\s*(?:\[[^\]]*\])*$", parameter)
    return found.group(1) if found else parameter


def matching(text, at, open_char, close_char):
    """Offset of the bracket that closes the one at `at`."""
    depth = 0
    for offset in range(at, len(text)):
        if text[offset] == open_char:
            depth += 1
        elif text[offset] == close_char:
            depth -= 1
            if depth == 0:
                return offset
    return len(text) - 1


def find_functions(code):
    """Function definitions: a brace at depth 0 that follows a closing parenthesis."""
    at = 0
    start = 0
    while at < len(code):
        char = code[at]
        if char == ";":
            start = at + 1
        elif char == "{":
            end = matching(code, at, "{", "}")
            head = code[start:at]
            found = re.search(r"(\w+)\s*\(", head)
            if found and head.rstrip().endswith(")") and "=" not in head[:found.start()]:
                open_at = start + found.end() - 1
                close_at = matching(code, open_at, "(", ")")
                # WEFT_TYPED(x) name(…) { : the name is before the last group of parentheses.
                first = code.count("\n", 0, start + len(head) - len(head.lstrip())) + 1
                yield Function(found.group(1), split_parameters(code[open_at + 1:close_at]), first,
                               code.count("\n", 0, end) + 1, start, (at, end))
            at = end
            start = end + 1
        at += 1


class Tree:
    """All text files of the repository that are, or could be, committed."""

    def __init__(self, root):
        self.root = root
        self.files = [File(root, path) for path in list_files(root) if is_text(root, path)]
        self.by_path = {file.path: file for file in self.files}

    def c_files(self, *folders):
        return [f for f in self.files if f.is_c and (not folders or f.is_in(*folders))]

    def get(self, path):
        return self.by_path.get(path)

    def exists(self, path):
        return os.path.exists(os.path.join(self.root, path))


def list_files(root):
    if os.path.isdir(os.path.join(root, ".git")):
        done = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others",
                               "--exclude-standard"], stdout=subprocess.PIPE, check=True)
        names = done.stdout.decode().split("\0")
        return sorted({n for n in names if n and os.path.isfile(os.path.join(root, n))})
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in ("build", "__pycache__", ".git")]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def is_text(root, path):
    if "/corpus/" in path:
        return False
    with open(os.path.join(root, path), "rb") as stream:
        return b"\0" not in stream.read(4096)
