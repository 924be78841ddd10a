#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A second implementation of docs/design/bench.md's traces and checksums, to compare with.

    tests/cli/trace_reference.py make FILE [--shape u64|bytes] [--keys N] [--prefill N] [--ops N]
                                 [--zipf S] [--mix get=95,insert=2.5,remove=2.5] [--seed N]
    tests/cli/trace_reference.py checksum FILE

It is written for plainness: a trace is held in memory, and nothing of it is shared with the driver.
"""
import argparse
import bisect
import collections
import itertools
import random
import struct
import sys

GET, PUT, INSERT, REMOVE, ADD, RMW = range(6)
CODES = {"get": GET, "put": PUT, "insert": INSERT, "remove": REMOVE, "add": ADD, "rmw": RMW}
U64, BYTES = 0, 1
MASK = (1 << 64) - 1
CHUNK = 4096
HEADER = struct.Struct("<8sIIQQQQQQ64s")
CHUNK_HEADER = struct.Struct("<IIII")

# prefill and operations: lists of (code, key); a key is an int for shape 0 and bytes for shape 1.
Trace = collections.namedtuple("Trace", "shape value_bytes prefill operations seed name")


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def mix(x):
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & MASK
    return h


def padded(data):
    return data + bytes(-len(data) % 8)


def chunk_bytes(shape, kind, operations):
    """One chunk as it stands in the file."""
    body = padded(bytes(code for code, _ in operations))
    keys = [key for _, key in operations]
    if shape == U64:
        body += struct.pack("<%dQ" % len(keys), *keys)
    else:
        ends = list(itertools.accumulate((len(key) for key in keys), initial=0))
        body += padded(struct.pack("<%dI" % len(ends), *ends)) + padded(b"".join(keys))
    size = CHUNK_HEADER.size + len(body)
    return CHUNK_HEADER.pack(len(operations), size, kind, crc32c(body)) + body


def trace_bytes(trace):
    """The whole file."""
    chunks = [chunk_bytes(trace.shape, kind, operations[first:first + CHUNK])
              for kind, operations in enumerate((trace.prefill, trace.operations))
              for first in range(0, len(operations), CHUNK)]
    keys = {key for _, key in trace.prefill + trace.operations}
    size = HEADER.size + sum(map(len, chunks))
    return HEADER.pack(b"WEFTTRC1", trace.shape, trace.value_bytes, len(trace.prefill),
                       len(trace.operations), len(chunks), len(keys), trace.seed, size,
                       trace.name.encode()) + b"".join(chunks)


def read_chunk(shape, data):
    """(kind, operations) of one chunk."""
    count, _, kind, crc = CHUNK_HEADER.unpack_from(data)
    if crc32c(data[CHUNK_HEADER.size:]) != crc:
        raise ValueError("a chunk's CRC-32C is wrong")
    codes = data[CHUNK_HEADER.size:CHUNK_HEADER.size + count]
    at = CHUNK_HEADER.size + count + -count % 8
    if shape == U64:
        keys = struct.unpack_from("<%dQ" % count, data, at)
    else:
        ends = struct.unpack_from("<%dI" % (count + 1), data, at)
        at += 4 * (count + 1) + -4 * (count + 1) % 8
        keys = [data[at + first:at + last] for first, last in zip(ends, ends[1:])]
    return kind, list(zip(codes, keys))


def read_trace(data):
    magic, shape, value_bytes, prefill, operations, chunks, _, seed, size, name = (
        HEADER.unpack_from(data))
    if magic != b"WEFTTRC1" or size != len(data):
        raise ValueError("not a trace, or not all of it")
    lists, at = ([], []), HEADER.size
    for _ in range(chunks):
        length = CHUNK_HEADER.unpack_from(data, at)[1]
        kind, found = read_chunk(shape, data[at:at + length])
        lists[kind].extend(found)
        at += length
    if (len(lists[0]), len(lists[1]), at) != (prefill, operations, size):
        raise ValueError("the header's counts are not those of the chunks")
    return Trace(shape, value_bytes, lists[0], lists[1], seed, name.rstrip(b"\0").decode())


def answer(table, code, key, number):
    """Does one operation on a dictionary; what it contributes to the checksum."""
    if code in (GET, RMW):
        read = table.get(key, 0)
        if code == RMW:
            table[key] = number
        return read
    if code == PUT:
        table[key] = number
        return 1
    if code == INSERT:
        fresh = key not in table
        table.setdefault(key, number)
        return int(fresh)
    if code == REMOVE:
        return int(table.pop(key, None) is not None)
    table[key] = table.get(key, 0) + 1 & MASK
    return table[key]


def verify(trace):
    """(checksum as 16 digits, entries) of the deterministic pass."""
    table, h = {}, 0
    for number, (code, key) in enumerate(trace.prefill, 1):
        answer(table, code, key, number)
    for number, (code, key) in enumerate(trace.operations, 1 + len(trace.prefill)):
        rotated = (h << 5 | h >> 59) & MASK
        h = (rotated ^ answer(table, code, key, number)) * 0x9E3779B97F4A7C15 & MASK
    content = sum(mix(mix(key if trace.shape == U64 else fnv1a(key)) ^ value)
                  for key, value in table.items())
    return "%016x" % (h ^ mix(content + len(table) & MASK)), len(table)


def make(shape, keys, counts, mixture, seed=1, zipf=0.0, value_bytes=None):
    """A trace over `keys` keys; counts: (prefill, operations); mixture: {"get": percent, …}."""
    dice = random.Random(seed)
    universe = [mix(seed + rank & MASK) for rank in range(keys)]
    if shape == BYTES:
        universe = [b"key:%x" % key + b"." * (key % 60) for key in universe]
    weights = list(itertools.accumulate((rank + 1.0) ** -zipf for rank in range(keys)))
    shares = list(itertools.accumulate(mixture.values()))
    codes = [CODES[name] for name in mixture]

    def drawn():
        key = min(bisect.bisect(weights, dice.random() * weights[-1]), keys - 1)
        return codes[min(bisect.bisect(shares, dice.random() * shares[-1]), len(codes) - 1)], key

    prefill = [(INSERT, universe[rank]) for rank in dice.sample(range(keys), counts[0])]
    operations = [(code, universe[rank]) for code, rank in (drawn() for _ in range(counts[1]))]
    return Trace(shape, value_bytes or (8 if shape == U64 else 40), prefill, operations, seed,
                 "reference")


def main():
    parser = argparse.ArgumentParser(description="Make small traces, and compute their checksums.")
    parser.add_argument("action", choices=("make", "checksum"))
    parser.add_argument("file")
    parser.add_argument("--shape", choices=("u64", "bytes"), default="u64")
    parser.add_argument("--keys", type=int, default=20000)
    parser.add_argument("--prefill", type=int, default=10000)
    parser.add_argument("--ops", type=int, default=100000)
    parser.add_argument("--zipf", type=float, default=0.0)
    parser.add_argument("--mix", default="get=95,insert=2.5,remove=2.5")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.action == "make":
        mixture = {name: float(share) for name, share in
                   (part.split("=") for part in given.mix.split(","))}
        trace = make(BYTES if given.shape == "bytes" else U64, given.keys,
                     (given.prefill, given.ops), mixture, given.seed, given.zipf)
        with open(given.file, "wb") as stream:
            stream.write(trace_bytes(trace))
        return 0
    with open(given.file, "rb") as stream:
        print("%s %d" % verify(read_trace(stream.read())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
