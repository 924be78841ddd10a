// SPDX-License-Identifier: MIT

//! What the commands do: threads, the barrier, the deterministic pass.

use crate::Table;
use crate::latency::Histogram;
use crate::replay::{BLOCK_OPERATIONS, Counters, replay, replay_timed};
use crate::shape::Shape;
use crate::system::processor_seconds;
use crate::trace::{Chunk, Trace};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the threads of one command do.
pub struct Job<'a> {
    pub chunks: &'a [Chunk],
    pub threads: usize,
    pub offset: usize,
    pub latency: bool,
    /// None: every chunk once; else round and round for so long.
    pub pause: Option<Duration>,
}

/// What they did.
#[derive(Default)]
pub struct Outcome {
    pub counters: Counters,
    pub seconds: f64,
    pub processor_seconds: f64,
    pub latency: Option<Histogram>,
}

/// What one thread did, and when it was done.
struct Part {
    counters: Counters,
    latency: Option<Histogram>,
    end: Instant,
}

/// The flag that ends a run, on a cache line of its own.
#[repr(align(128))]
struct Ended(AtomicBool);

impl Job<'_> {
    /// Replays chunk `first`, and every `threads` chunks one, to the last or until the flag is set.
    fn work<S: Shape, T: Table<S>>(&self, table: &T, first: usize, ended: &Ended) -> Part {
        let mut counters = Counters::default();
        let mut latency = self.latency.then(Histogram::new);
        let count = self.chunks.len();
        let mut k = first;
        'chunks: while self.pause.is_some() || k < count {
            let chunk = &self.chunks[k % count];
            let operations = chunk.codes.len();
            for from in (0..operations).step_by(BLOCK_OPERATIONS) {
                if ended.0.load(Ordering::Relaxed) {
                    break 'chunks;
                }
                let range = from..operations.min(from + BLOCK_OPERATIONS);
                counters += match &mut latency {
                    Some(histogram) => replay_timed(table, chunk, range, histogram),
                    None => replay(table, chunk, range),
                };
            }
            k += self.threads;
        }
        Part { counters, latency, end: Instant::now() }
    }

    /// Threads wait at a barrier, and the clock starts when it opens.
    pub fn run<S: Shape, T: Table<S>>(&self, table: &T) -> Outcome {
        let ended = Ended(AtomicBool::new(false));
        let (ready, gate) = (Barrier::new(self.threads + 1), Barrier::new(self.threads + 1));
        std::thread::scope(|scope| {
            let (ended, ready, gate) = (&ended, &ready, &gate);
            let threads: Vec<_> = (0..self.threads)
                .map(|t| {
                    scope.spawn(move || {
                        ready.wait();
                        gate.wait();
                        self.work(table, self.offset + t, ended)
                    })
                })
                .collect();
            ready.wait();
            let (processor_before, start) = (processor_seconds(), Instant::now());
            gate.wait();
            if let Some(pause) = self.pause {
                std::thread::sleep(pause);
                ended.0.store(true, Ordering::Relaxed);
            }
            let parts = threads.into_iter().map(|thread| thread.join().expect("threads return"));
            let mut outcome = Outcome::of(parts, start);
            outcome.processor_seconds = processor_seconds() - processor_before;
            outcome
        })
    }
}

impl Outcome {
    fn of(parts: impl Iterator<Item = Part>, start: Instant) -> Outcome {
        let mut all = Outcome::default();
        for part in parts {
            all.counters += part.counters;
            all.seconds = all.seconds.max((part.end - start).as_secs_f64());
            if let Some(histogram) = part.latency {
                all.latency.get_or_insert_with(Histogram::new).merge(&histogram);
            }
        }
        all
    }
}

fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The deterministic pass: one thread, a fresh map; the checksum, and the entries.
pub fn verify<S: Shape, T: Table<S>>(trace: &Trace) -> Result<(u64, u64), String> {
    let table = T::new(S::new(trace.value_bytes));
    for chunk in &trace.prefill {
        replay(&table, chunk, 0..chunk.codes.len());
    }
    let mut hash = 0_u64;
    for chunk in &trace.chunks {
        for at in 0..chunk.codes.len() {
            let answer = replay(&table, chunk, at..at + 1).answer;
            hash = (hash.rotate_left(5) ^ answer).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    let (mut content, mut entries) = (0_u64, 0_u64);
    table.each(&mut |key, number| {
        content = content.wrapping_add(mix(mix(S::digest(key)) ^ number));
        entries += 1;
    });
    if table.entries() != entries {
        return Err(format!("the map says {} entries, a walk finds {entries}", table.entries()));
    }
    Ok((hash ^ mix(content.wrapping_add(entries)), entries))
}
