// SPDX-License-Identifier: MIT
// The control of C++: std::unordered_map under one std::mutex, with the standard library's hashes.
#include "replay_guarded.hpp"
#include <unordered_map>

#define PEER_LANGUAGE "c++"
#define PEER_CONTROL 1
#define PEER_LIBRARY(version) "libstdc++ " REPLAY_TEXT(version)
#define REPLAY_TEXT(version) #version
#define PEER_VERSION PEER_LIBRARY(_GLIBCXX_RELEASE)

static const replay_identity peer_identities[] = {{"cpp-mutex", "unordered_map"}};

struct usual_number_hash : std::hash<std::uint64_t> {};

struct usual_text_hash : std::hash<std::string_view> {
    using is_transparent = void;
};

template <typename Types> class peer_map {
    using KeyArgument = typename Types::KeyArgument;
    using ValueArgument = typename Types::ValueArgument;
    using Hash = std::conditional_t<std::is_same_v<Types, replay_numbers>, usual_number_hash,
                                    usual_text_hash>;
    using table =
        std::unordered_map<typename Types::Key, typename Types::Value, Hash, std::equal_to<>>;
    std::mutex mutex;
    replay_plain<Types, table> plain;

  public:
    explicit peer_map(unsigned) {
    }
    bool get(KeyArgument key, uint64_t *number) {
        std::lock_guard<std::mutex> hold(mutex);
        return plain.get(key, number);
    }
    void put(KeyArgument key, ValueArgument value) {
        std::lock_guard<std::mutex> hold(mutex);
        plain.put(key, value);
    }
    bool insert(KeyArgument key, ValueArgument value) {
        std::lock_guard<std::mutex> hold(mutex);
        return plain.insert(key, value);
    }
    bool remove(KeyArgument key) {
        std::lock_guard<std::mutex> hold(mutex);
        return plain.remove(key);
    }
    uint64_t add(KeyArgument key) {
        std::lock_guard<std::mutex> hold(mutex);
        return plain.add(key);
    }
    uint64_t count() {
        return plain.table.size();
    }
    void walk(replay_content *content) {
        plain.walk(content);
    }
};

REPLAY_CPP(peer_map)

#include "replay_main.h"
