# SPDX-License-Identifier: MIT
# Flags that every object is compiled with, and one helper for each kind of target.

find_package(Threads REQUIRED)

add_library(weft_flags INTERFACE)
target_compile_features(weft_flags INTERFACE c_std_11)
target_compile_definitions(weft_flags INTERFACE _GNU_SOURCE WEFT_DEBUG=${WEFT_DEBUG})
target_compile_options(weft_flags INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes
                       -Wmissing-prototypes -Werror -fno-omit-frame-pointer)
target_link_libraries(weft_flags INTERFACE Threads::Threads)
if(WEFT_MUTANT)
    target_compile_definitions(weft_flags INTERFACE WEFT_MUTANT=${WEFT_MUTANT})
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(weft_flags INTERFACE -mcx16)
endif()
if(WEFT_SANITIZE)
    target_compile_options(weft_flags INTERFACE -fsanitize=${WEFT_SANITIZE}
                           -fno-sanitize-recover=all)
    target_link_options(weft_flags INTERFACE -fsanitize=${WEFT_SANITIZE})
    if(WEFT_SANITIZE STREQUAL "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_compile_options(weft_flags INTERFACE -Wno-tsan)
    endif()
endif()
if(WEFT_FUZZ)
    target_compile_options(weft_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# weft_sources(result folder...): the C files of some folders of the tree.
function(weft_sources result)
    set(found "")
    foreach(folder IN LISTS ARGN)
        file(GLOB files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.c")
        list(APPEND found ${files})
    endforeach()
    set(${result} ${found} PARENT_SCOPE)
endfunction()

# The settings that all of our own C code shares.
function(weft_own_code target)
    set_target_properties(${target} PROPERTIES C_EXTENSIONS ON C_VISIBILITY_PRESET hidden
                          POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${target} PRIVATE "${CMAKE_SOURCE_DIR}/include"
                               "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(${target} PRIVATE weft_flags)
endfunction()

function(weft_object_library target)
    add_library(${target} OBJECT ${ARGN})
    weft_own_code(${target})
endfunction()

# A static library that is never installed; its users see the internal headers.
function(weft_internal_library target)
    add_library(${target} STATIC ${ARGN})
    weft_own_code(${target})
    target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}/include"
                               "${CMAKE_SOURCE_DIR}/src")
endfunction()

# What users of libweft get: the public headers, and threads. Nothing else.
function(weft_public_library target)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${target} INTERFACE
        $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
    target_link_libraries(${target} PUBLIC Threads::Threads)
    if(WEFT_SANITIZE)
        target_link_options(${target} PUBLIC -fsanitize=${WEFT_SANITIZE})
    endif()
endfunction()

# The binary `name` in the root of the build folder. jemalloc, where it is and no sanitizer wants
# malloc.
function(weft_tool target name)
    add_executable(${target} ${ARGN})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY
                          "${CMAKE_BINARY_DIR}")
    weft_own_code(${target})
    target_link_libraries(${target} PRIVATE weft-bench weft-server weft_static)
    pkg_check_modules(jemalloc IMPORTED_TARGET jemalloc)
    if(jemalloc_FOUND AND NOT WEFT_SANITIZE)
        target_link_libraries(${target} PRIVATE PkgConfig::jemalloc)
        target_compile_definitions(${target} PRIVATE WEFT_HAVE_JEMALLOC=1)
    endif()
endfunction()
