// SPDX-License-Identifier: MIT

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** A trace, the map that stands between two commands, and what the commands do. */
final class Session {
    private static final long WARM_NANOSECONDS = 1_500_000_000L;
    private static final int WARM_PREFILL_CHUNKS = 64;
    private static final int WARM_CHUNKS = 256;

    /** The young generation, as the start script sets it. */
    private static final long YOUNG_BYTES = 256L << 20;
    private static final int PIECE_BYTES = 64 << 10;

    private final Tables.Kind kind;
    private final Trace trace;
    /** null: an empty one when it is needed. */
    private Tables present;
    private boolean warm;
    /** Written only; what is stored here is not optimised away. */
    private volatile Object sink;

    Session(Tables.Kind kind, Trace trace) {
        this.kind = kind;
        this.trace = trace;
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }

    /** VmRSS in bytes, after a collection. */
    private static long resident() throws IOException {
        System.gc();
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        return 0;
    }

    private static long mix(long value) {
        long x = value;
        x ^= x >>> 30;
        x *= 0xbf58476d1ce4e5b9L;
        x ^= x >>> 27;
        x *= 0x94d049bb133111ebL;
        return x ^ x >>> 31;
    }

    /** Replays the beginning of the trace on a map of its own, until its loops are compiled. */
    private void warmUp() {
        if (warm) {
            return;
        }
        warm = true;
        Worker[] workers = {new Worker(false), new Worker(true)};
        List<Chunk> prefill = head(trace.prefill, WARM_PREFILL_CHUNKS);
        List<Chunk> chunks = head(trace.chunks, WARM_CHUNKS);
        long start = System.nanoTime();
        for (int round = 0; System.nanoTime() - start < WARM_NANOSECONDS; round++) {
            Tables scratch = kind.fresh(trace);
            replay(workers[round & 1], scratch, prefill);
            replay(workers[round & 1], scratch, chunks);
        }
        touchYoungGeneration();
    }

    /** Its pages are there from now on: no run pays for them, and no map seems to use them. */
    private void touchYoungGeneration() {
        for (long done = 0; done < 2 * YOUNG_BYTES; done += PIECE_BYTES) {
            sink = new byte[PIECE_BYTES];
        }
        sink = null;
    }

    private static List<Chunk> head(List<Chunk> chunks, int most) {
        return chunks.subList(0, Math.min(chunks.size(), most));
    }

    private static void replay(Worker worker, Tables tables, List<Chunk> chunks) {
        for (Chunk chunk : chunks) {
            for (int from = 0; from < chunk.operations; from += Worker.BLOCK_OPERATIONS) {
                worker.replayBlock(tables, chunk, from);
            }
        }
    }

    String hello() {
        return format("{\"peer\":\"%s\",\"map\":\"%s\",\"language\":\"java\",\"version\":\"%s\","
                + "\"control\":%b}", kind.id, kind.map, System.getProperty("java.version"),
                kind.control);
    }

    /** The deterministic pass: one thread, a fresh map, every answer in the checksum. */
    String verify() {
        long start = System.nanoTime();
        Tables tables = kind.fresh(trace);
        Worker worker = new Worker(false);
        replay(worker, tables, trace.prefill);
        long hash = 0;
        for (Chunk chunk : trace.chunks) {
            for (int at = 0; at < chunk.operations; at++) {
                worker.replay(tables, chunk, at, at + 1);
                hash = (Long.rotateLeft(hash, 5) ^ worker.answer) * 0x9e3779b97f4a7c15L;
            }
        }
        long entries = tables.sum((key, number) -> 1);
        if (entries != tables.entries()) {
            return failure("the map says " + tables.entries() + " entries, a walk finds "
                    + entries);
        }
        long content = entries + tables.sum((key, number) -> mix(mix(key) ^ number));
        return format("{\"checksum\":\"%016x\",\"entries\":%d,\"seconds\":%.9f}",
                hash ^ mix(content), entries, (System.nanoTime() - start) * 1e-9);
    }

    String prefill(int threads) throws InterruptedException, IOException {
        warmUp();
        present = null;
        long before = resident();
        present = kind.fresh(trace);
        Job.Outcome done = new Job(trace.prefill, threads, 0, false, 0).run(present);
        return format("{\"ops\":%d,\"seconds\":%.9f,\"entries\":%d,\"rss_before\":%d,"
                + "\"rss_after\":%d}", done.total().ops, done.seconds(), present.entries(), before,
                resident());
    }

    /** Both run and once. */
    String replay(int threads, long offset, boolean timed, long pause)
            throws InterruptedException {
        if (pause > 0 && trace.chunks.isEmpty()) {
            return failure("run: the trace has no operations");
        }
        warmUp();
        if (present == null) {
            present = kind.fresh(trace);
        }
        long before = present.entries();
        Job.Outcome done = new Job(trace.chunks, threads, offset, timed, pause).run(present);
        Worker n = done.total();
        return format("{\"ops\":%d,\"seconds\":%.9f,\"cpu_seconds\":%.6f,\"hits\":%d,"
                + "\"misses\":%d,\"inserted\":%d,\"removed\":%d,\"entries_before\":%d,"
                + "\"entries\":%d,\"sum\":%s%s}", n.ops, done.seconds(), done.processorSeconds(),
                n.hits, n.misses, n.inserted, n.removed, before, present.entries(),
                Long.toUnsignedString(n.sum), timed ? ",\"latency\":" + n.latency.json() : "");
    }

    String clear() throws IOException {
        present = null;
        return "{\"rss_after\":" + resident() + "}";
    }

    static String failure(String message) {
        StringBuilder text = new StringBuilder();
        message.chars().forEach(c -> {
            if (c == '"' || c == '\\') {
                text.append('\\').append((char) c);
            } else if (c < ' ') {
                text.append(format("\\u%04x", c));
            } else {
                text.append((char) c);
            }
        });
        return "{\"error\":\"" + text + "\"}";
    }
}
