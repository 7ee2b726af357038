# SPDX-License-Identifier: BSD-2-Clause
# What `make install` and the .deb carry: libraries, headers, find_package and pkg-config files,
# the program, its manual pages.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Internal names carry no project prefix, so an archive that leaves the house is one object in
# which everything hidden has become local: it exports estab_* and collides with nothing.
set(sealed_dir ${CMAKE_BINARY_DIR}/sealed)
function(add_sealed name library)
  set(object ${sealed_dir}/${name}.o)
  set(archive ${sealed_dir}/lib${name}.a)
  add_custom_command(OUTPUT ${archive}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${sealed_dir}
    COMMAND ${CMAKE_LINKER} -r -o ${object} --whole-archive $<TARGET_FILE:${library}>
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
    COMMAND ${CMAKE_AR} rcs ${archive} ${object}
    DEPENDS ${library} VERBATIM)
  add_custom_target(sealed_${name} ALL DEPENDS ${archive})
  install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

add_sealed(estab estab)
if(TARGET estab_host)
  add_sealed(estab_host estab_host)
endif()

add_sealed(estab_channel estab_channel)
if(TARGET estab_posix)
  add_sealed(estab_posix estab_posix)
endif()

if(TARGET estab_sim)
  add_sealed(estab_sim estab_sim)
  install(TARGETS estab_packetdrill LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

option(ESTAB_SHARED "build libestab.so as well" OFF)
if(ESTAB_SHARED)
  add_library(estab_shared SHARED $<TARGET_OBJECTS:estab_core>)
  set_target_properties(estab_shared PROPERTIES OUTPUT_NAME estab VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR})
  install(TARGETS estab_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

install(DIRECTORY include/estab DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
  PATTERN "*.h")

configure_package_config_file(cmake/estabConfig.cmake.in estabConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/estab
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(estabConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/estabConfig.cmake ${CMAKE_BINARY_DIR}/estabConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/estab)

# The prefix is where the file is found, so the tree may be moved or packed.
string(JOIN " " estab_xdp_flags ${estab_xdp_libs})
file(RELATIVE_PATH estab_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/estab.pc.in estab.pc @ONLY)
configure_file(cmake/estab-channel.pc.in estab-channel.pc @ONLY)
configure_file(cmake/estab-posix.pc.in estab-posix.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/estab.pc ${CMAKE_BINARY_DIR}/estab-channel.pc
  ${CMAKE_BINARY_DIR}/estab-posix.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET estab_cli)
  install(TARGETS estab_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET estab-bench) # what `estab bench` runs
  install(TARGETS estab-bench RUNTIME DESTINATION libexec/estab)
endif()
foreach(section 1 3 5 7 8)
  file(GLOB pages CONFIGURE_DEPENDS man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endif()
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME estab)
set(CPACK_PACKAGE_CONTACT "the estab authors")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
