// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/backend.h"
#include "store/redis_client.h"

namespace precis {

// Entries in Redis: the bytes of an entry under "<prefix>:<hash of the tenant>:<id>", with the
// entry's expiry as Redis's own, which uses of the entry in Redis renew where it is anchored at the
// last one. ":lock" at the end: held by the maker. There are no quotas and pins: Redis has a limit
// and an eviction policy of its own (maxmemory).
class RedisBackend final : public Backend {
 public:
  // Throws kInvalidArgument for options out of range.
  RedisBackend(RedisOptions options, std::function<StoreTime()> clock);

  std::optional<StoredValue> get(const EntryKey& key) override;
  void put(const EntryKey& key, std::string_view value, const EntryHeader& header) override;
  Presence erase(const EntryKey& key) override;
  bool erase_if(const EntryKey& key,
                const std::function<bool(const StoredValue&)>& condition) override;
  Presence use(const EntryKey& key, const EntryHeader& header) override;
  std::unique_ptr<BackendLock> lock(const EntryKey& key, std::chrono::milliseconds wait) override;
  std::vector<std::string> ids(const std::string& tenant) override;
  bool pin(const EntryKey& key, bool pinned) override;  // throws kUnsupported

  int64_t errors() const { return client_.errors(); }

 private:
  std::string name_of(const EntryKey& key) const;
  // An integer answer; nullopt for anything else.
  std::optional<long long> number(std::initializer_list<std::string_view> words);

  std::string prefix_;
  std::function<StoreTime()> clock_;
  RedisClient client_;
};

}  // namespace precis
