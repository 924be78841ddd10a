// SPDX-License-Identifier: MIT
// oneTBB's concurrent_hash_map. Reads hold a const_accessor; inserts use the overload without
// accessor, which takes no lock on the entry. Memory comes from its own default.
#include "replay_cpp.hpp"
#include <tbb/concurrent_hash_map.h>
#include <tbb/version.h>

#define PEER_LANGUAGE "c++"
#define PEER_CONTROL 0

static const replay_identity peer_identities[] = {{"onetbb", "concurrent_hash_map"}};

template <typename Types> class peer_map {
    using Key = typename Types::Key;
    using KeyArgument = typename Types::KeyArgument;
    using ValueArgument = typename Types::ValueArgument;

    struct compare {
        using is_transparent = void;
        std::size_t hash(KeyArgument key) const {
            return typename Types::Hash()(key);
        }
        bool equal(KeyArgument a, KeyArgument b) const {
            return a == b;
        }
    };
    using table = tbb::concurrent_hash_map<Key, typename Types::Value, compare>;
    table entries;

  public:
    explicit peer_map(unsigned) {
    }
    bool get(KeyArgument key, uint64_t *number) {
        typename table::const_accessor found;
        if (!entries.find(found, key))
            return false;
        *number = replay_number_of(found->second);
        return true;
    }
    void put(KeyArgument key, ValueArgument value) {
        typename table::accessor found;
        entries.insert(found, key);
        found->second = value;
    }
    bool insert(KeyArgument key, ValueArgument value) {
        return entries.emplace(key, value);
    }
    bool remove(KeyArgument key) {
        return entries.erase(key);
    }
    uint64_t add(KeyArgument key) {
        typename table::accessor found;
        entries.insert(found, key);
        return ++found->second;
    }
    uint64_t count() {
        return entries.size();
    }
    void walk(replay_content *content) {
        for (const auto &entry : entries)
            replay_see(content, entry.first, entry.second);
    }
};

REPLAY_CPP(peer_map)

#include "replay_main.h"
