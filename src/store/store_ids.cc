// SPDX-License-Identifier: Apache-2.0
#include "store/store_ids.h"

#include <bit>

#include "precis/store.h"
#include "store/sha256.h"

namespace precis {
namespace {

constexpr std::string_view kIdStart = "mem_";
constexpr size_t kHashDigits = 64;

bool are_hash_digits(std::string_view text) {
  return text.size() == kHashDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Enumerators and numbers alike; none is no value that options may have.
template <typename Value>
void add_optional(Sha256& hash, const std::optional<Value>& value) {
  hash.add(value ? static_cast<int64_t>(*value) : int64_t{-1});
}

void add_bits(Sha256& hash, double value) { hash.add(std::bit_cast<int64_t>(value)); }

// All but `progress`. The binding names every option, so that a new one does not compile here until
// it is hashed.
void add_options(Sha256& hash, const CompressOptions& options) {
  const auto& [ratio, chaining, segment, positions, refine_seconds, progress] = options;
  add_bits(hash, ratio.value_or(-1));
  hash.add(static_cast<int64_t>(chaining));
  add_optional(hash, segment);
  add_optional(hash, positions);
  add_bits(hash, refine_seconds);
}

}  // namespace

std::string tenant_hash(std::string_view tenant) {
  Sha256 hash;
  hash.add(std::string_view("precis.tenant.1"));
  hash.add(tenant);
  return hash.hex();
}

bool is_tenant_hash(std::string_view text) { return are_hash_digits(text); }

bool is_memory_id(std::string_view id) {
  return id.starts_with(kIdStart) && are_hash_digits(id.substr(kIdStart.size()));
}

std::string memory_id(std::string_view tenant, const MemorySource& source) {
  Sha256 hash;
  hash.add(std::string_view("precis.memory_source.1"));
  hash.add(tenant);
  for (const std::string_view field : {std::string_view(source.method),
                                       std::string_view(source.model_fingerprint),
                                       std::string_view(source.compressor_fingerprint),
                                       std::string_view(source.variant)})
    hash.add(field);
  add_options(hash, source.options);
  hash.add(std::as_bytes(source.prefix));
  hash.add(std::as_bytes(source.ids));
  return std::string(kIdStart) + hash.hex();
}

std::string memory_id(std::string_view tenant, const Memory& memory) {
  Sha256 hash;
  hash.add(std::string_view("precis.memory_bytes.1"));
  hash.add(tenant);
  hash.add(std::string_view(memory.serialize()));
  return std::string(kIdStart) + hash.hex();
}

}  // namespace precis
