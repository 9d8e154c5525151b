// SPDX-License-Identifier: Apache-2.0
#include "precis/store.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "io/in_quotes.h"
#include "io/translate_errors.h"
#include "store/store_contents.h"

namespace precis {
namespace {

EntryKey checked_key(std::string_view tenant, const std::string& id) {
  PRECIS_CHECK(is_memory_id(id),
               kInvalidArgument,
               "store: ",
               in_quotes(id),
               " is no id of a memory, expected \"mem_\" and 64 hexadecimal digits");
  return {tenant_hash(tenant), id};
}

}  // namespace

MemoryStore::MemoryStore(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
MemoryStore::MemoryStore(MemoryStore&&) noexcept = default;
MemoryStore& MemoryStore::operator=(MemoryStore&&) noexcept = default;
MemoryStore::~MemoryStore() = default;

MemoryStore MemoryStore::open(const StoreOptions& options) {
  return translate_errors([&] { return MemoryStore(std::make_unique<Contents>(options)); });
}

std::optional<Memory> MemoryStore::get(std::string_view tenant, const std::string& id) {
  return translate_errors([&] {
    std::optional<Memory> memory;
    if (is_memory_id(id)) memory = contents_->look_up({tenant_hash(tenant), id});
    if (!memory) ++contents_->misses;
    return memory;
  });
}

std::optional<StoreEntry> MemoryStore::find(std::string_view tenant, const std::string& id) const {
  return translate_errors([&]() -> std::optional<StoreEntry> {
    if (!is_memory_id(id)) return std::nullopt;
    for (const StoreLevel& level : contents_->levels) {
      if (auto entry = contents_->find_in(*level.backend, {tenant_hash(tenant), id})) return entry;
    }
    return std::nullopt;
  });
}

StoreEntry MemoryStore::put(std::string_view tenant,
                            const std::string& id,
                            const Memory& memory,
                            const EntryOptions& options) {
  return translate_errors(
      [&] { return contents_->store(checked_key(tenant, id), memory, options); });
}

bool MemoryStore::erase(std::string_view tenant, const std::string& id) {
  return translate_errors([&] {
    if (!is_memory_id(id)) return false;
    const EntryKey key{tenant_hash(tenant), id};
    bool erased = false, unknown = false;
    for (const StoreLevel& level : contents_->levels) {
      const Presence before = level.backend->erase(key);
      erased |= before == Presence::kPresent;
      unknown |= before == Presence::kUnknown;
    }
    contents_->ram.erase(key);
    PRECIS_CHECK(!unknown,
                 kInvalidArgument,
                 "store: ",
                 id,
                 " may still be there, since a place where it is kept does not answer; try again");
    return erased;
  });
}

std::vector<StoreEntry> MemoryStore::list(std::string_view tenant) const {
  return translate_errors([&] {
    const std::string hash = tenant_hash(tenant);
    std::vector<StoreEntry> entries;
    for (const std::string& id : contents_->first().ids(hash)) {
      if (auto entry = contents_->find_in(contents_->first(), {hash, id}))
        entries.push_back(*std::move(entry));
    }
    std::ranges::sort(entries, [](const StoreEntry& a, const StoreEntry& b) {
      return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id);
    });
    return entries;
  });
}

bool MemoryStore::pin(std::string_view tenant, const std::string& id, bool pinned) {
  return translate_errors([&] {
    return is_memory_id(id) && contents_->first().pin({tenant_hash(tenant), id}, pinned);
  });
}

StoreResult MemoryStore::get_or_make(std::string_view tenant,
                                     const std::string& id,
                                     const std::function<Memory()>& make,
                                     const EntryOptions& options) {
  return translate_errors([&] {
    check_entry_options(options);
    const EntryKey key = checked_key(tenant, id);
    if (std::optional<Memory> memory = contents_->look_up(key))
      return StoreResult{*std::move(memory), true, nullptr};
    return contents_->flights.run(key, [&] { return contents_->find_or_make(key, make, options); });
  });
}

StoreStatistics MemoryStore::statistics() const {
  const Contents& from = *contents_;
  StoreStatistics all;
  all.ram_hits = from.ram_hits;
  all.disk_hits = from.disk_hits;
  all.redis_hits = from.redis_hits;
  all.misses = from.misses;
  all.joined = from.flights.joined();
  all.made = from.made;
  all.evictions = from.directory ? from.directory->evictions() : 0;
  all.ram_evictions = from.ram.evictions();
  all.expired = from.expired;
  all.damaged = from.damaged;
  all.redis_errors = from.redis ? from.redis->errors() : 0;
  all.ram_entries = from.ram.entries();
  all.ram_bytes = from.ram.bytes();
  return all;
}

StoreUsage MemoryStore::usage(std::string_view tenant) const {
  return translate_errors([&] {
    return contents_->directory ? contents_->directory->usage(tenant_hash(tenant)) : StoreUsage{};
  });
}

StoreUsage MemoryStore::usage() const {
  return translate_errors(
      [&] { return contents_->directory ? contents_->directory->usage() : StoreUsage{}; });
}

}  // namespace precis
