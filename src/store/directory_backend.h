// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <filesystem>

#include "store/backend.h"

namespace precis {

// Entries in a directory, in a folder for each tenant, named by the tenant's hash:
//
// - <id>.safetensors: the entry. Its time of modification is that of its last use.
// - <id>.pin: an empty file; the entry is pinned.
// - .precis-lock: held while a process adds or removes entries.
// - .<id>.safetensors.precis-lock: held while a process makes the memory.
class DirectoryBackend final : public Backend {
 public:
  struct Options {
    std::filesystem::path directory;
    int64_t tenant_quota_bytes = 0;  // 0: no limit
    std::chrono::milliseconds lock_wait{};
    std::function<StoreTime()> clock;
  };

  // Throws kInvalidArgument if the directory cannot be created.
  explicit DirectoryBackend(Options options);

  std::optional<StoredValue> get(const EntryKey& key) override;
  void put(const EntryKey& key, std::string_view value, const EntryHeader& header) override;
  Presence erase(const EntryKey& key) override;
  bool erase_if(const EntryKey& key,
                const std::function<bool(const StoredValue&)>& condition) override;
  Presence use(const EntryKey& key, const EntryHeader& header) override;
  std::unique_ptr<BackendLock> lock(const EntryKey& key, std::chrono::milliseconds wait) override;
  std::vector<std::string> ids(const std::string& tenant) override;
  bool pin(const EntryKey& key, bool pinned) override;

  StoreUsage usage(const std::string& tenant) const;
  StoreUsage usage() const;
  int64_t evictions() const { return evictions_; }

 private:
  std::filesystem::path folder_of(const std::string& tenant) const;
  std::filesystem::path file_of(const EntryKey& key) const;
  void make_room(const EntryKey& key, int64_t bytes);

  Options options_;
  std::atomic<int64_t> evictions_ = 0;
};

}  // namespace precis
