# libtorch out of the pinned PyPI wheel, as hand-written imported targets: find_package(Torch) insists on a CUDA toolkit
# where the wheel was built with one, and sets flags for everybody.
#
# PRECIS_TORCH_DIR: the wheel's torch/ folder (holds include/ and lib/).
include_guard(GLOBAL)
if(NOT PRECIS_TORCH_DIR)
  file(GLOB _candidates "${CMAKE_CURRENT_LIST_DIR}/../.deps/venv/lib/python3*/site-packages/torch")
  if(_candidates)
    list(GET _candidates 0 _first)
    set(PRECIS_TORCH_DIR "${_first}" CACHE PATH "torch/ folder of the PyPI wheel" FORCE)
  endif()
endif()
if(NOT EXISTS "${PRECIS_TORCH_DIR}/lib/libtorch_cpu.so" OR NOT EXISTS "${PRECIS_TORCH_DIR}/lib/libgomp.so.1")
  message(FATAL_ERROR "libtorch is missing: run third_party/install.sh, or set PRECIS_TORCH_DIR to a torch 2.11 folder")
endif()
set(PRECIS_NVIDIA_DIR "${PRECIS_TORCH_DIR}/../nvidia/cu13/lib")

function(precis_import_torch name)
  add_library(precis_${name} SHARED IMPORTED GLOBAL)
  set_target_properties(precis_${name} PROPERTIES IMPORTED_LOCATION "${PRECIS_TORCH_DIR}/lib/lib${name}.so"
                                                  IMPORTED_NO_SONAME TRUE)
endfunction()
precis_import_torch(c10)
precis_import_torch(torch_cpu)
# Its own OpenMP: a second one in the process would keep threads of its own.
add_library(precis_gomp SHARED IMPORTED GLOBAL)
set_target_properties(precis_gomp PROPERTIES IMPORTED_LOCATION "${PRECIS_TORCH_DIR}/lib/libgomp.so.1")

# The libraries, for whatever links Precis.
add_library(precis_torch_libraries INTERFACE)
target_link_libraries(precis_torch_libraries INTERFACE
  $<BUILD_INTERFACE:precis_torch_cpu> $<BUILD_INTERFACE:precis_c10> $<BUILD_INTERFACE:precis_gomp>)
# The wheel's libraries find their CUDA run-time by their own path; the linker has to be told.
target_link_options(precis_torch_libraries INTERFACE
  $<BUILD_INTERFACE:-Wl,-rpath,${PRECIS_TORCH_DIR}/lib> $<BUILD_INTERFACE:-Wl,-rpath-link,${PRECIS_NVIDIA_DIR}>)
if(PRECIS_CUDA)
  precis_import_torch(c10_cuda)
  precis_import_torch(torch_cuda)
  # Nothing of ours names a symbol of libtorch_cuda: it registers its kernels when it is loaded, so the link is forced.
  # The CUDA run-time is the wheel's: one in a process.
  add_library(precis_cudart SHARED IMPORTED GLOBAL)
  set_target_properties(precis_cudart PROPERTIES IMPORTED_LOCATION "${PRECIS_NVIDIA_DIR}/libcudart.so.13")
  target_link_libraries(precis_torch_libraries INTERFACE $<BUILD_INTERFACE:precis_c10_cuda> $<BUILD_INTERFACE:precis_cudart>)
  target_link_options(precis_torch_libraries INTERFACE
    $<BUILD_INTERFACE:-Wl,--no-as-needed,${PRECIS_TORCH_DIR}/lib/libtorch_cuda.so,--as-needed>)
endif()

# The headers, and the libraries: for sources that include ATen.
add_library(precis_torch INTERFACE)
target_include_directories(precis_torch SYSTEM INTERFACE
  $<BUILD_INTERFACE:${PRECIS_TORCH_DIR}/include>
  $<BUILD_INTERFACE:${PRECIS_TORCH_DIR}/include/torch/csrc/api/include>)
target_link_libraries(precis_torch INTERFACE precis_torch_libraries)
