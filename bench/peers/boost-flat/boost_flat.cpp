// SPDX-License-Identifier: MIT
// boost::concurrent_flat_map; values are read and changed in place by visitors.
#include "replay_cpp.hpp"
#include <boost/unordered/concurrent_flat_map.hpp>
#include <boost/version.hpp>

#define PEER_LANGUAGE "c++"
#define PEER_VERSION BOOST_LIB_VERSION
#define PEER_CONTROL 0

static const replay_identity peer_identities[] = {{"boost-flat", "concurrent_flat_map"}};

template <typename Types> class peer_map {
    using Key = typename Types::Key;
    using Value = typename Types::Value;
    using KeyArgument = typename Types::KeyArgument;
    using ValueArgument = typename Types::ValueArgument;
    boost::concurrent_flat_map<Key, Value, typename Types::Hash, std::equal_to<>> entries;

  public:
    explicit peer_map(unsigned) {
    }
    bool get(KeyArgument key, uint64_t *number) {
        return entries.cvisit(key, [number](const auto &entry) {
            *number = replay_number_of(entry.second);
        }) != 0;
    }
    void put(KeyArgument key, ValueArgument value) {
        entries.try_emplace_or_visit(key, value, [value](auto &entry) { entry.second = value; });
    }
    bool insert(KeyArgument key, ValueArgument value) {
        return entries.try_emplace(key, value);
    }
    bool remove(KeyArgument key) {
        return entries.erase(key) != 0;
    }
    uint64_t add(KeyArgument key) {
        uint64_t result = 1;
        entries.try_emplace_or_visit(key, 1, [&result](auto &entry) { result = ++entry.second; });
        return result;
    }
    uint64_t count() {
        return entries.size();
    }
    void walk(replay_content *content) {
        entries.cvisit_all(
            [content](const auto &entry) { replay_see(content, entry.first, entry.second); });
    }
};

REPLAY_CPP(peer_map)

#include "replay_main.h"
