// SPDX-License-Identifier: MIT

/** Counts nanoseconds: exact below 16, then 16 linear steps a power of two. */
final class Histogram {
    private static final int STEPS = 16;
    private static final int BUCKETS = (64 - 4 + 1) * STEPS;

    private final long[] counts = new long[BUCKETS];
    private long samples;
    private long max;

    private static int bucketOf(long ns) {
        if (ns < STEPS) {
            return (int) ns;
        }
        int shift = 59 - Long.numberOfLeadingZeros(ns);
        return shift * STEPS + (int) (ns >>> shift);
    }

    /** The greatest value that falls into a bucket. */
    private static long upperEnd(int bucket) {
        if (bucket < 2 * STEPS) {
            return bucket;
        }
        int shift = bucket / STEPS - 1;
        return ((long) (bucket % STEPS + STEPS + 1) << shift) - 1;
    }

    void add(long ns) {
        counts[bucketOf(ns)]++;
        samples++;
        max = Math.max(max, ns);
    }

    void merge(Histogram other) {
        for (int i = 0; i < BUCKETS; i++) {
            counts[i] += other.counts[i];
        }
        samples += other.samples;
        max = Math.max(max, other.max);
    }

    /** The value that so many of a thousand samples do not exceed. */
    private long at(long perMille) {
        long wanted = (samples * perMille + 999) / 1000;
        long seen = 0;
        for (int i = 0; i < BUCKETS; i++) {
            seen += counts[i];
            if (counts[i] > 0 && seen >= wanted) {
                return Math.min(upperEnd(i), max);
            }
        }
        return max;
    }

    String json() {
        return "{\"samples\":" + samples + ",\"p50\":" + at(500) + ",\"p90\":" + at(900)
                + ",\"p99\":" + at(990) + ",\"p999\":" + at(999) + ",\"max\":" + max + "}";
    }
}
