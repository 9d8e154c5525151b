// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/store_ids.h"
#include "store/stored_entry.h"

namespace precis {

// The bytes of an entry as a backend has them: not verified.
struct StoredValue {
  std::shared_ptr<const void> owner;  // of the bytes
  std::span<const std::byte> bytes;
  StoreTime last_used;
  bool pinned = false;
  std::string origin;  // for messages
};

// What a backend knows of an entry without reading it.
enum class Presence { kPresent, kMissing, kUnknown };

// Held until it is destroyed; the system or a time limit releases it if the process is killed.
class BackendLock {
 public:
  virtual ~BackendLock() = default;
};

// A place where entries are kept. Methods may be called from several threads and processes at once.
// Only put() and pin() throw: everywhere else a failure is logged and counts as missing or unknown.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::optional<StoredValue> get(const EntryKey& key) = 0;
  // Replaces an entry with this key as a whole.
  virtual void put(const EntryKey& key, std::string_view value, const EntryHeader& header) = 0;
  // kPresent: there was one, which is gone now; kUnknown: it may still be there.
  virtual Presence erase(const EntryKey& key) = 0;
  // Erases the entry if `condition` holds for it as it is now, also if another process has just
  // replaced it. Returns whether it was erased.
  virtual bool erase_if(const EntryKey& key,
                        const std::function<bool(const StoredValue&)>& condition) = 0;
  // Records a use of the entry, of which `header` was read before; an expired one is missing.
  virtual Presence use(const EntryKey& key, const EntryHeader& header) = 0;
  // For one maker among processes. Null if another holds it for longer than `wait`.
  virtual std::unique_ptr<BackendLock> lock(const EntryKey& key,
                                            std::chrono::milliseconds wait) = 0;
  virtual std::vector<std::string> ids(const std::string& tenant) = 0;
  // False if there is none.
  virtual bool pin(const EntryKey& key, bool pinned) = 0;
};

}  // namespace precis
