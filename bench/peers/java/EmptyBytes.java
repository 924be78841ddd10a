// SPDX-License-Identifier: MIT

import java.util.function.LongBinaryOperator;

/** No map. The key is loaded and its hash computed all the same. */
final class EmptyBytes extends TableBytes {
    @Override
    long get(ByteKey key) {
        return 0;
    }

    @Override
    void put(ByteKey key, long number) {
    }

    @Override
    boolean insert(ByteKey key, long number) {
        return true;
    }

    @Override
    boolean remove(ByteKey key) {
        return true;
    }

    @Override
    long entries() {
        return 0;
    }

    @Override
    long sum(LongBinaryOperator visit) {
        return 0;
    }
}
