# `cmake --install`: headers, libraries, the program, and a package for find_package(precis).
include(CMakePackageConfigHelpers)
set(PRECIS_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/precis)

install(TARGETS precis precis_extend EXPORT precis-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS precis_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/precis DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT precis-targets NAMESPACE precis:: DESTINATION ${PRECIS_PACKAGE_DIR})

configure_package_config_file(cmake/precis-config.cmake.in ${PROJECT_BINARY_DIR}/precis-config.cmake
  INSTALL_DESTINATION ${PRECIS_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/precis-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/precis-config.cmake ${PROJECT_BINARY_DIR}/precis-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/Torch.cmake DESTINATION ${PRECIS_PACKAGE_DIR})
