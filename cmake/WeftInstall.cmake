# SPDX-License-Identifier: MIT
# What `make install` installs: headers, both libraries, pkg-config and CMake packages, manual
# pages, and the binary.

include(CMakePackageConfigHelpers)

install(TARGETS weft weft_static EXPORT weft-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/weft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
        PATTERN "*.h" PATTERN "*.def")
if(TARGET weft-tool)
    install(TARGETS weft-tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    # What `weft bench` reads and starts; the template of its page is in the binary. Workloads are
    # files, since people read them to write their own.
    install(DIRECTORY bench/workloads DESTINATION ${CMAKE_INSTALL_DATADIR}/weft/bench
            FILES_MATCHING PATTERN "*.json")
    file(GLOB descriptions CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}" bench/peers/*/peer.toml)
    foreach(description IN LISTS descriptions)
        get_filename_component(folder "${description}" DIRECTORY)
        install(FILES "${description}" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft/${folder}")
    endforeach()
    install(TARGETS weft-peer RUNTIME DESTINATION ${peers_folder})
    install(FILES ${weft_peer_links} DESTINATION ${peers_folder})
endif()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION ${package_folder})
configure_package_config_file(packaging/weft-config.cmake.in weft-config.cmake
                              INSTALL_DESTINATION ${package_folder})
# Before 1.0 each minor version may differ from the last.
write_basic_package_version_file(weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/weft-config.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/weft-config-version.cmake" DESTINATION ${package_folder})

# The way from the folder of weft.pc back to the prefix, so that an installed tree can be moved.
file(RELATIVE_PATH PC_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" PC_PREFIX "${PC_PREFIX}")
configure_file(packaging/weft.pc.in weft.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/weft.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

file(GLOB manual_pages CONFIGURE_DEPENDS docs/man/*.3)
install(FILES ${manual_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
