// SPDX-License-Identifier: MIT

//! The two shapes of keys and values, so that each map is written once for both.

use crate::trace::Chunk;
use std::borrow::Borrow;
use std::hash::Hash;

/// How a map of one shape stores keys and values, and finds them.
pub trait Shape: Copy + Send + Sync + 'static {
    type Key: Borrow<Self::Lookup> + Clone + Eq + Hash + Send + Sync + 'static;
    type Lookup: ?Sized + Eq + Hash;
    type Value: Clone + Send + Sync + 'static;
    /// Owning a key allocates: an insertion looks whether the key is there before it makes one.
    const OWNING_ALLOCATES: bool;

    /// The shape for values of so many bytes.
    fn new(value_bytes: usize) -> Self;
    /// Key number `at` of a chunk, which it borrows from the mapped file.
    fn key(chunk: &Chunk, at: usize) -> &Self::Lookup;
    fn own(key: &Self::Lookup) -> Self::Key;
    fn value(self, number: u64) -> Self::Value;
    fn number(value: &Self::Value) -> u64;
    /// The key as the checksum takes it.
    fn digest(key: &Self::Lookup) -> u64;
}

#[derive(Clone, Copy)]
pub struct U64;

impl Shape for U64 {
    type Key = u64;
    type Lookup = u64;
    type Value = u64;
    const OWNING_ALLOCATES: bool = false;

    fn new(_: usize) -> Self {
        U64
    }

    #[inline(always)]
    fn key(chunk: &Chunk, at: usize) -> &u64 {
        &chunk.keys[at]
    }

    #[inline(always)]
    fn own(key: &u64) -> u64 {
        *key
    }

    #[inline(always)]
    fn value(self, number: u64) -> u64 {
        number
    }

    #[inline(always)]
    fn number(value: &u64) -> u64 {
        *value
    }

    fn digest(key: &u64) -> u64 {
        *key
    }
}

/// Values begin with a number; the rest is the byte 'v'.
#[derive(Clone, Copy)]
pub struct Bytes {
    value_bytes: usize,
}

impl Shape for Bytes {
    type Key = Box<[u8]>;
    type Lookup = [u8];
    type Value = Box<[u8]>;
    const OWNING_ALLOCATES: bool = true;

    fn new(value_bytes: usize) -> Self {
        Bytes { value_bytes }
    }

    #[inline(always)]
    fn key(chunk: &Chunk, at: usize) -> &[u8] {
        &chunk.text[chunk.ends[at] as usize..chunk.ends[at + 1] as usize]
    }

    #[inline(always)]
    fn own(key: &[u8]) -> Box<[u8]> {
        key.into()
    }

    #[inline(always)]
    fn value(self, number: u64) -> Box<[u8]> {
        let mut value = vec![b'v'; self.value_bytes].into_boxed_slice();
        value[..8].copy_from_slice(&number.to_le_bytes());
        value
    }

    #[inline(always)]
    fn number(value: &Box<[u8]>) -> u64 {
        u64::from_le_bytes(value[..8].try_into().expect("values have 8 bytes at least"))
    }

    fn digest(key: &[u8]) -> u64 {
        key.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
    }
}
