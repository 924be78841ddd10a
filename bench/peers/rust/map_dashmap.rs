// SPDX-License-Identifier: MIT

//! dashmap, with the feature `inline` and its usual number of shards.

use dashmap::{DashMap, Entry};
use weft_bench_peers::{About, Bytes, Hasher, Shape, Table, U64, serve};

struct Dash<S: Shape> {
    map: DashMap<S::Key, S::Value, Hasher>,
    shape: S,
}

impl<S: Shape> Table<S> for Dash<S> {
    type Pin<'a> = &'a Self;

    fn new(shape: S) -> Self {
        Dash { map: DashMap::with_hasher(Hasher::default()), shape }
    }

    fn pin(&self) -> &Self {
        self
    }

    fn get(table: &&Self, key: &S::Lookup) -> Option<u64> {
        table.map.get(key).map(|entry| S::number(entry.value()))
    }

    fn put(table: &&Self, key: &S::Lookup, number: u64) {
        table.map.insert(S::own(key), table.shape.value(number));
    }

    fn insert(table: &&Self, key: &S::Lookup, number: u64) -> bool {
        if S::OWNING_ALLOCATES && table.map.contains_key(key) {
            return false;
        }
        match table.map.entry(S::own(key)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(table.shape.value(number));
                true
            }
        }
    }

    fn remove(table: &&Self, key: &S::Lookup) -> bool {
        table.map.remove(key).is_some()
    }

    fn add(table: &&Self, key: &S::Lookup) -> u64 {
        let mut entry = table.map.entry(S::own(key)).or_insert_with(|| table.shape.value(0));
        let next = S::number(entry.value()).wrapping_add(1);
        *entry.value_mut() = table.shape.value(next);
        next
    }

    fn entries(&self) -> u64 {
        self.map.len() as u64
    }

    fn each(&self, visit: &mut dyn FnMut(&S::Lookup, u64)) {
        for entry in &self.map {
            visit(std::borrow::Borrow::borrow(entry.key()), S::number(entry.value()));
        }
    }
}

fn main() {
    serve::<Dash<U64>, Dash<Bytes>>(&About {
        id: "rust-dashmap",
        map: "dashmap::DashMap",
        version: "6.2.1",
        control: false,
    });
}
