// SPDX-License-Identifier: Apache-2.0
#include "store/tenant_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <system_error>
#include <tuple>

#include "base/check.h"
#include "io/drafts.h"
#include "io/lock_file.h"
#include "store/store_ids.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLockStart = ".", kLockEnd = ".safetensors.precis-lock";

// The id in a file's name; empty for other files.
std::string id_in(std::string_view name, std::string_view start, std::string_view end) {
  if (!name.starts_with(start) || !name.ends_with(end)) return {};
  if (name.size() < start.size() + end.size()) return {};
  const std::string_view id = name.substr(start.size(), name.size() - start.size() - end.size());
  return is_memory_id(id) ? std::string(id) : std::string();
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    names.push_back(entry->path().filename().string());
  return names;
}

StoreTime time_of(const timespec& time) {
  using std::chrono::duration_cast;
  return StoreTime(duration_cast<std::chrono::milliseconds>(
      std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

bool is_there(const fs::path& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0;
}

fs::path file_in(const fs::path& folder, const std::string& id, std::string_view end) {
  return folder / concat(id, end);
}

void remove_left_lock(const fs::path& folder, const std::string& id) {
  try {  // takes the lock for a moment, and removes its file with it if it is free
    check_unlocked(file_in(folder, id, kEntryEnd), std::chrono::milliseconds(0));
  } catch (const Error&) {  // held
  }
}

}  // namespace

std::optional<EntryFile> entry_file(const fs::path& folder, const std::string& id) {
  struct stat status = {};
  if (::lstat(file_in(folder, id, kEntryEnd).c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return std::nullopt;
  return EntryFile{
      id, status.st_size, time_of(status.st_mtim), is_there(file_in(folder, id, kPinEnd))};
}

std::vector<EntryFile> entry_files(const fs::path& folder) {
  std::vector<EntryFile> files;
  for (const std::string& name : names_in(folder)) {
    const std::string id = id_in(name, "", kEntryEnd);
    if (id.empty()) continue;
    if (const auto file = entry_file(folder, id)) files.push_back(*file);
  }
  return files;
}

// The pin goes last, so that no process evicts the entry in between.
bool remove_entry(const fs::path& folder, const std::string& id) {
  std::error_code ignored;
  const bool removed = fs::remove(file_in(folder, id, kEntryEnd), ignored);
  fs::remove(file_in(folder, id, kPinEnd), ignored);
  return removed;
}

bool set_last_used(const fs::path& file, StoreTime time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  const timespec stamp{static_cast<time_t>(seconds.count()),
                       static_cast<long>((since - seconds).count() * 1'000'000)};
  const timespec stamps[2] = {stamp, stamp};
  // A file of a read-only file system is there, though its time stays.
  return ::utimensat(AT_FDCWD, file.c_str(), stamps, AT_SYMLINK_NOFOLLOW) == 0 || is_there(file);
}

std::optional<std::vector<std::string>> files_to_evict(std::vector<EntryFile> files,
                                                       int64_t limit) {
  int64_t total = std::accumulate(
      files.begin(), files.end(), int64_t{0}, [](int64_t sum, const EntryFile& file) {
        return sum + file.bytes;
      });
  std::ranges::sort(files, [](const EntryFile& a, const EntryFile& b) {
    return std::tie(a.last_used, a.id) < std::tie(b.last_used, b.id);
  });
  std::vector<std::string> evicted;
  for (const EntryFile& file : files) {
    if (total <= limit) break;
    if (file.pinned) continue;
    evicted.push_back(file.id);
    total -= file.bytes;
  }
  if (total > limit) return std::nullopt;
  return evicted;
}

void remove_leftovers(const fs::path& folder) {
  remove_drafts(folder);
  for (const std::string& name : names_in(folder)) {
    if (const std::string id = id_in(name, kLockStart, kLockEnd); !id.empty())
      remove_left_lock(folder, id);
    const std::string pinned = id_in(name, "", kPinEnd);
    if (!pinned.empty() && !is_there(file_in(folder, pinned, kEntryEnd)))
      remove_entry(folder, pinned);
  }
}

}  // namespace precis
