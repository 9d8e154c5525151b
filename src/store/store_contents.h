// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "precis/store.h"
#include "store/directory_backend.h"
#include "store/ram_cache.h"
#include "store/redis_backend.h"
#include "store/single_flight.h"

namespace precis {

// What was read from a backend, verified.
struct LoadedEntry {
  Memory memory;
  EntryHeader header;
  StoredValue value;
};

// A backend, and how often something was found there.
struct StoreLevel {
  Backend* backend;
  std::atomic<int64_t>* hits;
};

// What a store consists of: RAM in front of one or two backends.
struct MemoryStore::Contents {
  explicit Contents(const StoreOptions& given);

  Backend& first() const { return *levels.front().backend; }
  bool is_first(const StoreLevel& level) const { return level.backend == levels.front().backend; }

  // RAM first, then level by level; what a later level has is copied to the first.
  std::optional<Memory> look_up(const EntryKey& key);
  std::optional<Memory> from_ram(const EntryKey& key);
  std::optional<LoadedEntry> load(Backend& backend, const EntryKey& key);
  void drop_expired(Backend& backend, const EntryKey& key);
  void drop_damaged(Backend& backend, const EntryKey& key, const Error& error);
  StoreEntry store(const EntryKey& key, const Memory& memory, const EntryOptions& entry_options);
  std::vector<std::unique_ptr<BackendLock>> lock(const EntryKey& key) const;
  StoreResult find_or_make(const EntryKey& key,
                           const std::function<Memory()>& make,
                           const EntryOptions& entry_options);
  std::optional<StoreEntry> find_in(Backend& backend, const EntryKey& key) const;

  const StoreOptions options;
  RamCache ram;
  SingleFlight flights;
  std::unique_ptr<DirectoryBackend> directory;
  std::unique_ptr<RedisBackend> redis;
  std::vector<StoreLevel> levels;  // in the order in which they are asked
  std::atomic<int64_t> ram_hits = 0, disk_hits = 0, redis_hits = 0, misses = 0, made = 0,
                       expired = 0, damaged = 0;
};

}  // namespace precis
