# SPDX-License-Identifier: MIT
"""The same raw commands go to redis-server and to weft; the replies must be the same bytes.

A line of the table is one command, in the words of a shell. Each sequence begins with an empty
keyspace and a new connection, and runs once in RESP2 and once in RESP3. What may differ is
said with a mark in front of the line:
    ~N   numbers differ a little (clocks, ids): digits are compared as one letter
    ~S   an array or map without order: its elements are compared sorted
    ~K   only the kind of the reply is compared (first byte)
"""
import re
import shlex
import shutil
import sys
import time
import unittest

import harness

PROTOCOLS = (2, 3)


class RawResp(harness.Resp):
    """Remembers the bytes of the reply that was read last."""

    raw = b""

    def _line(self):
        line = super()._line()
        self.raw += line + b"\r\n"
        return line

    def _exact(self, size):
        data = super()._exact(size)
        self.raw += data + b"\r\n"
        return data

    def ask(self, words):
        self.raw = b""
        self.send(harness.encode(*words))
        value = self.read()
        return self.raw, value


STRINGS = {
    "set": """
        SET k v | GET k | SET k w NX | SET k w XX | GET k | SET n v XX | GET n | SET n v NX
        SET k v GET | SET new v GET | SET k v XX GET | SET k v NX GET | SET none v XX GET
        SET other v NX GET | GET other | SET k v NX XX | SET k v XX NX | SET k v EX
        SET k v EX 10 PX 10 | SET k v EX 10 EX 20 | SET k v KEEPTTL EX 10 | SET k v EX 10 KEEPTTL
        SET k v EXAT 10 PXAT 10 | SET k v PX 10 EXAT 10 | SET k v foo | SET k v NX foo
        SET k v EX abc | SET k v EX 0 | SET k v EX -1 | SET k v PX 0
        SET k v EX 9223372036854775807 | SET k v PX 9223372036854775807 | SET k v EXAT 0
        SET k v EX 9223372036854775 | SET k v PXAT -5 | SET k v PXAT 9223372036854775807
        PEXPIRETIME k | SET k v EX 100 | TTL k | SET k w KEEPTTL | TTL k | SET k w | TTL k
        SET k v EXAT 33000000000 | EXPIRETIME k | SET k v PXAT 33000000000123 | PEXPIRETIME k
        SET k v EXAT 1 | GET k | EXISTS k | DBSIZE | set k v eX 100 nX | TTL k | SET k v PERSIST
        SET k | SET | GET | GET a b | set k '' | GET k | STRLEN k | SET '' x | GET ''
    """,
    "setnx setex getset getdel": """
        SETNX k v | SETNX k w | GET k | SETNX k | SETEX k 100 v | TTL k | SETEX k 0 v
        SETEX k -1 v | SETEX k x v | SETEX k 9223372036854775807 v | SETEX k 100
        PSETEX k 100000 v | TTL k | PSETEX k 0 v | PSETEX k 9223372036854775807 v | GETSET k new
        TTL k | GETSET none x | GET none | GETSET k | GETDEL k | GETDEL k | GET k | GETDEL
        GETDEL a b
    """,
    "getex": """
        GETEX k | SET k v | GETEX k | TTL k | GETEX k EX 100 | TTL k | GETEX k PERSIST | TTL k
        GETEX k PX 100000 | TTL k | GETEX k EXAT 33000000000 | EXPIRETIME k
        GETEX k PXAT 33000000000123 | PEXPIRETIME k | GETEX k EX 0 | GETEX k EX abc
        GETEX none EX abc | GETEX k EX | GETEX k foo | GETEX k PERSIST EX 10
        GETEX k EX 10 PERSIST | GETEX k EX 10 PX 10 | GETEX k NX | GETEX k KEEPTTL | GETEX k GET
        GETEX k EX 9223372036854775807 | GETEX k EXAT 1 | GET k | GETEX | GETEX k persist
    """,
    "append and ranges": """
        APPEND k hello | APPEND k ' world' | GET k | STRLEN k | STRLEN none | EXPIRE k 100
        APPEND k ! | TTL k | APPEND k '' | APPEND none '' | EXISTS none | STRLEN none
        GETRANGE k 0 -1 | GETRANGE k 0 4 | GETRANGE k -5 -1 | GETRANGE k 5 2 | GETRANGE k -1 -5
        GETRANGE k 100 200 | GETRANGE k 0 100000 | GETRANGE none 0 -1 | GETRANGE k a 1
        GETRANGE k 0 b | GETRANGE k -100 3 | GETRANGE k -100 -90 | GETRANGE k 0 | SUBSTR k 0 4
        SUBSTR k 0 | GETRANGE k 0 -100 | GETRANGE k -9223372036854775808 9223372036854775807
        SETRANGE k 0 J | GET k | TTL k | SETRANGE k 20 x | GET k | SETRANGE new 5 x | GET new
        SETRANGE n2 0 '' | EXISTS n2 | SETRANGE k 0 '' | SETRANGE k -1 x | SETRANGE k a x
        SETRANGE k 536870911 xx | SETRANGE n3 536870912 x | SETRANGE n3 9223372036854775807 x
        SETRANGE n3 536870912 '' | SETRANGE k 0 | STRLEN k | STRLEN | SETRANGE k 3 abcdef | GET k
    """,
    "several keys": """
        MSET a 1 b 2 c 3 | MGET a b c d | MGET a | MGET a a | MGET | MSET | MSET a | MSET a 1 b
        MSET a 1 a 2 | GET a | EXPIRE a 100 | MSET a 5 | TTL a | MSETNX a 1 z 2 | EXISTS z
        MSETNX x 1 y 2 | MGET x y | MSETNX x | MSETNX x 1 y | MSETNX q 1 q 2 | GET q
    """,
    "integers": """
        INCR k | INCR k | GET k | DECR k | INCRBY k 10 | DECRBY k 3 | INCRBY k -20 | GET k
        OBJECT ENCODING k | INCRBY k abc | INCRBY k 1.5 | INCRBY k '' | INCRBY k ' 1'
        INCRBY k '+1' | INCRBY k 01 | INCRBY k -0 | DECRBY k abc | DECRBY k -9223372036854775808
        SET k 9223372036854775807 | INCR k | INCRBY k 1 | DECR k | SET k -9223372036854775808
        DECR k | INCRBY k -1 | INCRBY k 9223372036854775807 | SET k abc | INCR k | DECR k
        SET k 010 | INCR k | SET k ' 1' | INCR k | SET k '1 ' | INCR k | SET k 9223372036854775808
        INCR k | SET k '' | INCR k | SET k -0 | INCR k | SET k 0 | INCR k | EXPIRE k 100 | INCR k
        TTL k | INCR | INCR a b | INCRBY k | DECRBY k | INCRBY k 99999999999999999999 | SET k 1.0
        INCR k | SET k -1 | INCR k | SET k - | INCR k
    """,
    "floats": """
        INCRBYFLOAT k 1.5 | INCRBYFLOAT k 1.5 | GET k | INCRBYFLOAT k -3 | INCRBYFLOAT k 0.1
        INCRBYFLOAT k 0.2 | INCRBYFLOAT k 1e3 | INCRBYFLOAT k abc | INCRBYFLOAT k ''
        INCRBYFLOAT k ' 1' | INCRBYFLOAT k '1 ' | INCRBYFLOAT k nan | INCRBYFLOAT k inf
        INCRBYFLOAT k -inf | INCRBYFLOAT k +1 | INCRBYFLOAT k 0x10 | SET k abc | INCRBYFLOAT k 1
        SET k 3.0e3 | INCRBYFLOAT k 200 | SET k 5.0 | INCRBYFLOAT k 1 | SET k 1e5000
        INCRBYFLOAT k 1 | SET k 1e-5000 | INCRBYFLOAT k 1 | SET k 10.50 | INCRBYFLOAT k 0.1
        SET k 1e30 | INCRBYFLOAT k 1 | SET k -0.5 | INCRBYFLOAT k 0.5 | SET k 1e17
        INCRBYFLOAT k 0.00000000000000001 | EXPIRE k 100 | INCRBYFLOAT k 1 | TTL k | INCRBYFLOAT k
        SET k 1e4930 | INCRBYFLOAT k 1e4932 | SET k 1.1e4932 | INCRBYFLOAT k 1.1e4932 | SET k inf
        INCRBYFLOAT k 1 | INCRBYFLOAT k -inf
    """,
}

KEYS = {
    "del exists touch": """
        MSET a 1 b 2 c 3 | EXISTS a | EXISTS a a b z | TOUCH a b z | TOUCH a | DEL a | DEL a
        DEL b c z | SET a 1 | UNLINK a z | UNLINK a | DEL | UNLINK | EXISTS | TOUCH | MSET a 1 b 2
        DEL a a | UNLINK b b | TYPE a | SET a 1 | TYPE a | TYPE | TYPE a b
    """,
    "rename copy": """
        RENAME a b | SET a 1 EX 100 | RENAME a b | TTL b | EXISTS a | GET b | SET c 2 | RENAME b c
        GET c | TTL c | RENAME c c | RENAME z z | RENAMENX z y | RENAMENX c d | SET e 5
        RENAMENX d e | RENAMENX d d | GET d | RENAME a | RENAMENX a | COPY d f | GET f | TTL f
        COPY d f | COPY d f REPLACE | COPY none f | COPY d d | COPY d f DB 0 REPLACE
        COPY d f DB 1 | COPY d f DB abc | COPY d f DB 99999999999 | COPY d f DB | COPY d f foo
        COPY d g DB 0 | GET g | COPY d d REPLACE | COPY none none | COPY d f DB -1
        COPY d f replace db 0 | COPY d | RENAME none d | GET d
    """,
    "keys scan random": """
        RANDOMKEY | DBSIZE | KEYS * | SCAN 0 | SET k v | RANDOMKEY | DBSIZE | KEYS * | SCAN 0
        DBSIZE x | SCAN 0 MATCH k* COUNT 100 | SCAN 0 MATCH z* COUNT 100
        SCAN 0 TYPE string COUNT 100 | SCAN 0 TYPE hash COUNT 100 | SCAN 0 TYPE nothing COUNT 100
        SCAN abc | SCAN '' | SCAN ' 0' | SCAN 0x | SCAN 99999999999999999999999 | SCAN 0 COUNT 0
        SCAN 0 COUNT -1 | SCAN 0 COUNT abc | SCAN 0 COUNT | SCAN 0 MATCH | SCAN 0 foo bar
        SCAN 0 foo | SCAN | RANDOMKEY x | KEYS | SCAN 0 TYPE
        MSET one 1 two 2 three 3 four 4 fi* 5 si[x 6 b\\\\s 7 | ~S KEYS * | ~S KEYS t*
        ~S KEYS *o* | ~S KEYS ?? | ~S KEYS t[wh]* | ~S KEYS t[^w]* | ~S KEYS [a-o]*
        ~S KEYS fi\\\\* | ~S KEYS si\\\\[x | ~S KEYS '' | ~S KEYS [ | ~S KEYS t[wh
        ~S KEYS *\\\\\\\\* | ~S KEYS **e | ~S KEYS [^z]* | ~S KEYS T* | ~S KEYS [z-a]*
        ~S KEYS f*r | ~S KEYS \\\\ | ~S KEYS *? | ~S KEYS ?*? | ~S KEYS [\\\\t]* | ~S KEYS t[]
        ~S KEYS [a-]* | ~S KEYS *e*e*
    """,
    "expire": """
        EXPIRE k 10 | TTL k | PTTL k | EXPIRETIME k | PEXPIRETIME k | PERSIST k | SET k v | TTL k
        PTTL k | EXPIRETIME k | PEXPIRETIME k | PERSIST k | EXPIRE k 100 | TTL k | PERSIST k
        TTL k | PEXPIRE k 100400 | TTL k | EXPIREAT k 33000000000 | EXPIRETIME k | PEXPIRETIME k
        PEXPIREAT k 33000000000600 | EXPIRETIME k | PEXPIRETIME k | EXPIRE k 10 NX
        EXPIRE k 100 XX | EXPIRE k 50 GT | TTL k | EXPIRE k 200 GT | TTL k | EXPIRE k 300 LT
        EXPIRE k 50 LT | TTL k | EXPIRE k 60 XX GT | TTL k | EXPIRE k 30 XX LT | TTL k | PERSIST k
        EXPIRE k 10 XX | EXPIRE k 10 GT | EXPIRE k 10 LT | PERSIST k | EXPIRE k 10 NX | TTL k
        EXPIRE k 10 NX XX | EXPIRE k 10 NX GT | EXPIRE k 10 NX LT | EXPIRE k 10 GT LT
        EXPIRE k 10 foo | EXPIRE k 10 XX GT LT | EXPIRE k abc | EXPIRE k abc foo
        EXPIRE k 9223372036854775807 | EXPIRE k -9223372036854775808
        PEXPIRE k 9223372036854775807 | PEXPIREAT k 9223372036854775807
        EXPIREAT k 9223372036854775807 | EXPIREAT k -9223372036854775807
        EXPIRE k 9223372036854775 | EXPIRE none 9223372036854775807 | EXPIRE none abc | EXPIRE k
        EXPIRE | PEXPIRE k | TTL | PERSIST | SET k v | EXPIRE k 0 | EXISTS k | SET k v
        EXPIRE k -1 | EXISTS k | SET k v | EXPIREAT k 1 | GET k | SET k v | PEXPIREAT k 1 | GET k
        SET k v | PEXPIRE k -9223372036854775808 | EXISTS k | SET k v PX 1 | ~N PTTL none
        EXPIRE none 10 NX | EXPIRE none 10 NX XX | SET k v | PEXPIREAT k -1 GT | GET k
        PEXPIREAT k -1 LT | GET k
    """,
    "expiry": """
        SET k v PX 30 | GET k | !sleep 0.05 | GET k | EXISTS k | TTL k | SET k v PX 30
        !sleep 0.05 | SET k w XX | SET k v PX 30 | !sleep 0.05 | SET k w NX | TTL k
        SET a 5 PX 30 | !sleep 0.05 | INCR a | TTL a | SET k v PX 30 | !sleep 0.05 | APPEND k x
        SET k v PX 30 | !sleep 0.05 | DEL k | SET k v PX 30 | !sleep 0.05 | PERSIST k
        SET k v PX 30 | !sleep 0.05 | RENAME k l | SET k v PX 30 | !sleep 0.05 | SETNX k z | TTL k
        SET k v PX 30 | !sleep 0.05 | KEYS k | GETDEL k | SET k v PX 30 | !sleep 0.05
        SET k w KEEPTTL | TTL k | SET k v PX 30 | !sleep 0.05 | GETSET k u | SET m v PX 30
        !sleep 0.05 | COPY m n | SET k v PX 30 | !sleep 0.05 | TYPE k | TOUCH k | UNLINK k
        SET k v PX 30 | !sleep 0.05 | SETRANGE k 2 x | GET k | TTL k | SET k 1 PX 30 | !sleep 0.05
        MSETNX k 2 j 3 | MGET k j | OBJECT ENCODING m
    """,
    "flush": """
        MSET a 1 b 2 | FLUSHALL | DBSIZE | MSET a 1 b 2 | FLUSHDB | DBSIZE | FLUSHALL ASYNC
        FLUSHALL SYNC | FLUSHALL foo | FLUSHALL ASYNC SYNC | FLUSHDB async | FLUSHDB foo | SET a 1
        GET a | INCR a
    """,
}

CONNECTION = {
    "plain": """
        PING | PING hello | PING a b | ECHO hi | ECHO | ECHO a b | SELECT 0 | SELECT 1
        SELECT abc | SELECT -1 | SELECT 99999999999 | SELECT | ping | pInG x | ECHO ''
    """,
    "unknown": """
        FOO | FOO a b c | foo 'a b' "c" | FOO !A155 bbbb | FOO !A60 !B63 cccccc dddd | '' | '' a
        'GE T' | GETT | GE | 'get|x' | CLIENT | CLIENT FOO | CLIENT foo bar | CONFIG | CONFIG FOO
        OBJECT | OBJECT FOO | MEMORY | MEMORY FOO | COMMAND FOO | 'CLIENT|LIST' | GET k
        aaaaaaaaaaaaaaaaaaaaaa | !A148 | FOO !LF | CONFIG GET | CONFIG SET a | CLIENT ID x
        CLIENT SETNAME | OBJECT ENCODING
    """,
    "hello": """
        ~N HELLO | ~N HELLO 3 | ~N HELLO 2 | HELLO 1 | HELLO 4 | HELLO abc
        HELLO 9999999999999999999 | ~N HELLO 3 SETNAME joe | CLIENT GETNAME | HELLO 2 SETNAME
        HELLO 2 SETNAME 'a b' | HELLO 2 AUTH | HELLO 2 AUTH a | HELLO 2 AUTH a b
        ~N HELLO 2 AUTH default x | HELLO 2 foo | HELLO 3 AUTH default b foo
        ~N HELLO 2 SETNAME x AUTH default y | CLIENT GETNAME | AUTH x | AUTH default x
        AUTH joe x | AUTH | AUTH a b c
    """,
    "client": """
        ~N CLIENT ID | CLIENT GETNAME | CLIENT SETNAME joe | CLIENT GETNAME | CLIENT SETNAME 'a b'
        CLIENT SETNAME '' | CLIENT GETNAME | ~K CLIENT INFO | ~K CLIENT LIST
        ~K CLIENT LIST TYPE normal | CLIENT LIST TYPE master | CLIENT LIST TYPE foo
        CLIENT LIST ID abc | CLIENT LIST ID | CLIENT LIST ID 999999 | CLIENT LIST foo
        CLIENT NO-EVICT on | CLIENT NO-EVICT off | CLIENT NO-EVICT x | CLIENT KILL 1.2.3.4:5
        CLIENT KILL ID 999999 | CLIENT KILL ID abc | CLIENT KILL ID 0 | CLIENT KILL ADDR 1.2.3.4:5
        CLIENT KILL LADDR 1.2.3.4:5 | CLIENT KILL foo bar | CLIENT KILL ID 1 foo
        CLIENT KILL TYPE foo | CLIENT KILL TYPE pubsub | CLIENT KILL USER joe
        CLIENT KILL SKIPME foo | CLIENT KILL ID 999999 SKIPME yes | ~K CLIENT HELP
        CLIENT REPLY ON | CLIENT REPLY foo | CLIENT KILL | CLIENT setname x | CLIENT getname
        RESET | CLIENT GETNAME
    """,
    "multi": """
        EXEC | DISCARD | MULTI | EXEC | MULTI | SET a 1 | INCR a | GET a | EXEC | MULTI | MULTI
        GET a | EXEC | MULTI | SET a 5 | DISCARD | GET a | MULTI | FOO | GET a | EXEC | MULTI
        GET | GET a | EXEC | GET a | MULTI | INCR a | SET b x | INCR b | GET a | EXEC | GET a
        MULTI | WATCH a | EXEC | MULTI | UNWATCH | EXEC | MULTI | PING | ECHO x | MGET a b | EXEC
        MULTI x | EXEC x | MULTI | EXEC x | EXEC | MULTI | DISCARD x | EXEC | WATCH a | SET a 9
        MULTI | GET a | EXEC | GET a | WATCH a | UNWATCH | SET a 8 | MULTI | GET a | EXEC
        WATCH a | MULTI | GET a | EXEC | WATCH a b | SET b 1 | MULTI | EXEC | WATCH a | GET a
        MULTI | PING | EXEC | WATCH none | DEL none | MULTI | PING | EXEC | WATCH none
        SET none 1 | MULTI | PING | EXEC | WATCH a | EXPIRE a 100 | MULTI | PING | EXEC | WATCH a
        PERSIST a | MULTI | PING | EXEC | WATCH a | FLUSHALL | MULTI | PING | EXEC | WATCH a
        FLUSHALL | MULTI | PING | EXEC | SET a 1 PX 40 | WATCH a | !sleep 0.06 | MULTI | PING
        EXEC | SET a 1 PX 30 | !sleep 0.05 | WATCH a | GET a | MULTI | PING | EXEC | SET a 1 PX 30
        !sleep 0.05 | WATCH a | SET a 2 | MULTI | PING | EXEC | SET a 1 | WATCH a | SET a 1
        DISCARD | MULTI | DISCARD | MULTI | PING | EXEC | WATCH | UNWATCH x | SET a 1 | WATCH a
        MULTI | SET a 2 | EXEC | GET a | WATCH a | MULTI | FOO | EXEC | MULTI | PING | EXEC
        MULTI | SAVE | EXEC | MULTI | SHUTDOWN | EXEC | MULTI | RESET | EXEC | GET a | WATCH a b
        SETRANGE b 0 '' | MULTI | PING | EXEC | WATCH a | RENAME a b | MULTI | PING | EXEC
        WATCH c | COPY b c | MULTI | PING | EXEC | MULTI | CLIENT FOO | EXEC | MULTI
        CLIENT GETNAME | SELECT 0 | EXEC | MULTI | SELECT 5 | GET b | EXEC | WATCH b | GETDEL b
        MULTI | PING | EXEC | SET b 1 | WATCH b | APPEND b '' | MULTI | PING | EXEC | WATCH b
        GETEX b EX 100 | MULTI | PING | EXEC | WATCH b | GETEX b | MULTI | PING | EXEC | DEL c
        MULTI | KEYS * | SCAN 0 COUNT 100 | RANDOMKEY | DEL b | EXEC | MULTI | FLUSHALL | SET x 1
        EXEC | GET x
    """,
    "object memory debug": """
        OBJECT ENCODING k | SET k 123 | OBJECT ENCODING k | SET k abc | OBJECT ENCODING k
        SET k 0123 | OBJECT ENCODING k | SET k 12345678901234567890 | OBJECT ENCODING k
        SET k !A44 | OBJECT ENCODING k | SET k !A45 | OBJECT ENCODING k | OBJECT IDLETIME k
        OBJECT IDLETIME none | OBJECT FREQ k | OBJECT FREQ none | OBJECT REFCOUNT k
        OBJECT REFCOUNT none | OBJECT ENCODING | OBJECT ENCODING k x | ~K OBJECT HELP
        ~K MEMORY USAGE k | MEMORY USAGE none | ~K MEMORY USAGE k SAMPLES 5
        MEMORY USAGE k SAMPLES -1 | MEMORY USAGE k foo | MEMORY USAGE k SAMPLES abc | MEMORY USAGE
        ~K MEMORY STATS | ~K MEMORY HELP | DEBUG SLEEP 0 | DEBUG FOO | DEBUG SLEEP | DEBUG
        ~K DEBUG HELP
    """,
    "server": """
        ~N TIME | TIME x | WAIT 0 0 | WAIT 1 10 | WAIT a 0 | WAIT 0 a | WAIT 0 -1 | WAIT 0
        ~N LASTSAVE | LASTSAVE x | BGSAVE foo | BGSAVE SCHEDULE foo | SHUTDOWN foo
        SHUTDOWN SAVE NOSAVE | SHUTDOWN ABORT | SHUTDOWN NOW ABORT | SAVE x | SHUTDOWN ABORT SAVE
        CONFIG GET maxmemory | CONFIG SET maxmemory 100mb | CONFIG GET maxmemory
        CONFIG SET maxmemory 1gb | CONFIG GET MAXMEMOR[Y] | CONFIG SET maxmemory 5k
        CONFIG GET maxmemory | CONFIG SET maxmemory abc | CONFIG SET maxmemory 0
        CONFIG GET maxmemory-policy | CONFIG GET nothing | CONFIG SET nothing 1
        CONFIG SET maxmemory | CONFIG SET maxmemory 1 maxmemory | CONFIG GET timeout
        CONFIG SET maxmemory 0 maxmemory 0 | CONFIG SET maxmemory 0 nothing 1
        CONFIG SET maxclients abc | CONFIG SET maxclients 0 | CONFIG SET databases 2
        CONFIG GET databases | CONFIG GET proto-max-bulk-len | CONFIG GET appendfsync
        CONFIG GET save | CONFIG RESETSTAT | CONFIG RESETSTAT x | CONFIG REWRITE
        ~S CONFIG GET maxmemory databases | ~K CONFIG HELP | ~K INFO | ~K INFO server
        INFO nothing | ~K INFO server clients | CONFIG GET m[a]xmemory | CONFIG SET MAXMEMORY 0
        CONFIG SET '' 1 | CONFIG GET ''
    """,
    "oom": """
        SET a 1 | CONFIG SET maxmemory 1 | SET k v | GET a | INCR a | APPEND a x | SETRANGE a 0 x
        MSET x 1 y 2 | DEL a | EXPIRE a 10 | SETNX a 1 | GETSET a 1 | COPY a b | RENAME a b
        MULTI | GET a | EXEC | PING | FLUSHALL | CONFIG SET maxmemory 0 | MULTI | SET a 1 | GET a
        EXEC
    """,
    "command": """
        COMMAND INFO get | COMMAND INFO nothing | COMMAND INFO get nothing incr
        COMMAND INFO mget mset del rename copy
        COMMAND INFO ping echo hello auth select quit reset
        COMMAND INFO setnx setex psetex getset getdel append strlen getrange
        COMMAND INFO substr setrange msetnx incrby incrbyfloat decr
        COMMAND INFO decrby unlink exists type touch renamenx randomkey
        COMMAND INFO keys scan dbsize flushdb flushall expire
        COMMAND INFO pexpire expireat pexpireat ttl pttl expiretime pexpiretime
        COMMAND INFO persist multi exec discard watch unwatch info
        COMMAND INFO debug save bgsave lastsave shutdown wait time
        COMMAND INFO client|id client|kill object|encoding
        COMMAND INFO memory|usage config|get command|count client|nothing
        COMMAND INFO object|help config|set config|resetstat command|docs | COMMAND GETKEYS GET k
        COMMAND GETKEYS MSET a 1 b 2 | COMMAND GETKEYS MGET a b c | COMMAND GETKEYS PING x
        COMMAND GETKEYS FOO x | COMMAND GETKEYS GET | COMMAND GETKEYS GET a b
        COMMAND GETKEYS COPY a b | COMMAND GETKEYS OBJECT ENCODING k | COMMAND GETKEYS DEL a b
        COMMAND GETKEYS SET k | ~K COMMAND | ~K COMMAND COUNT | ~K COMMAND DOCS get
        COMMAND DOCS nothing | ~K COMMAND LIST | COMMAND LIST FILTERBY foo bar
        ~S COMMAND LIST FILTERBY PATTERN incrby* | COMMAND LIST FILTERBY MODULE x
        ~K COMMAND LIST FILTERBY ACLCAT string | COMMAND LIST foo | COMMAND GETKEYS
        ~K COMMAND HELP | COMMAND COUNT x | ~K COMMAND INFO | COMMAND LIST FILTERBY ACLCAT nothing
        COMMAND GETKEYS TIME x
    """,
}


def commands_of(table):
    """The marked command lines of a sequence: pairs of mark and words."""
    for line in re.split(r" \| |\n", table):
        line = line.strip().replace("!LF", "'a\nb'")
        line = re.sub(r"!([AB])(\d+)", lambda m: m.group(1).lower() * int(m.group(2)), line)
        if line:
            mark = line[:2] if line.startswith("~") else ""
            yield mark, shlex.split(line[len(mark):])


def shape(mark, raw, value):
    """What of a reply must be the same."""
    if mark == "~K" and not isinstance(value, harness.ReplyError):
        return raw[:1]
    if mark == "~N":
        return re.sub(rb"\$\d+\r\n\d+", b"$N", re.sub(rb":\d+", b":N", raw))
    if mark == "~S" and isinstance(value, list):
        return sorted(value)
    if mark == "~S" and isinstance(value, dict):
        return sorted(value.items())
    return raw


class Compat(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        options = {"memory": True, "threads": 2}
        extra = ["--databases", "1", "--enable-debug-command", "yes"]
        cls.nodes = [harness.Node(kind="redis", redis_extra=extra, **options),
                     harness.Node(kind="weft", **options)]
        try:
            for node in cls.nodes:
                node.start()
        except Exception:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes:
            node.destroy()

    def open(self, protocol):
        pair = []
        for node in self.nodes:
            connection = RawResp(node.address, 20.0)
            self.addCleanup(connection.close)
            connection.must("FLUSHALL")
            if protocol == 3:
                connection.must("HELLO", 3)
            pair.append(connection)
        return pair

    def run_table(self, tables):
        wrong = []
        for protocol in PROTOCOLS:
            for name, table in tables.items():
                pair = self.open(protocol)
                for mark, words in commands_of(table):
                    if words[0] == "!sleep":
                        time.sleep(float(words[1]))
                        continue
                    replies = [connection.ask(words) for connection in pair]
                    expected, got = [shape(mark, *reply) for reply in replies]
                    if expected != got:
                        wrong.append("RESP%d, %s: %s\n  redis %r\n  weft  %r"
                                     % (protocol, name, words, expected, got))
        self.assertFalse(wrong, "\n%d replies differ:\n%s" % (len(wrong), "\n".join(wrong)))

    def test_strings(self):
        self.run_table(STRINGS)

    def test_keys(self):
        self.run_table(KEYS)

    def test_connection(self):
        self.run_table(CONNECTION)

    def bytes_until_end(self, words_list, node):
        """All that a server sends for a pipeline that ends with the connection closed."""
        with RawResp(node.address, 20.0) as connection:
            connection.send(b"".join(harness.encode(*words) for words in words_list))
            data = b""
            while True:
                more = connection.socket.recv(1 << 16)
                if not more:
                    return data
                data += more

    def test_pipelines_that_end(self):
        """QUIT, CLIENT REPLY and CLIENT KILL of oneself, each seen to the last byte."""
        pipelines = [
            "PING | QUIT", "QUIT a b", "PING | quit | PING",
            "CLIENT REPLY OFF | PING | SET a 1 | CLIENT REPLY ON | PING | QUIT",
            "CLIENT REPLY SKIP | PING | PING | QUIT",
            "CLIENT REPLY SKIP | CLIENT REPLY SKIP | PING | PING | QUIT",
            "CLIENT REPLY SKIP | CLIENT REPLY OFF | PING | CLIENT REPLY ON | QUIT",
            "CLIENT REPLY SKIP | CLIENT REPLY ON | PING | QUIT",
            "CLIENT REPLY OFF | CLIENT REPLY SKIP | PING | CLIENT REPLY ON | PING | QUIT",
            "CLIENT REPLY OFF | FOO | RESET | PING | QUIT",
            "MULTI | PING | QUIT",
            "MULTI | CLIENT REPLY OFF | PING | EXEC | CLIENT REPLY ON | QUIT",
            "CLIENT KILL TYPE normal SKIPME no",
            "HELLO 3 SETNAME a | RESET | CLIENT GETNAME | QUIT",
            "MULTI | RESET | EXEC | QUIT", "WATCH a | SET a 1 | RESET | MULTI | PING | EXEC | QUIT",
        ]
        for line in pipelines:
            words = [shlex.split(part) for part in line.split(" | ")]
            expected, got = [re.sub(rb":\d+", b":N", self.bytes_until_end(words, node))
                             for node in self.nodes]
            with self.subTest(line):
                self.assertEqual(expected, got)

    def test_watch_from_another_connection(self):
        changes = ["SET k 2", "DEL k", "INCR k", "EXPIRE k 100", "APPEND k x", "GETDEL k", "GET k",
                   "FLUSHALL", "RENAME k z", "MSET k 1 j 2", "SETRANGE k 0 9", "SET k 1 NX",
                   "PERSIST k",
                   "UNLINK k", "GETEX k PERSIST", "GETEX k EX 100", "TOUCH k", "COPY k l",
                   "PEXPIREAT k 1",
                   "INCRBYFLOAT k 1", "MSETNX k 1 m 2", "FLUSHDB", "SETEX k 100 1", "GETSET k 1"]
        for change in changes:
            answers = []
            for node in self.nodes:
                with RawResp(node.address) as one, RawResp(node.address) as other:
                    one.must("FLUSHALL")
                    one.must("SET", "k", "1")
                    one.must("WATCH", "k", "absent")
                    other.call(*change.split())
                    one.must("MULTI")
                    one.must("PING")
                    answers.append(one.ask(["EXEC"])[0])
            with self.subTest(change):
                self.assertEqual(answers[0], answers[1])


class Password(unittest.TestCase):
    """Before and after logging in."""

    LINES = """PING | GET k | FOO | GET | HELLO 3 | HELLO | AUTH wrong | AUTH default wrong
    AUTH joe secret
        HELLO 2 AUTH default wrong | CLIENT ID | MULTI | EXEC | RESET | AUTH secret | GET k
        RESET | GET k
        AUTH default secret | GET k | AUTH wrong | GET k | RESET
        ~N HELLO 3 AUTH default secret | GET k
        AUTH secre | AUTH secrett | AUTH ''"""

    def test_login(self):
        nodes = [harness.Node(kind=kind, memory=True, password="secret")
                 for kind in ("redis", "weft")]
        for node in nodes:
            self.addCleanup(node.destroy)
            node.start()
        pair = [RawResp(node.address) for node in nodes]
        for mark, words in commands_of(self.LINES):
            expected, got = [shape(mark, *connection.ask(words)) for connection in pair]
            with self.subTest(words):
                self.assertEqual(expected, got)
        for connection in pair:
            connection.close()


if __name__ == "__main__":
    if shutil.which("redis-server") is None:
        print("skipped: redis-server is not installed")
        sys.exit(harness.SKIPPED)
    unittest.main(verbosity=1)
