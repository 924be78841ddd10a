// SPDX-License-Identifier: MIT

//! What the Rust peers of weft's bench share: the trace, its replay, and the protocol.
//! A peer implements [`Table`] once, for keys and values of both shapes, and calls [`serve`].

mod latency;
mod protocol;
mod replay;
mod shape;
mod steps;
mod system;
mod trace;

pub use protocol::serve;
pub use shape::{Bytes, Shape, U64};

/// Every map hashes with foldhash, the default of the hashbrown crate; the seed is fixed.
pub type Hasher = foldhash::fast::FixedState;

/// What `hello` says of a peer.
pub struct About {
    pub id: &'static str,
    pub map: &'static str,
    pub version: &'static str,
    pub control: bool,
}

/// A map under test. `Pin` is what it wants to be held over several operations: a guard, say.
pub trait Table<S: Shape>: Send + Sync {
    type Pin<'a>
    where
        Self: 'a;

    fn new(shape: S) -> Self;
    fn pin(&self) -> Self::Pin<'_>;
    fn get(pin: &Self::Pin<'_>, key: &S::Lookup) -> Option<u64>;
    fn put(pin: &Self::Pin<'_>, key: &S::Lookup, number: u64);
    fn insert(pin: &Self::Pin<'_>, key: &S::Lookup, number: u64) -> bool;
    fn remove(pin: &Self::Pin<'_>, key: &S::Lookup) -> bool;
    fn add(pin: &Self::Pin<'_>, key: &S::Lookup) -> u64;
    fn entries(&self) -> u64;
    fn each(&self, visit: &mut dyn FnMut(&S::Lookup, u64));
}
