// SPDX-License-Identifier: MIT
// What a good team builds in an afternoon: boost::unordered_flat_map in shards, a lock each.
// `spin` has a test-and-set lock that yields after a while, `shared` has std::shared_mutex.
#include "replay_guarded.hpp"
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/version.hpp>
#include <memory>
#include <sched.h>
#include <shared_mutex>

#define PEER_LANGUAGE "c++"
#define PEER_VERSION BOOST_LIB_VERSION
#define PEER_CONTROL 0

class spin_lock {
    std::atomic<bool> held{false};

  public:
    void lock() {
        for (unsigned tries = 0; held.exchange(true, std::memory_order_acquire);)
            while (held.load(std::memory_order_relaxed))
                if (++tries % 64 == 0)
                    sched_yield();
    }
    void unlock() {
        held.store(false, std::memory_order_release);
    }
    void lock_shared() {
        lock();
    }
    void unlock_shared() {
        unlock();
    }
};

#ifdef PEER_SHARED_MUTEX
using shard_lock = std::shared_mutex;
static const replay_identity peer_identities[] = {{"sharded-shared", "shared_mutex"}};
#else
using shard_lock = spin_lock;
static const replay_identity peer_identities[] = {{"sharded-flat", "spin"}};
#endif

template <typename Types> class peer_map {
    using KeyArgument = typename Types::KeyArgument;
    using ValueArgument = typename Types::ValueArgument;
    using table = boost::unordered_flat_map<typename Types::Key, typename Types::Value,
                                            typename Types::Hash, std::equal_to<>>;
    enum { SHARDS = 256 };
    struct alignas(128) shard {
        shard_lock lock;
        replay_plain<Types, table> plain;
    };
    std::unique_ptr<shard[]> shards{new shard[SHARDS]};

    // The flat map uses the top bits of the hash for the place and the lowest eight for the tag.
    shard &of(KeyArgument key) {
        return shards[typename Types::Hash()(key) >> 8 & (SHARDS - 1)];
    }

  public:
    explicit peer_map(unsigned) {
    }
    bool get(KeyArgument key, uint64_t *number) {
        shard &home = of(key);
        std::shared_lock<shard_lock> hold(home.lock);
        return home.plain.get(key, number);
    }
    void put(KeyArgument key, ValueArgument value) {
        shard &home = of(key);
        std::lock_guard<shard_lock> hold(home.lock);
        home.plain.put(key, value);
    }
    bool insert(KeyArgument key, ValueArgument value) {
        shard &home = of(key);
        std::lock_guard<shard_lock> hold(home.lock);
        return home.plain.insert(key, value);
    }
    bool remove(KeyArgument key) {
        shard &home = of(key);
        std::lock_guard<shard_lock> hold(home.lock);
        return home.plain.remove(key);
    }
    uint64_t add(KeyArgument key) {
        shard &home = of(key);
        std::lock_guard<shard_lock> hold(home.lock);
        return home.plain.add(key);
    }
    uint64_t count() {
        uint64_t sum = 0;
        for (unsigned i = 0; i < SHARDS; i++)
            sum += shards[i].plain.table.size();
        return sum;
    }
    void walk(replay_content *content) {
        for (unsigned i = 0; i < SHARDS; i++)
            shards[i].plain.walk(content);
    }
};

REPLAY_CPP(peer_map)

#include "replay_main.h"
