# Warnings for our own code; headers of others are SYSTEM.
add_library(precis_warnings INTERFACE)
target_compile_options(precis_warnings INTERFACE
  $<BUILD_INTERFACE:-Wall> $<BUILD_INTERFACE:-Wextra> $<BUILD_INTERFACE:-Wshadow=local> $<BUILD_INTERFACE:-Wnon-virtual-dtor>)
