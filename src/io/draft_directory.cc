// SPDX-License-Identifier: Apache-2.0
#include "io/draft_directory.h"

#include <random>

#include "base/check.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

// Absolute and without a slash at its end, so that it has a name and a parent.
fs::path named(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

void check_free(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const bool free = fs::is_directory(path, error) && fs::is_empty(path, error);
  PRECIS_CHECK(free && !error,
               kInvalidArgument,
               path.string(),
               ": is there already, expected nothing or an empty directory");
}

void check_done(const std::error_code& error, const fs::path& path) {
  PRECIS_CHECK(!error, kInvalidArgument, path.string(), ": cannot be created: ", error.message());
}

}  // namespace

DraftDirectory::DraftDirectory(const fs::path& path) : target_(named(path)) {
  check_free(target_);
  std::error_code error;
  fs::create_directories(target_.parent_path(), error);
  check_done(error, target_);
  std::random_device random;
  draft_ = target_.parent_path() / concat(".precis-", std::hex, random(), random(), ".part");
  fs::create_directory(draft_, error);
  check_done(error, target_);
}

DraftDirectory::~DraftDirectory() {
  std::error_code ignored;
  if (!draft_.empty()) fs::remove_all(draft_, ignored);
}

void DraftDirectory::commit() {
  std::error_code error;
  fs::rename(draft_, target_, error);
  check_done(error, target_);
  draft_.clear();
}

}  // namespace precis
