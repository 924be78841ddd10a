// SPDX-License-Identifier: MIT

import java.util.function.LongBinaryOperator;

/** A map of shape u64. No value is 0, so 0 stands for a miss. A process loads one class of it. */
abstract class TableU64 {
    abstract long get(long key);

    abstract void put(long key, long number);

    abstract boolean insert(long key, long number);

    abstract boolean remove(long key);

    abstract long add(long key);

    abstract long entries();

    /** The sum of what visit makes of each key and value. */
    abstract long sum(LongBinaryOperator visit);
}
