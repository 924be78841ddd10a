# SPDX-License-Identifier: MIT
# Seeded faults: each stands in the code as #if WEFT_MUTANT == number, and must be found by the
# schedules of a test. A fault that is not found says that the test is too weak.

# weft_mutant_of(number file test suffix argument...): a schedule test with one file of the library
# compiled with the fault; the arguments say where to look for it.
function(weft_mutant_of number file test suffix)
    get_filename_component(unit "${file}" NAME_WE)
    set(name mutant_${number}_${unit}${suffix})
    weft_test_program(lin ${name} "${CMAKE_SOURCE_DIR}/tests/lin/${test}.c"
                      weft-harness-sched weft-sched)
    # Its own object of the file goes before the one in the library.
    target_sources(lin_${name} PRIVATE "${CMAKE_SOURCE_DIR}/${file}")
    target_compile_definitions(lin_${name} PRIVATE WEFT_MUTANT=${number})
    weft_register(lin ${name} lin_${name} --find ${ARGN})
endfunction()

# weft_mutant(number file engine shape [from]): by the programs of this engine and shape; seeds from
# `from` on, 1 otherwise.
function(weft_mutant number file engine shape)
    set(from 1 ${ARGN})
    list(GET from -1 from)
    weft_mutant_of(${number} ${file} map_schedule_test _${shape} ${engine} ${shape} ${from} 1500000)
endfunction()

# weft_mutant_of_unit(number file test): a fault that takes no second thread; the test must fail.
function(weft_mutant_of_unit number file test)
    get_filename_component(unit "${file}" NAME_WE)
    set(name mutant_${number}_${unit})
    weft_test_program(unit ${name} "${CMAKE_SOURCE_DIR}/tests/unit/${test}.c" weft-harness
                      weft_static)
    target_sources(unit_${name} PRIVATE "${CMAKE_SOURCE_DIR}/${file}")
    target_compile_definitions(unit_${name} PRIVATE WEFT_MUTANT=${number})
    weft_register(unit ${name} unit_${name})
    set_tests_properties(unit/${name} PROPERTIES WILL_FAIL TRUE)
endfunction()

# weft_mutant_of_stops(number file engine shape operation): a fault that shows where a thread is
# stopped after each instruction of the operation; the test must fail.
function(weft_mutant_of_stops number file engine shape operation)
    get_filename_component(unit "${file}" NAME_WE)
    string(REPLACE "-" "_" name "mutant_${number}_${unit}_${operation}")
    weft_test_program(progress ${name} "${CMAKE_SOURCE_DIR}/tests/progress/progress_test.c"
                      weft-harness weft_static)
    weft_stepped(progress_${name})
    target_sources(progress_${name} PRIVATE "${CMAKE_SOURCE_DIR}/${file}")
    target_compile_definitions(progress_${name} PRIVATE WEFT_MUTANT=${number})
    weft_register(progress ${name} progress_${name} --engine ${engine} --shape ${shape}
                  --op ${operation} --every 1)
    set_tests_properties(progress/${name} PROPERTIES WILL_FAIL TRUE)
endfunction()

weft_mutant_of_stops(58 src/engine/sharded.c sharded u64 get-narrow)  # as below, by vectors
weft_mutant_of_stops(58 src/engine/sharded.c sharded u64 get-crowded) # and through links
weft_mutant_of_unit(62 src/engine/plain.c plain_test) # shrinks what has just grown
weft_mutant_of_unit(66 src/engine/plain.c plain_test) # looks only where a table moves to
weft_mutant(1 src/engine/lockfree.c LOCKFREE bytes) # loses updates
weft_mutant(1 src/map/write.c LOCKFREE bytes)       # loses updates
weft_mutant(1 src/engine/rwlock.c RWLOCK u64)       # loses updates
weft_mutant(2 src/reclaim/epoch.c LOCKFREE u64)     # frees one epoch early
weft_mutant(3 src/engine/lockfree.c LOCKFREE bytes) # fills slots that are still valid
weft_mutant(4 src/engine/lockfree_move.c LOCKFREE bytes) # updates slip into buckets that have moved
weft_mutant(5 src/engine/lockfree.c LOCKFREE bytes) # believes a look that was disturbed
weft_mutant(6 src/engine/lockfree.c LOCKFREE u64)   # lets announced inserts go on
weft_mutant(7 src/engine/lockfree_move.c LOCKFREE u64)   # announced inserts slip into moved buckets
weft_mutant(8 src/map/u64map.c LOCKFREE u64)        # inserts beside one that was announced
weft_mutant(9 src/map/u64map.c LOCKFREE u64)        # tells the value of another key
weft_mutant(63 src/map/u64map.c LOCKFREE u64)       # does not look into the overflow block
weft_mutant(65 src/map/u64map.c LOCKFREE u64)       # does not look into a full line again
weft_mutant(64 src/map/u64map.c LOCKFREE u64)       # believes a lookup that was disturbed
weft_mutant(10 src/engine/lockfree_snapshot.c LOCKFREE u64) # believes what may change late
weft_mutant(11 src/engine/lockfree_snapshot.c LOCKFREE u64) # opens the door without waiting
weft_mutant(12 src/engine/lockfree.c LOCKFREE bytes)        # writes into buckets of an image
weft_mutant(13 src/map/snapshot.c LOCKFREE bytes)           # frees what a snapshot shows
weft_mutant(14 src/map/u64map.c LOCKFREE u64 1000000000000) # announces itself on another toggle
weft_mutant(15 src/map/u64many.c LOCKFREE u64)              # looks behind a closed door
weft_mutant_of(16 src/map/bury.c bury_schedule_test "" 1000000) # gives a piece back twice
weft_mutant_of(17 src/map/bury.c bury_schedule_test "" 1000000) # frees what others look at
weft_mutant(19 src/engine/lockfree.c LOCKFREE u64)   # copies slots that others still change
weft_mutant(19 src/engine/lockfree.c LOCKFREE bytes) # the same
weft_mutant_of(20 src/engine/lockfree.c script_schedule_test "" unborn_engine) # what never was
weft_mutant_of(20 src/map/write.c script_schedule_test "" unborn)       # the same
weft_mutant_of(20 src/map/map.c script_schedule_test "" unborn_get)     # the same
weft_mutant_of(18 src/engine/lockfree.c script_schedule_test "" half) # looks at freed entries
weft_mutant_of(21 src/engine/lockfree.c script_schedule_test "" late_lookup) # marks to come
weft_mutant_of(23 src/engine/lockfree_snapshot.c script_schedule_test "" closed_doors) # stay closed
weft_mutant_of(22 src/engine/lockfree_snapshot.c script_schedule_test "" late_image) # shows them
weft_mutant(60 src/map/write.c LOCKFREE bytes) # overtaken by a write that asked what was there
weft_mutant(61 src/map/write.c LOCKFREE bytes) # … by one that was there before
weft_mutant(51 src/engine/rwlock.c RWLOCK bytes 2000) # the bias looks over while it is given
weft_mutant(52 src/engine/sharded.c SHARDED bytes)  # believes that nothing has changed since find
weft_mutant(53 src/engine/sharded.c SHARDED u64)    # moves all keys to one half of a shard
weft_mutant(58 src/engine/sharded.c SHARDED u64)    # believes in what it saw while others wrote
weft_mutant(58 src/engine/sharded.c SHARDED bytes)  # the same
weft_mutant(57 src/engine/sharded.c SHARDED u64)    # locks what has changed since it looked
weft_mutant_of(54 src/engine/sharded_batch.c write_batch_schedule_test "" SHARDED 100000) # half
weft_mutant(45 src/engine/hybrid.c HYBRID u64)   # misses a key that was promoted meanwhile
weft_mutant(46 src/engine/hybrid.c HYBRID u64)   # tells the value of a key promoted since
weft_mutant(47 src/engine/hybrid.c HYBRID u64)   # loses updates of a key on its way out
weft_mutant(48 src/engine/hybrid.c HYBRID u64)   # leaves a key in both tiers
weft_mutant(49 src/engine/hybrid.c HYBRID bytes) # writes into the table beside a hot key
weft_mutant(35 src/engine/trie.c TRIE u64)   # writes slip into a leaf that has an heir
weft_mutant(36 src/engine/trie.c TRIE u64)   # takes a leaf away into which a key may come
weft_mutant(37 src/engine/trie.c TRIE bytes) # forgets the versions of keys that are gone
weft_mutant(38 src/engine/list.c LIST bytes) # does not see that the key came and went
weft_mutant(39 src/engine/list.c LIST u64)   # updates a node that is marked
weft_mutant(30 src/engine/twotier_tier.c TWOTIER u64)   # leaves removed keys out, and tells nobody
weft_mutant(31 src/engine/twotier.c TWOTIER u64)        # forgets that dirty may be read by now
weft_mutant(32 src/engine/twotier.c TWOTIER u64)        # tells the value of another state
weft_mutant(33 src/engine/twotier_tier.c TWOTIER bytes) # gives back boxes that are in use again
weft_mutant(34 src/engine/twotier.c TWOTIER bytes)      # loses who comes back with the read tier
weft_mutant(40 src/engine/cow.c COW u64)                    # frees a version under its readers
weft_mutant(41 src/engine/cow.c COW u64)                    # two writers copy the same version
weft_mutant_of(42 src/engine/cow.c write_batch_schedule_test "" COW 100000) # publishes half a batch
weft_mutant(43 src/engine/cow.c COW bytes)                  # takes a snapshot without looking again
weft_mutant(44 src/engine/fixed.c FIXED u64)                # reads a claim for a value
weft_mutant(50 src/engine/fixed.c FIXED u64)                # two inserts of a key both succeed
