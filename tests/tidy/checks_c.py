# SPDX-License-Identifier: MIT
"""Rules about C: layers, seams, memory order, sizes, assertions, essays, format."""
import os
import re
import shutil
import subprocess

import tree
from tree import Finding, rule

FUNCTION_LINES = 60
FILE_LINES = 800
LONG_FILE_LINES = 1200
COLUMNS = 100
PARAMETERS = 4
NONTRIVIAL_LINES = 10
FORMATTER = "clang-format-14"

# The calls that reach the outside world; what to write instead is in src/base/README.md.
SEAM_CALLS = """malloc calloc realloc free aligned_alloc posix_memalign strdup strndup asprintf
    clock_gettime gettimeofday time usleep nanosleep sleep sched_yield open openat creat close read
    write pread pwrite readv writev fsync fdatasync rename unlink ftruncate fallocate
    posix_fallocate mmap munmap opendir readdir fopen fclose flock getrandom rand random
    srand abort exit pthread_mutex_lock pthread_create""".split()
# libevent hands the server descriptors of sockets; on these it may call what a socket is for.
SOCKET_CALLS = ("close", "read", "write")
RAW_ATOMICS = r"__atomic_\w+|__sync_\w+|\b_Atomic\b|\batomic_\w+\s*\(|stdatomic\.h"
ORDERED = r"\bweft_(?:load|store|exchange|cas|fetch)\w*_(?:acquire|release|acq_rel)\s*\("
ESSAY = ["Design", "Layout", "Concurrency", "Rejected", "Credits"]

# The one interface whose functions take more than four parameters: `swing` is the hottest call of
# an engine, and a struct on its way would cost a store and a load.
WIDE_FUNCTIONS = r"^\w+_swing$"


def arrows(text):
    """src/README.md's table: folder -> (headers that others include, what it may include)."""
    layers, rows = {}, {}
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 4 or not re.match(r"L\d|—", cells[0]):
            continue
        for folder in re.findall(r"`([^`]+)`", cells[1]):
            folder = folder.replace("../", "")
            layers.setdefault(cells[0], []).append(folder)
            rows[folder] = (re.findall(r"`([^`]+)`", cells[2]), cells[2], cells[3])
    return layers, rows


def may_include(folder, target, layers, rows):
    """Whether the table lets `folder` include `target` (a path as it is written in the include)."""
    of = os.path.dirname(target)
    if of == folder:
        return True
    allowed = rows[folder][2]
    if of == "weft":
        return "public headers" in allowed or "`%s`" % target in allowed
    if "`%s`" % target in allowed:
        return True
    named = re.findall(r"`([^`]+)`", allowed)
    for layer in re.findall(r"L\d", allowed):
        named += layers.get(layer, [])
    if of not in named or of not in rows:
        return False
    headers, words, _ = rows[of]
    return "each of its headers" in words or target in headers


@rule("layers", "includes follow the arrows of src/README.md")
def check_layers(t):
    table = t.get("src/README.md")
    if table is None:
        yield Finding("layers", "src/README.md", 1, "the table of layers is missing")
        return
    layers, rows = arrows(table.text)
    for file in t.c_files("src", "tools", "examples", "bench"):
        folder = file.folder[4:] if file.folder.startswith("src/") else file.folder
        public_only = folder not in rows and file.is_in("examples", "bench")
        if not public_only and folder not in rows:
            yield Finding("layers", file.path, 1, "src/README.md has no row for this folder")
            continue
        for number, line in enumerate(file.lines, 1):
            found = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<(weft/[^>]+)>)', line)
            if not found:
                continue
            target = found.group(1) or found.group(2)
            if "/" not in target:
                continue
            if public_only:
                good = target.startswith("weft/")
            else:
                good = may_include(folder, target, layers, rows)
            if not good:
                yield Finding("layers", file.path, number, "%s may not include %s" % (
                    folder, target))


@rule("seams", "allocation, clock, files, random and threads only through src/base")
def check_seams(t):
    calls = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(SEAM_CALLS))
    for file in t.c_files("src"):
        if file.is_in("src/base"):
            continue
        for number, line in enumerate(file.code.split("\n"), 1):
            for name in calls.findall(line):
                if not (file.is_in("src/server") and name in SOCKET_CALLS):
                    yield Finding("seams", file.path, number, "%s belongs to src/base" % name)


@rule("atomics", "raw atomics only in src/base")
def check_atomics(t):
    for file in t.c_files("src", "tools"):
        if file.is_in("src/base"):
            continue
        allowed = 2 if file.path == "src/engine/entry.h" else 0
        source = tree.without_comments(file.text)
        for number, line in enumerate(source.split("\n"), 1):
            for found in re.finditer(RAW_ATOMICS, line):
                allowed -= 1
                if allowed < 0:
                    yield Finding("atomics", file.path, number, "%s: use base/atomic.h" %
                                  found.group(0))


def has_pairing(file, number):
    return "pairs with" in " ".join(file.lines[max(0, number - 5):number]).lower()


@rule("pairs", "each acquire and release says what it pairs with")
def check_pairs(t):
    for file in t.c_files("src"):
        if file.path == "src/base/atomic.h":
            continue
        for number, line in enumerate(file.code.split("\n"), 1):
            if not re.search(ORDERED, line) or has_pairing(file, number):
                continue
            inside = [f for f in file.functions if f.first <= number <= f.last]
            if inside:
                first = inside[0].first
                while first > 1 and file.lines[first - 2].strip():
                    first -= 1
                if "pairs with" in " ".join(file.lines[first - 1:inside[0].last]).lower():
                    continue
            yield Finding("pairs", file.path, number, 'an ordered access without "pairs with …"')


@rule("function-length", "functions have at most %d lines" % FUNCTION_LINES)
def check_function_length(t):
    for file in t.c_files():
        for f in file.functions:
            if f.last - f.first + 1 > FUNCTION_LINES:
                yield Finding("function-length", file.path, f.first, "%s has %d lines" % (
                    f.name, f.last - f.first + 1))


@rule("file-length", "files have at most %d lines; engines and public headers %d" % (
    FILE_LINES, LONG_FILE_LINES))
def check_file_length(t):
    for file in t.files:
        if not (file.is_c or file.is_script):
            continue
        limit = LONG_FILE_LINES if file.is_in("src/engine", "include/weft") else FILE_LINES
        count = file.text.count("\n")
        if count > limit:
            yield Finding("file-length", file.path, limit, "%d lines, over %d" % (count, limit))


@rule("columns", "lines have at most %d columns" % COLUMNS)
def check_columns(t):
    for file in t.files:
        if file.is_c or file.is_script or file.path.endswith(".def"):
            for number, line in enumerate(file.lines, 1):
                # The banner of a public header may draw beyond; nothing else may.
                columns = len(line.expandtabs(4))
                if columns > COLUMNS:
                    yield Finding("columns", file.path, number, "%d columns" % columns)


def prototypes(file):
    """(name, parameters, line) of the function declarations in a header."""
    for found in re.finditer(r"^[A-Za-z_][\w \t*\n]*?\b(\w+)\s*\(", file.code, flags=re.M):
        if found.group(0).lstrip().startswith(("typedef", "return", "else")):
            continue
        close = tree.matching(file.code, found.end() - 1, "(", ")")
        if re.match(r"[^;{}=()]*;", file.code[close + 1:close + 200]):
            yield (found.group(1), tree.split_parameters(file.code[found.end():close]),
                   file.line_of(found.start(1)))


@rule("parameters", "functions have at most %d parameters" % PARAMETERS)
def check_parameters(t):
    for file in t.c_files():
        seen = [(f.name, f.parameters, f.first) for f in file.functions]
        if file.path.endswith(".h"):
            seen += list(prototypes(file))
        for name, parameters, line in seen:
            if len(parameters) > PARAMETERS and not re.match(WIDE_FUNCTIONS, name):
                yield Finding("parameters", file.path, line, "%s has %d" % (name, len(parameters)))


def protocol_files(t):
    """Engine files and reclamation: where the essay and the assertions are asked for."""
    table = t.get("include/weft/engines.def")
    symbols = re.findall(r"^WEFT_ENGINE\((\w+)", table.text, flags=re.M) if table else []
    for file in t.c_files("src/engine", "src/reclaim"):
        defines = any(re.search(r"^const weft_engine weft_engine_%s\b" % s, file.code, flags=re.M)
                      for s in symbols)
        if file.path.endswith(".c") and (defines or file.is_in("src/reclaim")):
            yield file


@rule("essay", "engine and protocol files open with " + ", ".join(ESSAY))
def check_essay(t):
    for file in protocol_files(t):
        opening = "\n".join(re.findall(r"/\*.*?\*/", file.text[:20000], flags=re.S)[:3])
        for heading in ESSAY:
            if not re.search(r"^[ /]*\*\s*%s\b" % heading, opening, flags=re.M | re.I):
                yield Finding("essay", file.path, 1, "no heading %s" % heading)


@rule("assertions", "one assertion per non-trivial function in engine and reclaim")
def check_assertions(t):
    for file in t.c_files("src/engine", "src/reclaim"):
        if not file.path.endswith(".c"):
            continue
        large = [f for f in file.functions if f.last - f.first + 1 > NONTRIVIAL_LINES]
        count = len(re.findall(r"\b(?:WEFT_ASSERT\w*|_?static_assert)\s*\(", file.code, flags=re.I))
        if count < len(large):
            yield Finding("assertions", file.path, 1, "%d assertions for %d functions of more than "
                          "%d lines" % (count, len(large), NONTRIVIAL_LINES))


@rule("format", "C is formatted by %s" % FORMATTER)
def check_format(t):
    tool = shutil.which(FORMATTER)
    files = [f.path for f in t.c_files()]
    if tool is None:
        yield Finding("format", ".clang-format", 1, "%s is not installed" % FORMATTER)
        return
    for at in range(0, len(files), 50):
        done = subprocess.run([tool, "--dry-run", "--style=file", *files[at:at + 50]],
                              cwd=t.root, stderr=subprocess.PIPE, check=False)
        for line in done.stderr.decode("utf-8", "replace").split("\n"):
            found = re.match(r"([^:]+):(\d+):\d+: (?:warning|error): (.*)", line)
            if found:
                yield Finding("format", found.group(1), int(found.group(2)), found.group(3))


@rule("dead-code", "no commented-out code")
def check_dead_code(t):
    for file in t.c_files():
        for number, line in enumerate(file.lines, 1):
            if re.match(r"\s*//.*[;{}]\s*$", line) or re.match(r"\s*#\s*if\s+0\b", line):
                yield Finding("dead-code", file.path, number, line.strip())


@rule("duplicates", "no run of twelve equal lines in two places")
def check_duplicates(t):
    run = 12
    seen, reported = {}, set()
    for file in t.c_files("src", "tools", "tests"):
        lines = [(n, " ".join(line.split())) for n, line in
                 enumerate(tree.without_comments(file.text).split("\n"), 1)]
        lines = [(n, line) for n, line in lines if len(line) > 2 and not line.startswith("#")]
        for at in range(len(lines) - run + 1):
            key = tuple(line for _, line in lines[at:at + run])
            first = seen.setdefault(key, (file.path, lines[at][0]))
            mark = (file.path, first[0])
            if first != (file.path, lines[at][0]) and mark not in reported:
                reported.add(mark)
                yield Finding("duplicates", file.path, lines[at][0], "as %s:%d" % first)
