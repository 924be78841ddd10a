// SPDX-License-Identifier: MIT

//! A histogram of nanoseconds: exact below 16, then 16 linear steps a power of two.

const STEPS: usize = 16;
const BUCKETS: usize = (64 - 4 + 1) * STEPS;

pub struct Histogram {
    counts: Vec<u64>,
    pub samples: u64,
    pub max: u64,
}

fn bucket_of(ns: u64) -> usize {
    if ns < STEPS as u64 {
        return ns as usize;
    }
    let shift = 59 - ns.leading_zeros() as usize;
    shift * STEPS + (ns >> shift) as usize
}

/// The greatest value that falls into a bucket.
fn upper_end(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let next = (bucket % STEPS + STEPS + 1) as u128;
    ((next << shift) - 1) as u64
}

impl Histogram {
    pub fn new() -> Self {
        Histogram { counts: vec![0; BUCKETS], samples: 0, max: 0 }
    }

    pub fn add(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
        self.samples += 1;
        self.max = self.max.max(ns);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.samples += other.samples;
        self.max = self.max.max(other.max);
    }

    /// The value that `per_mille` of a thousand samples do not exceed.
    pub fn at(&self, per_mille: u64) -> u64 {
        let wanted = (self.samples * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return upper_end(bucket).min(self.max);
            }
        }
        self.max
    }
}
