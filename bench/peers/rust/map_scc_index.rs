// SPDX-License-Identifier: MIT

//! scc's HashIndex, the sibling of its HashMap whose reads take no lock.

use scc::HashIndex;
use scc::hash_index::Entry;
use weft_bench_peers::{About, Bytes, Hasher, Shape, Table, U64, serve};

struct Index<S: Shape> {
    map: HashIndex<S::Key, S::Value, Hasher>,
    shape: S,
}

impl<S: Shape> Index<S> {
    /// Replaces the value by what `next` makes of the present number, 0 if there is none.
    fn update(&self, key: &S::Lookup, next: impl FnOnce(u64) -> u64) -> u64 {
        match self.map.entry_sync(S::own(key)) {
            Entry::Occupied(mut place) => {
                let number = next(S::number(place.get()));
                place.update(self.shape.value(number));
                number
            }
            Entry::Vacant(place) => {
                let number = next(0);
                place.insert_entry(self.shape.value(number));
                number
            }
        }
    }
}

impl<S: Shape> Table<S> for Index<S> {
    type Pin<'a> = &'a Self;

    fn new(shape: S) -> Self {
        Index { map: HashIndex::with_hasher(Hasher::default()), shape }
    }

    fn pin(&self) -> &Self {
        self
    }

    fn get(table: &&Self, key: &S::Lookup) -> Option<u64> {
        table.map.peek_with(key, |_, value| S::number(value))
    }

    fn put(table: &&Self, key: &S::Lookup, number: u64) {
        table.update(key, |_| number);
    }

    fn insert(table: &&Self, key: &S::Lookup, number: u64) -> bool {
        if S::OWNING_ALLOCATES && table.map.contains(key) {
            return false;
        }
        table.map.insert_sync(S::own(key), table.shape.value(number)).is_ok()
    }

    fn remove(table: &&Self, key: &S::Lookup) -> bool {
        table.map.remove_sync(key)
    }

    fn add(table: &&Self, key: &S::Lookup) -> u64 {
        table.update(key, |number| number.wrapping_add(1))
    }

    fn entries(&self) -> u64 {
        self.map.len() as u64
    }

    fn each(&self, visit: &mut dyn FnMut(&S::Lookup, u64)) {
        self.map.iter_sync(|key, value| {
            visit(std::borrow::Borrow::borrow(key), S::number(value));
            true
        });
    }
}

fn main() {
    serve::<Index<U64>, Index<Bytes>>(&About {
        id: "rust-scc-index",
        map: "scc::HashIndex",
        version: "3.8.8",
        control: false,
    });
}
