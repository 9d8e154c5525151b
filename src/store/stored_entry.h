// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "precis/store.h"

namespace precis {

// An entry is stored as the file of its memory with further metadata: store_id, store_name,
// store_created_at and store_expires_after (milliseconds), store_expires_anchor,
// store_memory_tokens, and store_hash, a hash of all other metadata. The memory's content_hash,
// which is among these, covers the tensors.
struct EntryHeader {
  std::string id;
  std::string name;
  StoreTime created_at;
  std::optional<Expiry> expiry;
  int64_t source_tokens = 0;
  int64_t memory_tokens = 0;
  std::string method;
  std::string model_fingerprint;

  std::optional<StoreTime> expires_at(StoreTime last_used) const;  // nullopt: never
  bool is_expired(StoreTime last_used, StoreTime now) const;
};

// Throws kInvalidArgument for options out of range.
void check_entry_options(const EntryOptions& options);
EntryHeader make_header(const std::string& id,
                        const Memory& memory,
                        const EntryOptions& options,
                        StoreTime now);
std::string entry_bytes(const EntryHeader& header, const Memory& memory);

// Reads the metadata alone. Throws kBadWeights, naming `source`, if they are damaged or those of an
// entry with another id. `bytes` may be anything.
EntryHeader read_header(std::span<const std::byte> bytes,
                        const std::string& id,
                        const std::string& source);

}  // namespace precis
