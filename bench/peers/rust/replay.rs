// SPDX-License-Identifier: MIT

//! The loop over operations; it is compiled anew for every map and shape.

use crate::Table;
use crate::latency::Histogram;
use crate::shape::Shape;
use crate::trace::{ADD, Chunk, GET, INSERT, PUT, READ_MODIFY_WRITE, REMOVE};
use std::ops::{AddAssign, Range};
use std::time::Instant;

/// After so many operations a thread looks at the flag that ends a run.
pub const BLOCK_OPERATIONS: usize = 256;
/// Of so many operations one is timed.
const SAMPLED_ONE: usize = 32;

/// What a thread adds up; `answer` is what its last operation contributes to a checksum.
#[derive(Clone, Copy, Default)]
pub struct Counters {
    pub ops: u64,
    pub hits: u64,
    pub misses: u64,
    pub inserted: u64,
    pub removed: u64,
    pub sum: u64,
    pub answer: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.ops += other.ops;
        self.hits += other.hits;
        self.misses += other.misses;
        self.inserted += other.inserted;
        self.removed += other.removed;
        self.sum = self.sum.wrapping_add(other.sum);
        self.answer = other.answer;
    }
}

impl Counters {
    #[inline(always)]
    fn read(&mut self, value: Option<u64>) {
        match value {
            Some(number) => {
                self.hits += 1;
                self.sum = self.sum.wrapping_add(number);
            }
            None => self.misses += 1,
        }
        self.answer = value.unwrap_or(0);
    }
}

/// Does the operations `range` of a chunk, under one pin.
#[inline(never)]
pub fn replay<S: Shape, T: Table<S>>(table: &T, chunk: &Chunk, range: Range<usize>) -> Counters {
    let pin = table.pin();
    let mut n = Counters { ops: range.len() as u64, ..Counters::default() };
    for at in range {
        let key = S::key(chunk, at);
        let number = chunk.first + at as u64;
        match chunk.codes[at] {
            GET => n.read(T::get(&pin, key)),
            PUT => {
                T::put(&pin, key, number);
                n.answer = 1;
            }
            INSERT => {
                n.answer = u64::from(T::insert(&pin, key, number));
                n.inserted += n.answer;
            }
            REMOVE => {
                n.answer = u64::from(T::remove(&pin, key));
                n.removed += n.answer;
            }
            ADD => n.answer = T::add(&pin, key),
            READ_MODIFY_WRITE => {
                n.read(T::get(&pin, key));
                T::put(&pin, key, number);
            }
            _ => {}
        }
    }
    n
}

/// [`replay`] with the first of every 32 operations timed alone, its pin included.
pub fn replay_timed<S: Shape, T: Table<S>>(
    table: &T,
    chunk: &Chunk,
    range: Range<usize>,
    histogram: &mut Histogram,
) -> Counters {
    let mut n = Counters::default();
    for from in range.clone().step_by(SAMPLED_ONE) {
        let start = Instant::now();
        n += replay(table, chunk, from..from + 1);
        histogram.add(start.elapsed().as_nanos() as u64);
        n += replay(table, chunk, from + 1..range.end.min(from + SAMPLED_ONE));
    }
    n
}
