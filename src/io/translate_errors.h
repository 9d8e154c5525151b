// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <string_view>

#include "precis/error.h"

namespace precis {

namespace detail {

// libtorch's CPU allocator throws a generic error that only its text identifies.
constexpr std::string_view kAllocator = "DefaultCPUAllocator: ";

inline bool is_out_of_memory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         std::string_view(error.what_without_backtrace()).find(kAllocator) !=
             std::string_view::npos;
}

// `reason`: the message of the allocator.
inline Error out_of_memory(std::string_view reason) {
  const size_t place = reason.find(kAllocator);  // follows a source location in libtorch
  if (place != std::string_view::npos) reason.remove_prefix(place + kAllocator.size());
  return Error(ErrorKind::kOutOfMemory,
               "out of memory" + std::string(reason.empty() ? "" : ": ") + std::string(reason) +
                   "; shorter texts, smaller batches and quantised weights take less");
}

}  // namespace detail

// Runs `work` and turns every exception into precis::Error. All public functions of the library use
// it.
template <typename Work>
auto translate_errors(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw detail::out_of_memory("");
  } catch (const c10::Error& error) {
    if (detail::is_out_of_memory(error))
      throw detail::out_of_memory(error.what_without_backtrace());
    throw Error(ErrorKind::kInternal, error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kInternal, error.what());
  } catch (...) {
    throw Error(ErrorKind::kInternal, "a callback threw something that is no std::exception");
  }
}

}  // namespace precis
