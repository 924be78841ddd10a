// SPDX-License-Identifier: MIT

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A key of shape bytes; its hash is computed once, eight bytes at a time. A thread has one that it
 * looks up with and that is loaded anew for each operation; a copy is what a map keeps.
 */
final class ByteKey {
    static final VarHandle WORDS =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final long MULTIPLIER = 0x9e3779b97f4a7c15L;

    private byte[] bytes;
    private int length;
    private int hash;

    ByteKey() {
        bytes = new byte[256];
    }

    private ByteKey(ByteKey other) {
        bytes = Arrays.copyOf(other.bytes, other.length);
        length = other.length;
        hash = other.hash;
    }

    ByteKey copy() {
        return new ByteKey(this);
    }

    void load(ByteBuffer data, int at, int count) {
        if (bytes.length < count) {
            bytes = new byte[count];
        }
        data.get(at, bytes, 0, count);
        length = count;
        long h = count;
        int i = 0;
        for (; i + 8 <= count; i += 8) {
            h = step(h, (long) WORDS.get(bytes, i));
        }
        long rest = 0;
        for (; i < count; i++) {
            rest = rest << 8 | bytes[i] & 0xff;
        }
        h = step(h, rest);
        hash = (int) (h ^ h >>> 32);
    }

    private static long step(long h, long word) {
        long product = (h ^ word) * MULTIPLIER;
        return product ^ product >>> 32;
    }

    /** FNV-1a, as the checksum takes a key. */
    long digest() {
        long h = 0xcbf29ce484222325L;
        for (int i = 0; i < length; i++) {
            h = (h ^ bytes[i] & 0xff) * 0x100000001b3L;
        }
        return h;
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ByteKey key && hash == key.hash
                && Arrays.equals(bytes, 0, length, key.bytes, 0, key.length);
    }
}
