// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/util/Exception.h>

#include <new>

#include "precis/error.h"

namespace precis {

// Runs `work` so that nothing but precis::Error comes out: the doors of the library go through
// here.
template <typename Work>
auto translate_errors(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::kOutOfMemory, "out of memory");
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorKind::kOutOfMemory, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    throw Error(ErrorKind::kInternal, error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kInternal, error.what());
  } catch (...) {
    throw Error(ErrorKind::kInternal, "a callback threw something that is no std::exception");
  }
}

}  // namespace precis
