// SPDX-License-Identifier: MIT

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongBinaryOperator;

/** The map of the trace's shape; the other is null. */
record Tables(TableU64 u64, TableBytes bytes) {
    /** The kinds of maps, one a peer. */
    enum Kind {
        CHM("java-chm", "ConcurrentHashMap", false),
        MUTEX("java-mutex", "synchronizedMap(HashMap)", true),
        EMPTY("java-empty", "empty", true);

        final String id;
        final String map;
        final boolean control;

        Kind(String id, String map, boolean control) {
            this.id = id;
            this.map = map;
            this.control = control;
        }

        private <K, V> Map<K, V> make() {
            return this == CHM ? new ConcurrentHashMap<>()
                    : Collections.synchronizedMap(new HashMap<>());
        }

        Tables fresh(Trace trace) {
            if (this == EMPTY) {
                return trace.bytes ? new Tables(null, new EmptyBytes())
                        : new Tables(new EmptyU64(), null);
            }
            return trace.bytes ? new Tables(null, new MapBytes(make(), trace.valueBytes))
                    : new Tables(new MapU64(make()), null);
        }
    }

    long entries() {
        return u64 != null ? u64.entries() : bytes.entries();
    }

    long sum(LongBinaryOperator visit) {
        return u64 != null ? u64.sum(visit) : bytes.sum(visit);
    }
}
