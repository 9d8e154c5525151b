// SPDX-License-Identifier: Apache-2.0
#include "store/store_contents.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

using std::chrono::milliseconds;

StoreTime system_time() {
  return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
}

StoreOptions checked(StoreOptions options) {
  PRECIS_CHECK(!options.directory.empty() || options.redis,
               kInvalidArgument,
               "store: needs a directory or Redis");
  PRECIS_CHECK(options.ram_bytes >= 0 && options.tenant_quota_bytes >= 0 &&
                   options.flight_wait >= milliseconds(0) && options.lock_wait >= milliseconds(0),
               kInvalidArgument,
               "store: bytes and times must not be negative");
  if (!options.clock) options.clock = system_time;
  return options;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Whether the tensor is on the CPU and keeps no more memory than its own.
bool stands_alone(const at::Tensor& tensor) {
  return tensor.is_cpu() && tensor.is_contiguous() && tensor.storage().nbytes() == tensor.nbytes();
}

// The memory for RAM; `bytes` are those of its entry.
Memory standing_alone(const Memory& memory, std::string_view bytes) {
  const MemoryTensors& tensors = memory.contents().tensors;
  const auto* soft = std::get_if<SoftTokens>(&tensors);
  const auto* cached = std::get_if<CachedTokens>(&tensors);
  const bool alone = soft != nullptr ? stands_alone(soft->embeddings)
                                     : stands_alone(cached->keys) && stands_alone(cached->values);
  return alone ? memory : Memory::deserialize(bytes);
}

bool is_expired(const StoredValue& value, const EntryHeader& header, StoreTime now) {
  return !value.pinned && header.is_expired(value.last_used, now);
}

StoreEntry describe(const EntryHeader& header, const StoredValue& value) {
  return {header.id,
          header.name,
          header.created_at,
          value.last_used,
          value.pinned ? std::nullopt : header.expires_at(value.last_used),
          value.pinned,
          header.source_tokens,
          header.memory_tokens,
          std::ssize(value.bytes),
          header.method,
          header.model_fingerprint};
}

// Whether the error is about the bytes that were read, rather than about this process.
bool is_damage(const Error& error) { return error.kind() != ErrorKind::kOutOfMemory; }

bool is_damaged(const StoredValue& value, const std::string& id) {
  try {
    read_header(value.bytes, id, value.origin);
    Memory::deserialize(text_of(value.bytes));
    return false;
  } catch (const Error& error) {
    return is_damage(error);
  }
}

}  // namespace

MemoryStore::Contents::Contents(const StoreOptions& given)
    : options(checked(given)), ram(options.ram_bytes) {
  if (!options.directory.empty()) {
    directory = std::make_unique<DirectoryBackend>(DirectoryBackend::Options{
        options.directory, options.tenant_quota_bytes, options.lock_wait, options.clock});
    levels.push_back({directory.get(), &disk_hits});
  }
  if (!options.redis) return;
  redis = std::make_unique<RedisBackend>(*options.redis, options.clock);
  levels.push_back({redis.get(), &redis_hits});
}

// A memory in RAM is served only while its entry exists, which another process may have erased.
// Where Redis does not answer, it is served.
std::optional<Memory> MemoryStore::Contents::from_ram(const EntryKey& key) {
  std::optional<RamCache::Item> item = ram.get(key);
  if (!item) return std::nullopt;
  if (first().use(key, item->header) == Presence::kMissing) {
    ram.erase(key);
    return std::nullopt;
  }
  return std::move(item->memory);
}

void MemoryStore::Contents::drop_expired(Backend& backend, const EntryKey& key) {
  const bool erased = backend.erase_if(key, [&](const StoredValue& value) {
    try {
      return is_expired(value, read_header(value.bytes, key.id, value.origin), options.clock());
    } catch (const Error&) {
      return false;
    }
  });
  if (erased) ++expired;
}

void MemoryStore::Contents::drop_damaged(Backend& backend,
                                         const EntryKey& key,
                                         const Error& error) {
  ++damaged;
  log(LogLevel::kWarning, concat("store: an entry is damaged and is removed: ", error.what()));
  backend.erase_if(key, [&](const StoredValue& value) { return is_damaged(value, key.id); });
}

std::optional<LoadedEntry> MemoryStore::Contents::load(Backend& backend, const EntryKey& key) {
  std::optional<StoredValue> value = backend.get(key);
  if (!value) return std::nullopt;
  try {
    EntryHeader header = read_header(value->bytes, key.id, value->origin);
    if (is_expired(*value, header, options.clock())) {
      drop_expired(backend, key);
      return std::nullopt;
    }
    Memory memory = Memory::deserialize(text_of(value->bytes));
    backend.use(key, header);
    return LoadedEntry{std::move(memory), std::move(header), *std::move(value)};
  } catch (const Error& error) {
    if (!is_damage(error)) throw;
    drop_damaged(backend, key, error);
    return std::nullopt;
  }
}

std::optional<Memory> MemoryStore::Contents::look_up(const EntryKey& key) {
  if (std::optional<Memory> memory = from_ram(key)) {
    ++ram_hits;
    return memory;
  }
  for (const StoreLevel& level : levels) {
    const std::optional<LoadedEntry> loaded = load(*level.backend, key);
    if (!loaded) continue;
    ++*level.hits;
    try {
      if (!is_first(level)) first().put(key, text_of(loaded->value.bytes), loaded->header);
    } catch (const Error& error) {
      log(LogLevel::kWarning, concat("store: cannot keep what Redis has: ", error.what()));
      return loaded->memory;
    }
    ram.put(key, {loaded->memory, loaded->header});
    return loaded->memory;
  }
  return std::nullopt;
}

StoreEntry MemoryStore::Contents::store(const EntryKey& key,
                                        const Memory& memory,
                                        const EntryOptions& entry_options) {
  const EntryHeader header = make_header(key.id, memory, entry_options, options.clock());
  const std::string bytes = entry_bytes(header, memory);
  for (const StoreLevel& level : levels) {
    try {
      level.backend->put(key, bytes, header);
    } catch (const Error& error) {
      if (is_first(level)) throw;
      log(LogLevel::kWarning, concat("store: ", error.what()));
    }
  }
  ram.put(key, {standing_alone(memory, bytes), header});
  const StoredValue value{nullptr, std::as_bytes(std::span(bytes)), header.created_at, false, {}};
  std::optional<StoreEntry> entry;  // with the pin of the entry that was replaced
  if (directory) entry = find_in(*directory, key);
  return entry ? *std::move(entry) : describe(header, value);
}

std::vector<std::unique_ptr<BackendLock>> MemoryStore::Contents::lock(const EntryKey& key) const {
  std::vector<std::unique_ptr<BackendLock>> locks;
  for (const StoreLevel& level : levels)
    locks.push_back(level.backend->lock(key, options.flight_wait));
  return locks;
}

// Whoever had the lock before may have made it.
StoreResult MemoryStore::Contents::find_or_make(const EntryKey& key,
                                                const std::function<Memory()>& make,
                                                const EntryOptions& entry_options) {
  const auto locks = lock(key);
  if (std::optional<Memory> memory = look_up(key)) return {*std::move(memory), true, nullptr};
  ++misses;
  ++made;
  StoreResult result{make(), false, nullptr};
  try {
    store(key, result.memory, entry_options);
  } catch (const Error& error) {
    log(LogLevel::kWarning, concat("store: a memory cannot be kept: ", error.what()));
    result.store_error = std::current_exception();
  }
  return result;
}

std::optional<StoreEntry> MemoryStore::Contents::find_in(Backend& backend,
                                                         const EntryKey& key) const {
  const std::optional<StoredValue> value = backend.get(key);
  if (!value) return std::nullopt;
  try {
    const EntryHeader header = read_header(value->bytes, key.id, value->origin);
    if (is_expired(*value, header, options.clock())) return std::nullopt;
    return describe(header, *value);
  } catch (const Error& error) {
    if (!is_damage(error)) throw;
    return std::nullopt;  // get() removes it
  }
}

}  // namespace precis
