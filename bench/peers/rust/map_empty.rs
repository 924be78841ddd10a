// SPDX-License-Identifier: MIT

//! The control without a map: what remains of a run is the harness.

use std::hint::black_box;
use weft_bench_peers::{About, Shape, Table, serve};

struct Empty;

/// Each operation reads where its key is, and for shape u64 the key: a map needs that, too.
#[inline(always)]
fn touch<S: Shape>(key: &S::Lookup) {
    if S::OWNING_ALLOCATES {
        black_box(key);
    } else {
        black_box(S::own(key));
    }
}

impl<S: Shape> Table<S> for Empty {
    type Pin<'a> = ();

    fn new(_: S) -> Self {
        Empty
    }

    fn pin(&self) {}

    fn get(_: &(), key: &S::Lookup) -> Option<u64> {
        touch::<S>(key);
        None
    }

    fn put(_: &(), key: &S::Lookup, _: u64) {
        touch::<S>(key);
    }

    fn insert(_: &(), key: &S::Lookup, _: u64) -> bool {
        touch::<S>(key);
        true
    }

    fn remove(_: &(), key: &S::Lookup) -> bool {
        touch::<S>(key);
        true
    }

    fn add(_: &(), key: &S::Lookup) -> u64 {
        touch::<S>(key);
        1
    }

    fn entries(&self) -> u64 {
        0
    }

    fn each(&self, _: &mut dyn FnMut(&S::Lookup, u64)) {}
}

fn main() {
    serve::<Empty, Empty>(&About { id: "rust-empty", map: "empty", version: "std", control: true });
}
