// SPDX-License-Identifier: MIT

import java.util.function.LongBinaryOperator;

/** A map of shape bytes; what get returns is the number that a value begins with, 0 for a miss. */
abstract class TableBytes {
    abstract long get(ByteKey key);

    abstract void put(ByteKey key, long number);

    abstract boolean insert(ByteKey key, long number);

    abstract boolean remove(ByteKey key);

    abstract long entries();

    /** The sum of what visit makes of each key's digest and each number. */
    abstract long sum(LongBinaryOperator visit);
}
