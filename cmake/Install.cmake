# `cmake --install`: headers, libraries, the program, and a package for find_package(precis).
include(CMakePackageConfigHelpers)

install(TARGETS precis EXPORT precis-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/precis DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
