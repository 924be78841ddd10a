// SPDX-License-Identifier: MIT
// libcuckoo's cuckoohash_map, at its default size; functions read and change values in place.
#include "replay_cpp.hpp"
#include <libcuckoo/cuckoohash_map.hh>

#define PEER_LANGUAGE "c++"
#define PEER_CONTROL 0

static const replay_identity peer_identities[] = {{"libcuckoo", "cuckoohash_map"}};

template <typename Types> class peer_map {
    using Key = typename Types::Key;
    using Value = typename Types::Value;
    using KeyArgument = typename Types::KeyArgument;
    using ValueArgument = typename Types::ValueArgument;
    libcuckoo::cuckoohash_map<Key, Value, typename Types::Hash, std::equal_to<>> entries;

  public:
    explicit peer_map(unsigned) {
    }
    bool get(KeyArgument key, uint64_t *number) {
        return entries.find_fn(
            key, [number](const Value &value) { *number = replay_number_of(value); });
    }
    void put(KeyArgument key, ValueArgument value) {
        entries.upsert(
            key, [value](Value &old) { old = value; }, value);
    }
    bool insert(KeyArgument key, ValueArgument value) {
        return entries.insert(key, value);
    }
    bool remove(KeyArgument key) {
        return entries.erase(key);
    }
    uint64_t add(KeyArgument key) {
        uint64_t result = 1;
        entries.upsert(
            key, [&result](Value &old) { result = ++old; }, 1);
        return result;
    }
    uint64_t count() {
        return entries.size();
    }
    void walk(replay_content *content) {
        auto locked = entries.lock_table();
        for (const auto &entry : locked)
            replay_see(content, entry.first, entry.second);
    }
};

REPLAY_CPP(peer_map)

#include "replay_main.h"
