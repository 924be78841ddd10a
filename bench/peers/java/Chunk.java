// SPDX-License-Identifier: MIT

import java.nio.ByteBuffer;

/** A view of one chunk in the mapped file. */
final class Chunk {
    static final int HEADER_BYTES = 16;

    /** Number of its first operation, counted over prefill and operations. */
    final long first;
    final int operations;
    private final ByteBuffer data;
    private final int keysAt;
    private final int textAt;

    Chunk(long first, int operations, ByteBuffer data, int textAt) {
        this.first = first;
        this.operations = operations;
        this.data = data;
        this.keysAt = HEADER_BYTES + padded(operations);
        this.textAt = textAt;
    }

    static int padded(int n) {
        return (n + 7) & ~7;
    }

    int code(int i) {
        return data.get(HEADER_BYTES + i);
    }

    long key(int i) {
        return data.getLong(keysAt + 8 * i);
    }

    /** Copies the key of operation i into a key that is used again and again. */
    void load(ByteKey key, int i) {
        int from = data.getInt(keysAt + 4 * i);
        key.load(data, textAt + from, data.getInt(keysAt + 4 * i + 4) - from);
    }
}
