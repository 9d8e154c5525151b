// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "store/store_ids.h"
#include "store/stored_entry.h"

namespace precis {

// Memories in RAM, at most so many bytes of tensors: the least recently used leave first. Safe to
// use from several threads.
class RamCache {
 public:
  struct Item {
    Memory memory;
    EntryHeader header;
  };

  explicit RamCache(int64_t capacity) : capacity_(capacity) {}

  std::optional<Item> get(const EntryKey& key);  // a use
  // Replaces an item with this key. One larger than the capacity is not kept.
  void put(const EntryKey& key, Item item);
  void erase(const EntryKey& key);

  int64_t bytes() const;
  int64_t entries() const;
  int64_t evictions() const;

 private:
  using Items = std::list<std::pair<EntryKey, Item>>;

  void remove(Items::iterator item);  // with the lock held

  const int64_t capacity_;
  mutable std::mutex mutex_;
  Items items_;  // most recently used first
  std::map<EntryKey, Items::iterator> places_;
  int64_t bytes_ = 0;
  int64_t evictions_ = 0;
};

}  // namespace precis
