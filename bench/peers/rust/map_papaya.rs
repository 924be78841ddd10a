// SPDX-License-Identifier: MIT

//! papaya: one guard is held over a block of operations, since its documentation encourages reuse.

use papaya::{HashMap, HashMapRef, LocalGuard};
use weft_bench_peers::{About, Bytes, Hasher, Shape, Table, U64, serve};

struct Papaya<S: Shape> {
    map: HashMap<S::Key, S::Value, Hasher>,
    shape: S,
}

type Pinned<'a, S> = HashMapRef<'a, <S as Shape>::Key, <S as Shape>::Value, Hasher, LocalGuard<'a>>;

impl<S: Shape> Table<S> for Papaya<S> {
    type Pin<'a> = (Pinned<'a, S>, S);

    fn new(shape: S) -> Self {
        Papaya { map: HashMap::with_hasher(Hasher::default()), shape }
    }

    fn pin(&self) -> Self::Pin<'_> {
        (self.map.pin(), self.shape)
    }

    fn get((map, _): &Self::Pin<'_>, key: &S::Lookup) -> Option<u64> {
        map.get(key).map(S::number)
    }

    fn put((map, shape): &Self::Pin<'_>, key: &S::Lookup, number: u64) {
        map.insert(S::own(key), shape.value(number));
    }

    fn insert((map, shape): &Self::Pin<'_>, key: &S::Lookup, number: u64) -> bool {
        if S::OWNING_ALLOCATES && map.contains_key(key) {
            return false;
        }
        map.try_insert(S::own(key), shape.value(number)).is_ok()
    }

    fn remove((map, _): &Self::Pin<'_>, key: &S::Lookup) -> bool {
        map.remove(key).is_some()
    }

    fn add((map, shape): &Self::Pin<'_>, key: &S::Lookup) -> u64 {
        let next = |value: &S::Value| shape.value(S::number(value).wrapping_add(1));
        S::number(map.update_or_insert_with(S::own(key), next, || shape.value(1)))
    }

    fn entries(&self) -> u64 {
        self.map.len() as u64
    }

    fn each(&self, visit: &mut dyn FnMut(&S::Lookup, u64)) {
        for (key, value) in &self.map.pin() {
            visit(std::borrow::Borrow::borrow(key), S::number(value));
        }
    }
}

fn main() {
    serve::<Papaya<U64>, Papaya<Bytes>>(&About {
        id: "rust-papaya",
        map: "papaya::HashMap",
        version: "0.2.5",
        control: false,
    });
}
