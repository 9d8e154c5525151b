// SPDX-License-Identifier: Apache-2.0
#include "store/ram_cache.h"

#include <iterator>

namespace precis {

std::optional<RamCache::Item> RamCache::get(const EntryKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(key);
  if (found == places_.end()) return std::nullopt;
  items_.splice(items_.begin(), items_, found->second);
  return found->second->second;
}

void RamCache::remove(Items::iterator item) {
  bytes_ -= item->second.memory.bytes();
  places_.erase(item->first);
  items_.erase(item);
}

void RamCache::put(const EntryKey& key, Item item) {
  const std::lock_guard lock(mutex_);
  if (const auto found = places_.find(key); found != places_.end()) remove(found->second);
  const int64_t bytes = item.memory.bytes();
  if (bytes > capacity_) return;
  while (bytes_ > capacity_ - bytes) {
    remove(std::prev(items_.end()));
    ++evictions_;
  }
  items_.emplace_front(key, std::move(item));
  places_[key] = items_.begin();
  bytes_ += bytes;
}

void RamCache::erase(const EntryKey& key) {
  const std::lock_guard lock(mutex_);
  if (const auto found = places_.find(key); found != places_.end()) remove(found->second);
}

int64_t RamCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

int64_t RamCache::entries() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(items_.size());
}

int64_t RamCache::evictions() const {
  const std::lock_guard lock(mutex_);
  return evictions_;
}

}  // namespace precis
