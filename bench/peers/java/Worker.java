// SPDX-License-Identifier: MIT

/** The state of one thread, and the loops over operations. */
final class Worker {
    /** After so many operations a thread looks at the flag that ends a run. */
    static final int BLOCK_OPERATIONS = 256;
    /** Of so many operations one is timed. */
    private static final int SAMPLED_ONE = 32;

    private static final int GET = 0;
    private static final int PUT = 1;
    private static final int INSERT = 2;
    private static final int REMOVE = 3;
    private static final int ADD = 4;
    private static final int READ_MODIFY_WRITE = 5;

    long ops;
    long hits;
    long misses;
    long inserted;
    long removed;
    long sum;
    /** What the last operation contributes to a checksum. */
    long answer;
    final Histogram latency;
    private final ByteKey probe = new ByteKey();

    Worker(boolean timed) {
        latency = timed ? new Histogram() : null;
    }

    void replayBlock(Tables tables, Chunk chunk, int from) {
        int to = Math.min(from + BLOCK_OPERATIONS, chunk.operations);
        if (latency != null) {
            replayTimed(tables, chunk, from, to);
        } else {
            replay(tables, chunk, from, to);
        }
    }

    /** The first of every 32 operations is timed alone. */
    private void replayTimed(Tables tables, Chunk chunk, int from, int to) {
        for (int at = from; at < to; at += SAMPLED_ONE) {
            long start = System.nanoTime();
            replay(tables, chunk, at, at + 1);
            latency.add(System.nanoTime() - start);
            replay(tables, chunk, at + 1, Math.min(at + SAMPLED_ONE, to));
        }
    }

    /** Does the operations from … to-1 of a chunk. */
    void replay(Tables tables, Chunk chunk, int from, int to) {
        if (tables.u64() != null) {
            replay(tables.u64(), chunk, from, to);
        } else {
            replay(tables.bytes(), chunk, from, to);
        }
        ops += to - from;
    }

    private void replay(TableU64 table, Chunk chunk, int from, int to) {
        for (int at = from; at < to; at++) {
            long key = chunk.key(at);
            long number = chunk.first + at;
            switch (chunk.code(at)) {
                case GET -> read(table.get(key));
                case PUT -> {
                    table.put(key, number);
                    answer = 1;
                }
                case INSERT -> insertedOne(table.insert(key, number));
                case REMOVE -> removedOne(table.remove(key));
                case ADD -> answer = table.add(key);
                case READ_MODIFY_WRITE -> {
                    read(table.get(key));
                    table.put(key, number);
                }
                default -> { }
            }
        }
    }

    private void replay(TableBytes table, Chunk chunk, int from, int to) {
        ByteKey key = probe;
        for (int at = from; at < to; at++) {
            chunk.load(key, at);
            long number = chunk.first + at;
            switch (chunk.code(at)) {
                case GET -> read(table.get(key));
                case PUT -> {
                    table.put(key, number);
                    answer = 1;
                }
                case INSERT -> insertedOne(table.insert(key, number));
                case REMOVE -> removedOne(table.remove(key));
                case READ_MODIFY_WRITE -> {
                    read(table.get(key));
                    table.put(key, number);
                }
                default -> { }
            }
        }
    }

    private void read(long value) {
        if (value != 0) {
            hits++;
        } else {
            misses++;
        }
        sum += value;
        answer = value;
    }

    private void insertedOne(boolean fresh) {
        answer = fresh ? 1 : 0;
        inserted += answer;
    }

    private void removedOne(boolean found) {
        answer = found ? 1 : 0;
        removed += answer;
    }
}
