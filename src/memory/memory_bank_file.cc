// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/hash.h"
#include "io/drafts.h"
#include "io/in_quotes.h"
#include "io/json_file.h"
#include "io/lock_file.h"
#include "io/safetensors.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"
#include "precis/memory_bank.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndex = "bank.json";
constexpr std::string_view kFormat = "precis.memory_bank.1";
constexpr std::string_view kFileStart = "memory-", kFileEnd = ".safetensors";
constexpr std::chrono::minutes kLockTimeout(1);

struct IndexEntry {
  std::string name;
  std::string file;
};

// Named by a hash of the content, so that a file that an index names is never overwritten by
// another memory. The hash has been the same since the first version.
std::string file_name_of(const Memory& memory) {
  Hasher hasher;
  hasher.add(rows_hash(memory.contents().tensors));
  const Provenance& from = memory.provenance();
  hasher.add(from.method);
  hasher.add(from.model_fingerprint);
  hasher.add(from.compressor_fingerprint);
  hasher.add(from.source_hash);
  hasher.add(from.source_tokens);
  return concat(kFileStart, hasher.hex(), kFileEnd);
}

// Files with other names are not opened, so that an index cannot refer to files outside the bank.
bool is_file_name(std::string_view name) {
  if (!name.starts_with(kFileStart) || !name.ends_with(kFileEnd)) return false;
  if (name.size() != kFileStart.size() + 32 + kFileEnd.size()) return false;
  return std::ranges::all_of(name.substr(kFileStart.size(), 32), [](char c) {
    return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f');
  });
}

std::string text_in(const nlohmann::json& entry, const char* key, const fs::path& index) {
  PRECIS_CHECK(entry.is_object() && entry.contains(key) && entry[key].is_string(),
               kBadWeights,
               index.string(),
               ": a memory has no ",
               key);
  return entry[key].get<std::string>();
}

// Throws kNotFound or kBadWeights.
std::vector<IndexEntry> read_index(const fs::path& index) {
  const nlohmann::json parsed = read_json(index);
  PRECIS_CHECK(parsed.is_object() && parsed.contains("format") && parsed["format"] == kFormat,
               kBadWeights,
               index.string(),
               ": not the index of a memory bank of Precis");
  PRECIS_CHECK(parsed.contains("memories") && parsed["memories"].is_array(),
               kBadWeights,
               index.string(),
               ": memories is missing");
  std::vector<IndexEntry> entries;
  for (const nlohmann::json& entry : parsed["memories"]) {
    entries.push_back({text_in(entry, "name", index), text_in(entry, "file", index)});
    PRECIS_CHECK(is_file_name(entries.back().file),
                 kBadWeights,
                 index.string(),
                 ": ",
                 in_quotes(entries.back().file),
                 " is no name of a file in a memory bank");
  }
  return entries;
}

// The entries of a bank that is to be replaced: none if there is no bank or its index is damaged.
std::vector<IndexEntry> entries_to_replace(const fs::path& index) {
  try {
    return read_index(index);
  } catch (const Error&) {
    return {};
  }
}

bool holds_its_memory(const fs::path& path) {
  try {
    return file_name_of(Memory::load(path)) == path.filename();
  } catch (const Error&) {
    return false;
  }
}

Memory load_named(const fs::path& path) {
  std::error_code ignored;
  PRECIS_CHECK(fs::exists(path, ignored),
               kBadWeights,
               path.string(),
               ": is missing, though the index names it");
  Memory memory = Memory::load(path);
  PRECIS_CHECK(file_name_of(memory) == path.filename(),
               kBadWeights,
               path.string(),
               ": holds another memory than its name says");
  return memory;
}

// Returns whether the directory is new.
bool make_directory(const fs::path& directory) {
  std::error_code error;
  const bool is_new = fs::create_directories(directory, error);
  PRECIS_CHECK(
      !error, kInvalidArgument, directory.string(), ": cannot be created: ", error.message());
  return is_new;
}

MemoryBank load_or_make(const fs::path& directory) {
  try {
    return MemoryBank::load(directory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return {};
  }
}

void update_locked(const fs::path& directory, const std::function<void(MemoryBank&)>& change) {
  const LockFile lock(directory, kLockTimeout);
  remove_drafts(directory);
  MemoryBank bank = load_or_make(directory);
  change(bank);
  bank.save(directory);
}

}  // namespace

void MemoryBank::save(const fs::path& directory) const {
  translate_errors([&] {
    make_directory(directory);
    std::error_code ignored;
    std::set<std::string> files;
    nlohmann::json rows = nlohmann::json::array();
    for (const std::string& name : names()) {
      const std::string file = file_name_of(get(name));
      const bool is_new = files.insert(file).second;
      if (is_new && !holds_its_memory(directory / file)) get(name).save(directory / file);
      rows.push_back({{"name", name}, {"file", file}});
    }
    const std::vector<IndexEntry> replaced = entries_to_replace(directory / kIndex);
    const nlohmann::json index{{"format", kFormat}, {"memories", std::move(rows)}};
    write_text_file(directory / kIndex, index.dump(2) + "\n");
    for (const IndexEntry& row : replaced) {
      if (!files.contains(row.file)) fs::remove(directory / row.file, ignored);
    }
  });
}

MemoryBank MemoryBank::load(const fs::path& directory) {
  return translate_errors([&] {
    const fs::path index = directory / kIndex;
    MemoryBank bank;
    for (const IndexEntry& row : read_index(index)) {
      Memory memory = load_named(directory / row.file);
      try {
        bank.add(row.name, std::move(memory));
      } catch (const Error& error) {
        PRECIS_CHECK(error.kind() != ErrorKind::kInvalidArgument,
                     kBadWeights,
                     index.string(),
                     ": ",
                     error.what());
        throw;
      }
    }
    return bank;
  });
}

void MemoryBank::update(const fs::path& directory, const std::function<void(MemoryBank&)>& change) {
  translate_errors([&] {
    const bool is_new = make_directory(directory);
    try {
      update_locked(directory, change);
    } catch (...) {
      std::error_code ignored;
      if (is_new) fs::remove(directory, ignored);  // fails where another process has written to it
      throw;
    }
  });
}

}  // namespace precis
