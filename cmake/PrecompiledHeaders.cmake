# Headers of others that many of our files read, compiled once: ATen alone takes 7 seconds a file otherwise. Every file
# still includes what it uses: -DPRECIS_PRECOMPILED_HEADERS=OFF must build.
set(PRECIS_COMMON_HEADERS <algorithm> <cstdint> <filesystem> <memory> <optional> <span> <string> <string_view> <vector>
  <nlohmann/json.hpp> <ATen/ATen.h>)

# precis_precompile(TARGET [OWNER]): the headers of OWNER, which compiles them; without an owner, TARGET does.
function(precis_precompile target)
  if(NOT PRECIS_PRECOMPILED_HEADERS)
    return()
  endif()
  if(ARGC EQUAL 1)
    target_precompile_headers(${target} PRIVATE ${PRECIS_COMMON_HEADERS})
  else()
    target_precompile_headers(${target} REUSE_FROM ${ARGV1})
    # The compiler takes them only with the flags that they were compiled with; a program would get -fPIE.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  # So that ccache sees what the compiler read.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endfunction()
