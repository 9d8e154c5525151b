# What finds faults while tests run. Presets: asan, tsan, fuzz.
set(PRECIS_SANITIZE OFF CACHE STRING "ON: AddressSanitizer and UndefinedBehaviorSanitizer; thread: ThreadSanitizer; OFF: none")
set_property(CACHE PRECIS_SANITIZE PROPERTY STRINGS OFF ON thread)
option(PRECIS_FUZZ "Let fuzz targets see which code an input passes through" OFF)

# PRECIS_SANITIZER_FLAGS: for whoever links the library, too.
set(PRECIS_SANITIZER_FLAGS)
if(PRECIS_SANITIZE STREQUAL thread)
  set(PRECIS_SANITIZER_FLAGS -fsanitize=thread)
  # One version of each kernel: the loader would choose by functions that run before ThreadSanitizer's own.
  add_compile_options(${PRECIS_SANITIZER_FLAGS} "-Dtarget_clones(...)=unused")
elseif(PRECIS_SANITIZE)
  set(PRECIS_SANITIZER_FLAGS -fsanitize=address,undefined)
  add_compile_options(${PRECIS_SANITIZER_FLAGS} -fno-sanitize-recover=undefined)
endif()
if(PRECIS_SANITIZE)
  add_compile_options(-fno-omit-frame-pointer)
  add_link_options(${PRECIS_SANITIZER_FLAGS})
endif()

# With clang libFuzzer drives the targets, else tests/fuzz/driver.cc does.
if(PRECIS_FUZZ AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  add_compile_options(-fsanitize=fuzzer-no-link)
elseif(PRECIS_FUZZ)
  add_compile_options(-fsanitize-coverage=trace-pc)
endif()
