# SPDX-License-Identifier: MIT
# Weft's own peer of the bench: one executable for its engines, under a name for each, in `peers` of
# the build folder. `make peers` builds the others there.

add_executable(weft-peer "${CMAKE_SOURCE_DIR}/bench/peers/weft-lockfree/weft.c")
set_target_properties(weft-peer PROPERTIES OUTPUT_NAME weft-lockfree C_EXTENSIONS ON
                      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/peers")
target_include_directories(weft-peer PRIVATE "${CMAKE_SOURCE_DIR}/bench/peers/replay")
target_link_libraries(weft-peer PRIVATE weft_flags weft_static)

# A link for each engine that is described as a peer, but the one that has the executable's name.
file(STRINGS "${CMAKE_SOURCE_DIR}/include/weft/engines.def" engine_lines REGEX "^WEFT_ENGINE")
set(weft_peer_links)
foreach(line IN LISTS engine_lines)
    string(REGEX REPLACE "^WEFT_ENGINE\\(([a-z]+),.*" "weft-\\1" link "${line}")
    if(NOT link STREQUAL "weft-lockfree" AND
       EXISTS "${CMAKE_SOURCE_DIR}/bench/peers/${link}/peer.toml")
        list(APPEND weft_peer_links "${CMAKE_BINARY_DIR}/peers/${link}")
        add_custom_command(TARGET weft-peer POST_BUILD COMMAND "${CMAKE_COMMAND}" -E create_symlink
                           weft-lockfree "${CMAKE_BINARY_DIR}/peers/${link}" VERBATIM)
    endif()
endforeach()
