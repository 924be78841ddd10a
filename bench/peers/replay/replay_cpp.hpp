// SPDX-License-Identifier: MIT
// What peers in C++ share: hashes that look keys up as they lie in the trace, and the map that is
// behind each shape.
#ifndef REPLAY_CPP_HPP
#define REPLAY_CPP_HPP

#include "replay.h"
#include <string>
#include <string_view>
#define XXH_INLINE_ALL
#include <xxhash.h>

// `is_avalanching` tells Boost's maps not to mix once more.
struct replay_number_hash {
    using is_avalanching = void;
    std::size_t operator()(std::uint64_t key) const noexcept {
        return replay_hash(key);
    }
};

// `is_transparent`: a lookup needs no std::string of its own.
struct replay_text_hash {
    using is_avalanching = void;
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept {
        return XXH3_64bits(key.data(), key.size());
    }
};

static inline std::string_view replay_text(replay_bytes bytes) {
    return std::string_view(bytes.data, bytes.size);
}

static inline std::uint64_t replay_number_of(std::uint64_t value) {
    return value;
}

static inline std::uint64_t replay_number_of(const std::string &value) {
    return replay_number(value.data());
}

static inline void replay_see(replay_content *content, std::uint64_t key, std::uint64_t value) {
    replay_see_u64(content, key, value);
}

static inline void replay_see(replay_content *content, const std::string &key,
                              const std::string &value) {
    replay_see_bytes(content, replay_bytes{key.data(), key.size()}, value.data());
}

// The peer_… functions of both shapes from one class template: a peer defines peer_map<Types>, with
// open(which) as constructor, and get, put, insert, remove, count, settle, walk; the number shape
// also add. Types has Key, Value, Hash, and KeyArgument and ValueArgument as operations get them.
struct replay_numbers {
    using Key = std::uint64_t;
    using Value = std::uint64_t;
    using Hash = replay_number_hash;
    using KeyArgument = std::uint64_t;
    using ValueArgument = std::uint64_t;
};

struct replay_texts {
    using Key = std::string;
    using Value = std::string;
    using Hash = replay_text_hash;
    using KeyArgument = std::string_view;
    using ValueArgument = std::string_view;
};

#define REPLAY_CPP_SHAPE(SHAPE, KEY, VALUE, AS_KEY, AS_VALUE)                                      \
    static peer_##SHAPE##_map *peer_##SHAPE##_open(unsigned which) {                               \
        return new peer_##SHAPE##_map(which);                                                      \
    }                                                                                              \
    static void peer_##SHAPE##_close(peer_##SHAPE##_map *map) {                                    \
        delete map;                                                                                \
    }                                                                                              \
    static inline bool peer_##SHAPE##_get(peer_##SHAPE##_map *map, KEY key, uint64_t *number) {    \
        return map->get(AS_KEY(key), number);                                                      \
    }                                                                                              \
    static inline void peer_##SHAPE##_put(peer_##SHAPE##_map *map, KEY key, VALUE value) {         \
        map->put(AS_KEY(key), AS_VALUE(value));                                                    \
    }                                                                                              \
    static inline bool peer_##SHAPE##_insert(peer_##SHAPE##_map *map, KEY key, VALUE value) {      \
        return map->insert(AS_KEY(key), AS_VALUE(value));                                          \
    }                                                                                              \
    static inline bool peer_##SHAPE##_remove(peer_##SHAPE##_map *map, KEY key) {                   \
        return map->remove(AS_KEY(key));                                                           \
    }                                                                                              \
    static uint64_t peer_##SHAPE##_count(peer_##SHAPE##_map *map) {                                \
        return map->count();                                                                       \
    }                                                                                              \
    static void peer_##SHAPE##_settle(peer_##SHAPE##_map *) {                                      \
    }                                                                                              \
    static void peer_##SHAPE##_walk(peer_##SHAPE##_map *map, replay_content *content) {            \
        map->walk(content);                                                                        \
    }

#define REPLAY_CPP(MAP)                                                                            \
    typedef MAP<replay_numbers> peer_u64_map;                                                      \
    typedef MAP<replay_texts> peer_bytes_map;                                                      \
    REPLAY_CPP_SHAPE(u64, uint64_t, uint64_t, , )                                                  \
    REPLAY_CPP_SHAPE(bytes, replay_bytes, replay_bytes, replay_text, replay_text)                  \
    static inline uint64_t peer_u64_add(peer_u64_map *map, uint64_t key) {                         \
        return map->add(key);                                                                      \
    }                                                                                              \
    static inline void peer_enter(void) {                                                          \
    }                                                                                              \
    static inline void peer_leave(void) {                                                          \
    }                                                                                              \
    static inline void peer_pause(void) {                                                          \
    }

#endif
