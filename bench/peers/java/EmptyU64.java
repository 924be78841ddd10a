// SPDX-License-Identifier: MIT

import java.util.function.LongBinaryOperator;

/** No map. It compares the key, so that the key is read; no trace has that one. */
final class EmptyU64 extends TableU64 {
    private static final long NO_KEY = 0x5bd1e9955bd1e995L;

    @Override
    long get(long key) {
        return key == NO_KEY ? 1 : 0;
    }

    @Override
    void put(long key, long number) {
    }

    @Override
    boolean insert(long key, long number) {
        return key != NO_KEY;
    }

    @Override
    boolean remove(long key) {
        return key != NO_KEY;
    }

    @Override
    long add(long key) {
        return key == NO_KEY ? 2 : 1;
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
