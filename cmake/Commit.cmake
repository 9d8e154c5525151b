# Writes a header with the commit of a source tree, for `precis --version`; one that says so already is left as it is, so that
# nothing is compiled anew.  cmake -DSOURCE=TREE -DHEADER=FILE -P Commit.cmake
cmake_minimum_required(VERSION 3.25)
find_package(Git QUIET)
set(commit unknown)
if(GIT_FOUND)
  # The prefix is empty where the tree is a repository of its own rather than a folder in another's.
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} rev-parse --short=12 HEAD --show-prefix
                  OUTPUT_VARIABLE found RESULT_VARIABLE failed ERROR_QUIET)
  string(STRIP "${found}" found)
  if(NOT failed AND found MATCHES "^[0-9a-f]+$")
    set(commit ${found})
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} diff-index --quiet HEAD -- RESULT_VARIABLE changed ERROR_QUIET)
    if(changed)
      string(APPEND commit " and changes")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#pragma once\n#define PRECIS_COMMIT \"@commit@\"\n" @ONLY)
