// SPDX-License-Identifier: MIT

//! The control with Rust's usual map under its usual mutex.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use weft_bench_peers::{About, Bytes, Hasher, Shape, Table, U64, serve};

type Map<S> = HashMap<<S as Shape>::Key, <S as Shape>::Value, Hasher>;

struct Locked<S: Shape> {
    map: Mutex<Map<S>>,
    shape: S,
}

impl<S: Shape> Locked<S> {
    fn lock(&self) -> MutexGuard<'_, Map<S>> {
        self.map.lock().expect("no thread panics while it holds the lock")
    }
}

impl<S: Shape> Table<S> for Locked<S> {
    type Pin<'a> = &'a Self;

    fn new(shape: S) -> Self {
        Locked { map: Mutex::new(HashMap::with_hasher(Hasher::default())), shape }
    }

    fn pin(&self) -> &Self {
        self
    }

    fn get(table: &&Self, key: &S::Lookup) -> Option<u64> {
        table.lock().get(key).map(S::number)
    }

    fn put(table: &&Self, key: &S::Lookup, number: u64) {
        let (key, value) = (S::own(key), table.shape.value(number));
        let old = table.lock().insert(key, value);
        drop(old);
    }

    fn insert(table: &&Self, key: &S::Lookup, number: u64) -> bool {
        let mut map = table.lock();
        let fresh = !map.contains_key(key);
        if fresh {
            map.insert(S::own(key), table.shape.value(number));
        }
        fresh
    }

    fn remove(table: &&Self, key: &S::Lookup) -> bool {
        let old = table.lock().remove(key);
        old.is_some()
    }

    fn add(table: &&Self, key: &S::Lookup) -> u64 {
        let mut map = table.lock();
        let value = map.entry(S::own(key)).or_insert_with(|| table.shape.value(0));
        let next = S::number(value).wrapping_add(1);
        *value = table.shape.value(next);
        next
    }

    fn entries(&self) -> u64 {
        self.lock().len() as u64
    }

    fn each(&self, visit: &mut dyn FnMut(&S::Lookup, u64)) {
        for (key, value) in self.lock().iter() {
            visit(std::borrow::Borrow::borrow(key), S::number(value));
        }
    }
}

fn main() {
    serve::<Locked<U64>, Locked<Bytes>>(&About {
        id: "rust-mutex",
        map: "HashMap+Mutex",
        version: "std",
        control: true,
    });
}
