// SPDX-License-Identifier: MIT

import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** What the threads of one command do; a pause of 0 nanoseconds: every chunk once. */
record Job(List<Chunk> chunks, int threads, long offset, boolean timed, long pause) {
    private static final com.sun.management.OperatingSystemMXBean SYSTEM =
            (com.sun.management.OperatingSystemMXBean)
                    ManagementFactory.getOperatingSystemMXBean();

    /** What they did. */
    record Outcome(Worker total, double seconds, double processorSeconds) { }

    /** One run of a job. */
    private final class Run {
        final Tables tables;
        final Worker[] workers = new Worker[threads];
        final CountDownLatch ready = new CountDownLatch(threads);
        final CountDownLatch gate = new CountDownLatch(1);
        final CountDownLatch done = new CountDownLatch(threads);
        volatile boolean ended;

        Run(Tables tables) {
            this.tables = tables;
        }

        void thread(int t) {
            Worker worker = new Worker(timed);
            workers[t] = worker;
            ready.countDown();
            try {
                gate.await();
                work(worker, offset + t);
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            } finally {
                done.countDown();
            }
        }

        /** Replays chunk first, and every threads chunks one, to the last or until it is ended. */
        private void work(Worker worker, long first) {
            int count = chunks.size();
            for (long k = first; pause > 0 || k < count; k += threads) {
                Chunk chunk = chunks.get((int) (k % count));
                for (int from = 0; from < chunk.operations; from += Worker.BLOCK_OPERATIONS) {
                    if (ended) {
                        return;
                    }
                    worker.replayBlock(tables, chunk, from);
                }
            }
        }
    }

    /** Threads wait at a gate, and the clock starts when it opens. */
    Outcome run(Tables tables) throws InterruptedException {
        Run run = new Run(tables);
        for (int i = 0; i < threads; i++) {
            int t = i;
            Thread thread = new Thread(() -> run.thread(t), "replay-" + t);
            thread.setDaemon(true);
            thread.start();
        }
        run.ready.await();
        long processorBefore = SYSTEM.getProcessCpuTime();
        long start = System.nanoTime();
        run.gate.countDown();
        if (pause > 0) {
            Thread.sleep(pause / 1_000_000, (int) (pause % 1_000_000));
            run.ended = true;
        }
        run.done.await();
        double seconds = (System.nanoTime() - start) * 1e-9;
        double processorSeconds = (SYSTEM.getProcessCpuTime() - processorBefore) * 1e-9;
        return new Outcome(total(run.workers), seconds, processorSeconds);
    }

    private Worker total(Worker[] workers) {
        Worker total = new Worker(timed);
        for (Worker worker : workers) {
            total.ops += worker.ops;
            total.hits += worker.hits;
            total.misses += worker.misses;
            total.inserted += worker.inserted;
            total.removed += worker.removed;
            total.sum += worker.sum;
            if (timed) {
                total.latency.merge(worker.latency);
            }
        }
        return total;
    }
}
