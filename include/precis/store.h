// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precis/memory.h"
#include "precis/options.h"
#include "precis/token.h"

// A store of memories: each is made once for a text and found again by everybody of one tenant.
namespace precis {

// Everything that decides what a memory is.
struct MemorySource {
  std::string method = {};                  // as in Provenance
  std::string model_fingerprint = {};       // as in Provenance
  std::string compressor_fingerprint = {};  // as in Provenance
  CompressOptions options = {};             // without `progress`
  std::span<const TokenId> prefix = {};     // tokens that the compressor reads before the text
  std::span<const TokenId> ids = {};        // of the text
  std::string variant = {};                 // anything else that changes the memory
};

// The id under which a tenant's memory is stored: "mem_" and 64 hexadecimal digits, a SHA-256 over
// the tenant and all fields of the source, each with its length. Another tenant's memory of the
// same source has another id.
std::string memory_id(std::string_view tenant, const MemorySource& source);
// The id of a memory whose source is not known, such as an uploaded one: over the tenant and the
// memory's bytes.
std::string memory_id(std::string_view tenant, const Memory& memory);

using StoreTime = std::chrono::sys_time<std::chrono::milliseconds>;

// When an entry ceases to exist.
struct Expiry {
  enum class Anchor { kCreatedAt, kLastUsedAt };
  Anchor anchor = Anchor::kLastUsedAt;
  std::chrono::milliseconds after = {};  // time since the anchor, more than 0
};

struct EntryOptions {
  std::string name = {};              // for people; UTF-8, at most 512 bytes
  std::optional<Expiry> expiry = {};  // none: the entry does not expire
};

// What is known of a stored memory.
struct StoreEntry {
  std::string id = {};
  std::string name = {};
  StoreTime created_at = {};
  StoreTime last_used_at = {};
  std::optional<StoreTime> expires_at = {};  // none: never
  bool pinned = false;
  int64_t source_tokens = 0;  // tokens of the text
  int64_t memory_tokens = 0;
  int64_t bytes = 0;  // stored
  std::string method = {};
  std::string model_fingerprint = {};
};

struct RedisOptions {
  std::string host = {};
  int port = 6379;
  std::filesystem::path unix_socket = {};  // in place of host and port
  std::string password = {};               // none: no AUTH
  std::string prefix = "precis";           // of all keys: "precis:<hash of the tenant>:<id>"
  std::chrono::milliseconds timeout = std::chrono::seconds(2);  // of connecting and of each answer
  // After a failure Redis is left alone for this time, so that requests do not wait for it.
  std::chrono::milliseconds retry_after = std::chrono::seconds(1);
};

struct StoreOptions {
  std::filesystem::path directory = {};    // created if it is missing; empty: Redis only
  std::optional<RedisOptions> redis = {};  // behind the directory, or in its place
  int64_t ram_bytes = int64_t{1} << 30;    // of memories kept in RAM; 0: none
  int64_t tenant_quota_bytes = 0;          // of a tenant's files in the directory; 0: no limit
  // The longest wait for another process or machine that makes the same memory. After that it is
  // made twice.
  std::chrono::milliseconds flight_wait = std::chrono::minutes(2);
  // The longest wait for another process that changes the same tenant's directory.
  std::chrono::milliseconds lock_wait = std::chrono::seconds(10);
  std::function<StoreTime()> clock = {};  // for tests; none: the system's
};

// Since the store was opened. One get() or get_or_make() counts once among hits, misses and joined.
struct StoreStatistics {
  int64_t ram_hits = 0;
  int64_t disk_hits = 0;
  int64_t redis_hits = 0;
  int64_t misses = 0;
  int64_t joined = 0;     // waited for another thread that made the same memory
  int64_t made = 0;       // calls of `make`
  int64_t evictions = 0;  // from the directory, over quota
  int64_t ram_evictions = 0;
  int64_t expired = 0;       // entries that were removed for their age
  int64_t damaged = 0;       // entries that were removed, or could not be read
  int64_t redis_errors = 0;  // failed or refused calls; while it is left alone none are made
  int64_t ram_entries = 0;   // at present
  int64_t ram_bytes = 0;     // at present
};

struct StoreUsage {
  int64_t entries = 0;
  int64_t bytes = 0;  // of files in the directory
};

// Result of get_or_make().
struct StoreResult {
  Memory memory;
  bool cached = false;  // found, or made by another call; `make` was not called
  // The error of storing a memory that was made, e.g. one larger than the quota. The memory is
  // valid, but its id leads nowhere.
  std::exception_ptr store_error = nullptr;
};

// Memories by tenant and id, in RAM (least recently used leave first), in a directory and in Redis.
//
// A tenant sees its own entries only. Names of tenants do not appear in paths or keys, their hashes
// do. What is found is verified by its hashes; damaged entries are removed and count as missing. An
// entry is on the disk as a whole when put() returns, also after a crash. Several processes may use
// one directory. Redis serves machines that share no directory; one that is down or returns garbage
// counts as a miss, in the log and in the statistics.
//
// Methods are const where they change nothing that is stored, and all may be called from several
// threads at once. Files are as sensitive as the texts: a directory that the store creates is
// closed to other users.
class MemoryStore {
 public:
  // Throws kInvalidArgument without directory and Redis, for options out of range, and if the
  // directory cannot be created. Redis is first connected to when it is needed.
  static MemoryStore open(const StoreOptions& options);

  MemoryStore(MemoryStore&&) noexcept;
  MemoryStore& operator=(MemoryStore&&) noexcept;
  ~MemoryStore();

  // The memory, on the CPU; nullopt if the tenant has none with this id. Records the use.
  std::optional<Memory> get(std::string_view tenant, const std::string& id);
  // What is known of it, without recording a use.
  std::optional<StoreEntry> find(std::string_view tenant, const std::string& id) const;
  // Stores a memory, in place of one with the same id. Entries of the tenant that were not used for
  // longest are removed until it fits the quota; pinned ones stay. Throws kInvalidArgument for an
  // id that memory_id() does not return, a name or expiry out of range, an entry larger than the
  // quota or than what pinned entries leave of it, and if it cannot be written.
  StoreEntry put(std::string_view tenant,
                 const std::string& id,
                 const Memory& memory,
                 const EntryOptions& options = {});
  // False if there is none. Throws kInvalidArgument if the entry may still be there, because Redis
  // does not answer or a file cannot be removed.
  bool erase(std::string_view tenant, const std::string& id);
  // All entries of a tenant, oldest first. Not those that only Redis has, if there is a directory.
  std::vector<StoreEntry> list(std::string_view tenant) const;
  // A pinned entry is neither evicted nor does it expire. False if there is none. Throws
  // kUnsupported without a directory.
  bool pin(std::string_view tenant, const std::string& id, bool pinned = true);

  // The memory, or what `make` returns, which is stored. Concurrent calls for one tenant and id
  // call `make` once: the others wait and get its memory, or the error that it threw; after
  // kCancelled one of them makes it anew. Other processes and machines wait for
  // StoreOptions::flight_wait. Throws what `make` throws, and kInvalidArgument as put() does for
  // id, name and expiry. REQUIRES: `make` asks this store for no memory with the same id.
  StoreResult get_or_make(std::string_view tenant,
                          const std::string& id,
                          const std::function<Memory()>& make,
                          const EntryOptions& options = {});

  StoreStatistics statistics() const;
  StoreUsage usage(std::string_view tenant) const;  // of the directory
  StoreUsage usage() const;                         // of all tenants

 private:
  struct Contents;
  explicit MemoryStore(std::unique_ptr<Contents> contents);

  std::unique_ptr<Contents> contents_;
};

}  // namespace precis
