# SPDX-License-Identifier: MIT
# The tests, found by their place and name:
#   tests/{unit,contract,fault,progress}/*_test.c   programs on the ordinary library
#   tests/lin/*_test.c                              programs on the schedule build of the library
#   tests/fuzz/*_fuzz.c                             fuzz targets, or replayers of the corpus
#   tests/{server,cli,tidy,install,model,cost}/*_test.py programs of Python
# The label of a test is the name of its folder.

find_package(PkgConfig REQUIRED)
pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
pkg_check_modules(hiredis IMPORTED_TARGET hiredis)
find_program(PYTHON NAMES /usr/bin/python3 python3 REQUIRED)

# The schedule build: the library again, with every atomic operation a point of the scheduler.
weft_internal_library(weft-sched ${library_sources})
target_compile_definitions(weft-sched PUBLIC WEFT_SCHED=1)

# What tests share; once for each build of the library.
weft_sources(harness_sources tests/harness)
foreach(flavour IN ITEMS "" -sched)
    if(harness_sources)
        weft_internal_library(weft-harness${flavour} ${harness_sources})
        target_include_directories(weft-harness${flavour} PUBLIC "${CMAKE_SOURCE_DIR}/tests")
    else()
        add_library(weft-harness${flavour} INTERFACE)
    endif()
endforeach()
if(harness_sources)
    target_link_libraries(weft-harness PUBLIC weft_static PkgConfig::cmocka)
    target_link_libraries(weft-harness-sched PUBLIC weft-sched PkgConfig::cmocka)
endif()

set(test_environment "WEFT_BINARY=${CMAKE_BINARY_DIR}/weft" "WEFT_SOURCE=${CMAKE_SOURCE_DIR}"
    "WEFT_BUILD=${CMAKE_BINARY_DIR}" "PYTHONDONTWRITEBYTECODE=1"
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1" "TSAN_OPTIONS=second_deadlock_stack=1")

# weft_register(kind name command...): a test of this kind. Its name is kind/name.
function(weft_register kind name)
    add_test(NAME ${kind}/${name} COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_BINARY_DIR}")
    set_tests_properties(${kind}/${name} PROPERTIES LABELS ${kind} TIMEOUT 900 ENVIRONMENT
                         "${test_environment}" SKIP_RETURN_CODE 77)
endfunction()

# weft_test_program(kind name source libraries...)
function(weft_test_program kind name source)
    string(REPLACE "-" "_" target "${kind}_${name}")
    add_executable(${target} "${source}")
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                          "${CMAKE_BINARY_DIR}/tests/${kind}" OUTPUT_NAME ${name})
    weft_own_code(${target})
    target_include_directories(${target} PRIVATE "${CMAKE_SOURCE_DIR}/tests"
                               "${CMAKE_SOURCE_DIR}/tools")
    target_link_libraries(${target} PRIVATE ${ARGN} PkgConfig::cmocka)
endfunction()

# What a program of tests/progress has beside its own file. Calls of malloc come to tests/progress,
# and all functions are bound before one is stepped through.
function(weft_stepped target)
    weft_sources(files tests/progress)
    list(FILTER files EXCLUDE REGEX "_test\\.c$")
    target_sources(${target} PRIVATE ${files})
    target_link_libraries(${target} PRIVATE ${CMAKE_DL_LIBS})
    target_link_options(${target} PRIVATE
                        "-Wl,-z,now,--wrap=malloc,--wrap=aligned_alloc,--wrap=free")
endfunction()

set(with_server "")
if(TARGET weft-server)
    set(with_server weft-bench weft-server)
endif()

foreach(kind IN ITEMS unit contract fault progress lin)
    set(libraries ${with_server} weft-harness weft_static)
    if(kind STREQUAL "lin" AND WEFT_SANITIZE STREQUAL "thread")
        continue() # the thread sanitizer knows nothing of fibers
    endif()
    if(kind STREQUAL "lin")
        set(libraries weft-harness-sched weft-sched)
    endif()
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/${kind}/*_test.c")
    foreach(file IN LISTS files)
        get_filename_component(name "${file}" NAME_WE)
        weft_test_program(${kind} ${name} "${file}" ${libraries})
        weft_register(${kind} ${name} ${kind}_${name})
        if(kind STREQUAL "progress")
            weft_stepped(${kind}_${name})
            set_tests_properties(${kind}/${name} PROPERTIES RUN_SERIAL TRUE) # deadlines
        endif()
    endforeach()
endforeach()

# The same once more, less often, with a map that is cleared while a thread stands still.
if(TARGET progress_progress_test)
    weft_register(progress cleared progress_progress_test --together --clear --every 16
                  --seconds 15)
    weft_register(progress sharded progress_progress_test --engine sharded --every 4 --seconds 20)
    set_tests_properties(progress/cleared progress/sharded PROPERTIES RUN_SERIAL TRUE)
endif()

if(TARGET weft-sched AND NOT WEFT_MUTANT AND NOT WEFT_SANITIZE)
    include(WeftMutants)
    # A million schedules of the flagship.
    foreach(shape IN ITEMS bytes u64)
        weft_register(lin million_${shape} lin_map_schedule_test LOCKFREE ${shape} 1 500000)
    endforeach()
endif()

# Fuzz targets. The corpus of x_fuzz.c is tests/fuzz/corpus/x.
file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.c")
foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" unit "${name}")
    set(corpus "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${unit}")
    weft_test_program(fuzz ${name} "${file}" ${with_server} weft-harness weft_static)
    set_source_files_properties("${file}" PROPERTIES COMPILE_OPTIONS -Wno-missing-prototypes)
    if(WEFT_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/found/${unit}")
        set(seeds "")
        if(IS_DIRECTORY "${corpus}")
            set(seeds "${corpus}")
        endif()
        # A finding's exit code is 77 else, which is that of a test to be skipped.
        weft_register(fuzz ${name} fuzz_${name} -max_total_time=${WEFT_FUZZ_SECONDS}
                      -error_exitcode=1 -print_final_stats=1
                      -artifact_prefix=${CMAKE_BINARY_DIR}/found/${unit}-
                      "found/${unit}" ${seeds})
        set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 0)
    else()
        target_sources(fuzz_${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c")
        weft_register(fuzz ${name} fuzz_${name} "${corpus}")
    endif()
endforeach()

# Examples: public headers only; each prints what NAME.expected beside it holds, and exits with 0.
weft_sources(examples examples)
foreach(file IN LISTS examples)
    get_filename_component(name "${file}" NAME_WE)
    add_executable(example_${name} "${file}")
    set_target_properties(example_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                          "${CMAKE_BINARY_DIR}/examples" OUTPUT_NAME ${name})
    target_link_libraries(example_${name} PRIVATE weft weft_flags)
    weft_register(example ${name} "${CMAKE_COMMAND}" "-DPROGRAM=$<TARGET_FILE:example_${name}>"
                  "-DEXPECTED=${CMAKE_SOURCE_DIR}/examples/${name}.expected" -P
                  "${CMAKE_SOURCE_DIR}/cmake/WeftCompare.cmake")
endforeach()

# Tests in Python.
foreach(kind IN ITEMS server cli tidy install model cost)
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/${kind}/*_test.py")
    foreach(file IN LISTS files)
        get_filename_component(name "${file}" NAME_WE)
        weft_register(${kind} ${name} "${PYTHON}" "${file}")
        if(kind STREQUAL "server") # times and rates are looked at: one of them at a time
            set_tests_properties(${kind}/${name} PROPERTIES RESOURCE_LOCK server)
        endif()
    endforeach()
endforeach()

# Small programs that the server tests start beside the server.
if(hiredis_FOUND)
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/server/*_client.c")
    foreach(file IN LISTS files)
        get_filename_component(name "${file}" NAME_WE)
        weft_test_program(server ${name} "${file}" PkgConfig::hiredis)
    endforeach()
endif()
