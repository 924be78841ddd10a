// SPDX-License-Identifier: MIT

import java.util.Map;
import java.util.function.LongBinaryOperator;

/** One of Java's maps. Keys and values are objects, and making them is the map's cost. */
final class MapU64 extends TableU64 {
    private final Map<Long, Long> map;

    MapU64(Map<Long, Long> map) {
        this.map = map;
    }

    @Override
    long get(long key) {
        Long value = map.get(key);
        return value == null ? 0 : value;
    }

    @Override
    void put(long key, long number) {
        map.put(key, number);
    }

    @Override
    boolean insert(long key, long number) {
        return map.putIfAbsent(key, number) == null;
    }

    @Override
    boolean remove(long key) {
        return map.remove(key) != null;
    }

    @Override
    long add(long key) {
        return map.merge(key, 1L, Long::sum);
    }

    @Override
    long entries() {
        return map.size();
    }

    @Override
    long sum(LongBinaryOperator visit) {
        long sum = 0;
        for (Map.Entry<Long, Long> entry : map.entrySet()) {
            sum += visit.applyAsLong(entry.getKey(), entry.getValue());
        }
        return sum;
    }
}
