// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// Where an entry is: names are hashed, so that they are safe in paths and keys.
struct EntryKey {
  std::string tenant;  // tenant_hash()
  std::string id;      // is_memory_id()

  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

// 64 hexadecimal digits.
std::string tenant_hash(std::string_view tenant);

// Whether it has the form that memory_id() returns: ids come from outside.
bool is_memory_id(std::string_view id);
bool is_tenant_hash(std::string_view text);

}  // namespace precis
