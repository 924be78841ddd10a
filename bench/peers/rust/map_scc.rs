// SPDX-License-Identifier: MIT

//! scc's HashMap, through its synchronous functions.

use scc::HashMap;
use weft_bench_peers::{About, Bytes, Hasher, Shape, Table, U64, serve};

struct Scc<S: Shape> {
    map: HashMap<S::Key, S::Value, Hasher>,
    shape: S,
}

impl<S: Shape> Table<S> for Scc<S> {
    type Pin<'a> = &'a Self;

    fn new(shape: S) -> Self {
        Scc { map: HashMap::with_hasher(Hasher::default()), shape }
    }

    fn pin(&self) -> &Self {
        self
    }

    fn get(table: &&Self, key: &S::Lookup) -> Option<u64> {
        table.map.read_sync(key, |_, value| S::number(value))
    }

    fn put(table: &&Self, key: &S::Lookup, number: u64) {
        table.map.upsert_sync(S::own(key), table.shape.value(number));
    }

    fn insert(table: &&Self, key: &S::Lookup, number: u64) -> bool {
        if S::OWNING_ALLOCATES && table.map.contains_sync(key) {
            return false;
        }
        table.map.insert_sync(S::own(key), table.shape.value(number)).is_ok()
    }

    fn remove(table: &&Self, key: &S::Lookup) -> bool {
        table.map.remove_sync(key).is_some()
    }

    fn add(table: &&Self, key: &S::Lookup) -> u64 {
        let mut entry = table.map.entry_sync(S::own(key)).or_insert_with(|| table.shape.value(0));
        let next = S::number(entry.get()).wrapping_add(1);
        *entry.get_mut() = table.shape.value(next);
        next
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
    serve::<Scc<U64>, Scc<Bytes>>(&About {
        id: "rust-scc",
        map: "scc::HashMap",
        version: "3.8.8",
        control: false,
    });
}
