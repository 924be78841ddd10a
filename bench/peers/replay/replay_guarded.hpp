// SPDX-License-Identifier: MIT
// Plain maps of C++ with the interface of std::unordered_map, behind locks of the peer's choice.
#ifndef REPLAY_GUARDED_HPP
#define REPLAY_GUARDED_HPP

#include "replay_cpp.hpp"
#include <mutex>

// One map; the caller holds the lock that belongs to it.
template <typename Types, typename Table> class replay_plain {
    using Key = typename Types::Key;
    using Value = typename Types::Value;
    using KeyArgument = typename Types::KeyArgument;
    using ValueArgument = typename Types::ValueArgument;

  public:
    Table table;

    bool get(KeyArgument key, uint64_t *number) const {
        auto found = table.find(key);
        if (found == table.end())
            return false;
        *number = replay_number_of(found->second);
        return true;
    }
    void put(KeyArgument key, ValueArgument value) {
        auto found = table.find(key);
        if (found != table.end())
            found->second = value;
        else
            table.emplace(Key(key), Value(value));
    }
    bool insert(KeyArgument key, ValueArgument value) {
        if constexpr (std::is_same_v<Key, KeyArgument>)
            return table.emplace(key, value).second;
        else
            return table.find(key) == table.end() && table.emplace(Key(key), Value(value)).second;
    }
    bool remove(KeyArgument key) {
        auto found = table.find(key);
        if (found == table.end())
            return false;
        table.erase(found);
        return true;
    }
    uint64_t add(KeyArgument key) {
        return ++table[key];
    }
    void walk(replay_content *content) const {
        for (const auto &entry : table)
            replay_see(content, entry.first, entry.second);
    }
};

#endif
