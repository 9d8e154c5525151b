// SPDX-License-Identifier: Apache-2.0
#include "io/draft_directory.h"

#include <cerrno>
#include <new>
#include <system_error>

#include "base/check.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

void check_done(const std::error_code& error, const fs::path& path) {
  PRECIS_CHECK(!error, kInvalidArgument, path.string(), ": cannot be created: ", error.message());
}

// Made absolute, so that it has a parent; with links resolved, since a rename cannot replace a
// link; without a trailing slash, so that it has a file name.
fs::path resolved(const fs::path& path) {
  PRECIS_CHECK(!path.empty(), kInvalidArgument, "the name of the directory to write is empty");
  std::error_code error;
  fs::path whole = fs::absolute(path, error);
  if (!error) whole = fs::weakly_canonical(whole, error);
  check_done(error, path);
  return whole.has_filename() ? whole : whole.parent_path();
}

// A link that resolved() could not follow is dangling.
void check_free(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return;
  const bool free = fs::is_directory(path, error) && fs::is_empty(path, error);
  PRECIS_CHECK(free && !error,
               kInvalidArgument,
               path.string(),
               ": is there already, expected nothing or an empty directory");
}

// Some empty directories, such as mount points, cannot be replaced. Tested by moving the directory
// away and back: removing it would lose its owner and permissions if nothing is committed later.
void check_replaceable(const fs::path& path, const fs::path& aside) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  fs::rename(path, aside, error);
  if (!error) fs::rename(aside, path, error);
  PRECIS_CHECK(!error, kInvalidArgument, path.string(), ": cannot be replaced: ", error.message());
}

}  // namespace

DraftDirectory::DraftDirectory(const fs::path& path) : target_(resolved(path)) {
  check_free(target_);
  std::error_code error;
  fs::create_directories(target_.parent_path(), error);
  check_done(error, target_);
  remove_drafts(target_.parent_path());
  check_replaceable(target_, free_name_beside(target_));
  draft_ = make_draft_directory(target_);
  if (draft_.open.is_open()) return;
  draft_.path.clear();
  check_done(std::error_code(errno, std::generic_category()), target_);
}

// Does not throw, not even if memory runs out while listing files to remove.
DraftDirectory::~DraftDirectory() {
  if (draft_.path.empty()) return;
  try {
    std::error_code ignored;
    fs::remove_all(draft_.path, ignored);
  } catch (const std::bad_alloc&) {
  }
}

void DraftDirectory::commit() {
  std::error_code error;
  fs::rename(draft_.path, target_, error);
  check_done(error, target_);
  draft_.path.clear();
}

}  // namespace precis
