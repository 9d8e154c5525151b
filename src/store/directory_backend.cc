// SPDX-License-Identifier: Apache-2.0
#include "store/directory_backend.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "io/atomic_file.h"
#include "io/lock_file.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "store/tenant_folder.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

class MakerLock final : public BackendLock {
 public:
  MakerLock(const fs::path& file, std::chrono::milliseconds wait) : lock_(file, wait) {}

 private:
  LockFile lock_;
};

// Creates a directory, which then outlasts a crash. Returns whether it is new.
bool make_directory(const fs::path& path) {
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  PRECIS_CHECK(!error, kInvalidArgument, path.string(), ": cannot be created: ", error.message());
  if (is_new) flush_directory_of(path);
  return is_new;
}

// "store/" and "store" are one directory.
fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

StoreUsage usage_of(const fs::path& folder) {
  StoreUsage usage;
  for (const EntryFile& file : entry_files(folder)) {
    ++usage.entries;
    usage.bytes += file.bytes;
  }
  return usage;
}

void log_failure(const Error& error) { log(LogLevel::kWarning, concat("store: ", error.what())); }

}  // namespace

DirectoryBackend::DirectoryBackend(Options options) : options_(std::move(options)) {
  options_.directory = without_trailing_slash(options_.directory);
  std::error_code ignored;
  if (make_directory(options_.directory))
    fs::permissions(options_.directory, fs::perms::owner_all, ignored);
}

fs::path DirectoryBackend::folder_of(const std::string& tenant) const {
  return options_.directory / tenant;
}

fs::path DirectoryBackend::file_of(const EntryKey& key) const {
  return folder_of(key.tenant) / concat(key.id, kEntryEnd);
}

std::optional<StoredValue> DirectoryBackend::get(const EntryKey& key) {
  const auto entry = entry_file(folder_of(key.tenant), key.id);
  if (!entry) return std::nullopt;
  try {
    auto file = std::make_shared<const MappedFile>(MappedFile::open(file_of(key)));
    return StoredValue{file, file->bytes(), entry->last_used, entry->pinned, file->path().string()};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) log_failure(error);
    return std::nullopt;
  }
}

void DirectoryBackend::make_room(const EntryKey& key, int64_t bytes) {
  const int64_t quota = options_.tenant_quota_bytes;
  if (quota == 0) return;
  PRECIS_CHECK(bytes <= quota,
               kInvalidArgument,
               "store: the memory takes ",
               bytes,
               " bytes, the tenant's quota is ",
               quota,
               "; a higher compression ratio takes less");
  std::vector<EntryFile> files = entry_files(folder_of(key.tenant));
  std::erase_if(files, [&](const EntryFile& file) { return file.id == key.id; });
  const auto evicted = files_to_evict(std::move(files), quota - bytes);
  PRECIS_CHECK(evicted,
               kInvalidArgument,
               "store: the memory takes ",
               bytes,
               " bytes, pinned entries leave less of the tenant's quota of ",
               quota,
               "; unpin or erase some");
  for (const std::string& id : *evicted) {
    if (remove_entry(folder_of(key.tenant), id)) ++evictions_;
  }
}

void DirectoryBackend::put(const EntryKey& key, std::string_view value, const EntryHeader&) {
  const fs::path folder = folder_of(key.tenant);
  make_directory(folder);
  const LockFile lock(folder, options_.lock_wait);
  remove_leftovers(folder);
  make_room(key, static_cast<int64_t>(value.size()));
  write_text_file(file_of(key), value);
  set_last_used(file_of(key), options_.clock());
}

Presence DirectoryBackend::erase(const EntryKey& key) {
  const fs::path folder = folder_of(key.tenant);
  if (!remove_entry(folder, key.id))
    return entry_file(folder, key.id) ? Presence::kUnknown : Presence::kMissing;
  flush_directory_of(file_of(key));
  return Presence::kPresent;
}

bool DirectoryBackend::erase_if(const EntryKey& key,
                                const std::function<bool(const StoredValue&)>& condition) {
  const fs::path folder = folder_of(key.tenant);
  try {
    if (!entry_file(folder, key.id)) return false;
    const LockFile lock(folder, options_.lock_wait);
    const std::optional<StoredValue> value = get(key);
    return value && condition(*value) && remove_entry(folder, key.id);
  } catch (const Error& error) {
    log_failure(error);
    return false;
  }
}

Presence DirectoryBackend::use(const EntryKey& key, const EntryHeader& header) {
  const auto file = entry_file(folder_of(key.tenant), key.id);
  const StoreTime now = options_.clock();
  if (!file || (!file->pinned && header.is_expired(file->last_used, now)))
    return Presence::kMissing;
  return set_last_used(file_of(key), now) ? Presence::kPresent : Presence::kMissing;
}

std::unique_ptr<BackendLock> DirectoryBackend::lock(const EntryKey& key,
                                                    std::chrono::milliseconds wait) {
  try {
    make_directory(folder_of(key.tenant));
    return std::make_unique<MakerLock>(file_of(key), wait);
  } catch (const Error& error) {
    log_failure(error);
    return nullptr;
  }
}

std::vector<std::string> DirectoryBackend::ids(const std::string& tenant) {
  std::vector<std::string> ids;
  for (EntryFile& file : entry_files(folder_of(tenant))) ids.push_back(std::move(file.id));
  return ids;
}

bool DirectoryBackend::pin(const EntryKey& key, bool pinned) {
  const fs::path folder = folder_of(key.tenant), mark = folder / concat(key.id, kPinEnd);
  if (!entry_file(folder, key.id)) return false;
  const LockFile lock(folder, options_.lock_wait);
  if (!entry_file(folder, key.id)) return false;
  std::error_code error;
  if (pinned)
    write_text_file(mark, "");
  else
    fs::remove(mark, error);
  PRECIS_CHECK(!error, kInvalidArgument, mark.string(), ": cannot be removed: ", error.message());
  return true;
}

StoreUsage DirectoryBackend::usage(const std::string& tenant) const {
  return usage_of(folder_of(tenant));
}

StoreUsage DirectoryBackend::usage() const {
  StoreUsage all;
  std::error_code error;
  for (fs::directory_iterator entry(options_.directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!is_tenant_hash(entry->path().filename().string())) continue;
    const StoreUsage usage = usage_of(entry->path());
    all.entries += usage.entries;
    all.bytes += usage.bytes;
  }
  return all;
}

}  // namespace precis
