// SPDX-License-Identifier: MIT

import java.util.Arrays;
import java.util.Map;
import java.util.function.LongBinaryOperator;

/** One of Java's maps, with keys that know their hash. */
final class MapBytes extends TableBytes {
    private final Map<ByteKey, byte[]> map;
    private final byte[] pattern;

    MapBytes(Map<ByteKey, byte[]> map, int valueBytes) {
        this.map = map;
        pattern = new byte[valueBytes];
        Arrays.fill(pattern, (byte) 'v');
    }

    private byte[] value(long number) {
        byte[] value = pattern.clone();
        ByteKey.WORDS.set(value, 0, number);
        return value;
    }

    private static long number(byte[] value) {
        return (long) ByteKey.WORDS.get(value, 0);
    }

    @Override
    long get(ByteKey key) {
        byte[] value = map.get(key);
        return value == null ? 0 : number(value);
    }

    @Override
    void put(ByteKey key, long number) {
        map.put(key.copy(), value(number));
    }

    /** Looks first: a key that is there costs no copy of it. */
    @Override
    boolean insert(ByteKey key, long number) {
        return !map.containsKey(key) && map.putIfAbsent(key.copy(), value(number)) == null;
    }

    @Override
    boolean remove(ByteKey key) {
        return map.remove(key) != null;
    }

    @Override
    long entries() {
        return map.size();
    }

    @Override
    long sum(LongBinaryOperator visit) {
        long sum = 0;
        for (Map.Entry<ByteKey, byte[]> entry : map.entrySet()) {
            sum += visit.applyAsLong(entry.getKey().digest(), number(entry.getValue()));
        }
        return sum;
    }
}
