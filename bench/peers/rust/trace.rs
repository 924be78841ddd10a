// SPDX-License-Identifier: MIT

//! The mapped trace, and the checks that a peer makes.

use memmap2::{Mmap, MmapOptions};
use std::fs::File;

pub const GET: u8 = 0;
pub const PUT: u8 = 1;
pub const INSERT: u8 = 2;
pub const REMOVE: u8 = 3;
pub const ADD: u8 = 4;
pub const READ_MODIFY_WRITE: u8 = 5;

const MAGIC_WITH_VERSION: &[u8; 8] = b"WEFTTRC1";
const HEADER_BYTES: usize = 128;
const CHUNK_HEADER_BYTES: usize = 16;
const CHUNK_OPERATIONS: usize = 4096;
const LEAST_VALUE: usize = 8;
const GREATEST_VALUE: usize = 1 << 20;

/// A view of one chunk in the mapped file.
pub struct Chunk {
    /// Number of its first operation, counted over prefill and operations.
    pub first: u64,
    pub codes: &'static [u8],
    /// Shape u64.
    pub keys: &'static [u64],
    /// Shape bytes: key i is `text[ends[i]..ends[i + 1]]`.
    pub ends: &'static [u32],
    pub text: &'static [u8],
}

pub struct Trace {
    pub bytes: bool,
    pub value_bytes: usize,
    pub prefill: Vec<Chunk>,
    pub chunks: Vec<Chunk>,
    prefill_operations: u64,
    operations: u64,
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().expect("8 bytes"))
}

fn padded(n: usize) -> usize {
    n.next_multiple_of(8)
}

/// The mapped bytes as numbers.
fn view<T: Copy>(data: &'static [u8]) -> &'static [T] {
    // SAFETY: only called with u32 and u64, which every pattern of bytes is one of.
    let (head, numbers, tail) = unsafe { data.align_to::<T>() };
    assert!(head.is_empty() && tail.is_empty(), "chunks are aligned");
    numbers
}

impl Trace {
    pub fn open(path: &str) -> Result<Trace, String> {
        let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
        // Populated at once, so that the file's pages are not mistaken for memory of the map.
        // SAFETY: nothing writes to a trace while peers replay it.
        let map = unsafe { MmapOptions::new().populate().map(&file) };
        let map: Mmap = map.map_err(|error| format!("{path}: mapping it: {error}"))?;
        // The mapping lives as long as the process.
        Trace::parse(Box::leak(Box::new(map))).map_err(|error| format!("{path}: {error}"))
    }

    fn parse(data: &'static [u8]) -> Result<Trace, String> {
        if data.len() < HEADER_BYTES {
            return Err(format!("{} bytes, a trace has {HEADER_BYTES} at least", data.len()));
        }
        if &data[..8] != MAGIC_WITH_VERSION {
            return Err(format!(
                "begins with \"{}\", a trace of this version with \"{}\"",
                data[..8].escape_ascii(),
                MAGIC_WITH_VERSION.escape_ascii()
            ));
        }
        if u64_at(data, 56) != data.len() as u64 {
            let said = u64_at(data, 56);
            return Err(format!("its header says {said} bytes, the file has {}", data.len()));
        }
        let mut trace = Trace::with_shape(u32_at(data, 8), u32_at(data, 12) as usize)?;
        let mut at = HEADER_BYTES;
        for n in 0..u64_at(data, 32) {
            at += trace
                .add_chunk(&data[at..])
                .map_err(|error| format!("chunk {n} at byte {at}: {error}"))?;
        }
        let (prefill, operations) = (u64_at(data, 16), u64_at(data, 24));
        let (found_prefill, found) = (trace.prefill_operations, trace.operations);
        if at != data.len() || prefill != found_prefill || operations != found {
            return Err(format!(
                "its header says {prefill} + {operations} operations in {} bytes, \
                 its chunks {found_prefill} + {found} in {at}",
                data.len()
            ));
        }
        Ok(trace)
    }

    fn with_shape(shape: u32, value_bytes: usize) -> Result<Trace, String> {
        if shape > 1 {
            return Err(format!("shape {shape}, allowed: 0 and 1"));
        }
        let greatest = if shape == 0 { LEAST_VALUE } else { GREATEST_VALUE };
        if !(LEAST_VALUE..=greatest).contains(&value_bytes) {
            return Err(format!(
                "values of {value_bytes} bytes, allowed: {LEAST_VALUE} to {greatest}"
            ));
        }
        Ok(Trace {
            bytes: shape == 1,
            value_bytes,
            prefill: Vec::new(),
            chunks: Vec::new(),
            prefill_operations: 0,
            operations: 0,
        })
    }

    /// Appends the chunk that `data` begins with, and returns its size.
    fn add_chunk(&mut self, data: &'static [u8]) -> Result<usize, String> {
        let left = data.len();
        if left < CHUNK_HEADER_BYTES {
            return Err(format!(
                "{left} bytes are left, a chunk's header has {CHUNK_HEADER_BYTES}"
            ));
        }
        let (count, size, kind) =
            (u32_at(data, 0) as usize, u32_at(data, 4) as usize, u32_at(data, 8));
        let in_order = kind == 1 || (kind == 0 && self.operations == 0);
        if !(1..=CHUNK_OPERATIONS).contains(&count) || !in_order {
            return Err(format!(
                "{count} operations of kind {kind}, allowed: 1 to {CHUNK_OPERATIONS}, \
                 prefill (0) before operations (1)"
            ));
        }
        let keys_at = CHUNK_HEADER_BYTES + padded(count);
        let body_at = keys_at + if self.bytes { padded(4 * (count + 1)) } else { 8 * count };
        if !size.is_multiple_of(8) || size < body_at || size > left {
            return Err(format!("{size} bytes for {count} operations, {left} are left"));
        }
        let (mut keys, mut ends, mut text): (&[u64], &[u32], &[u8]) = (&[], &[], &[]);
        if self.bytes {
            ends = view(&data[keys_at..keys_at + 4 * (count + 1)]);
            text = &data[body_at..size];
            if ends[count] as usize > text.len() {
                return Err(format!("keys up to byte {} of {}", ends[count], text.len()));
            }
        } else {
            keys = view(&data[keys_at..body_at]);
        }
        let codes = &data[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + count];
        let first = 1 + self.prefill_operations + self.operations;
        let chunk = Chunk { first, codes, keys, ends, text };
        if kind == 0 {
            self.prefill.push(chunk);
            self.prefill_operations += count as u64;
        } else {
            self.chunks.push(chunk);
            self.operations += count as u64;
        }
        Ok(size)
    }
}
