// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace precis {

// Reads little-endian values from untrusted bytes, checking bounds on every access. In messages
// `source` names the file and `what` the value being read.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string source)
      : bytes_(bytes), source_(std::move(source)) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  const std::string& source() const { return source_; }

  std::span<const std::byte> take(uint64_t size, std::string_view what) {
    if (size > remaining()) {
      reject(what, " takes ", size, " bytes, but only ", remaining(), " are left");
    }
    const auto taken = bytes_.subspan(position_, size);
    position_ += size;
    return taken;
  }

  template <typename Number>
  Number number(std::string_view what) {
    Number value;
    std::memcpy(&value, take(sizeof(value), what).data(), sizeof(value));
    return value;
  }

  // Reads the number of items that follow, each of at least `min_size` bytes. Refused, before any
  // memory is allocated for them, if the rest of the file cannot hold so many.
  uint64_t count(uint64_t min_size, std::string_view what) {
    const auto value = number<uint64_t>(what);
    if (value > remaining() / min_size) {
      reject(what, " is ", value, ", but only ", remaining(), " bytes are left");
    }
    return value;
  }

  // Reads a length, then so many bytes.
  std::string_view text(std::string_view what) {
    const auto bytes = take(number<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  template <typename... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    fail(ErrorKind::kBadWeights, source_, ": ", parts...);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string source_;
  size_t position_ = 0;
};

}  // namespace precis
