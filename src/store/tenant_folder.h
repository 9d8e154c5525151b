// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "precis/store.h"

namespace precis {

inline constexpr std::string_view kEntryEnd = ".safetensors", kPinEnd = ".pin";

// A file of an entry.
struct EntryFile {
  std::string id;
  int64_t bytes = 0;
  StoreTime last_used;  // time of modification
  bool pinned = false;
};

// nullopt if there is no such file.
std::optional<EntryFile> entry_file(const std::filesystem::path& folder, const std::string& id);
// Those of a folder; none if there is no folder. Files that another process removes meanwhile may
// be left out.
std::vector<EntryFile> entry_files(const std::filesystem::path& folder);

// Removes an entry and its pin. Returns whether there was an entry.
bool remove_entry(const std::filesystem::path& folder, const std::string& id);
// False if the file is gone.
bool set_last_used(const std::filesystem::path& file, StoreTime time);

// Of `files` the unpinned ones to be removed so that at most `limit` bytes remain, least recently
// used first. nullopt: pinned ones take more.
std::optional<std::vector<std::string>> files_to_evict(std::vector<EntryFile> files, int64_t limit);

// Removes what killed processes left: drafts, locks, pins without entries.
void remove_leftovers(const std::filesystem::path& folder);

}  // namespace precis
