// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "precis/memory.h"

namespace precis {

// Named memories of one model with a search for those nearest to a query: SelfCP's memory
// demonstration bank, for every method whose memories are input embeddings. Const methods may be
// called from several threads at once, as long as none changes the bank meanwhile.
class MemoryBank {
 public:
  struct Match {
    std::string name = {};
    double score = 0;
  };

  MemoryBank();
  MemoryBank(MemoryBank&&) noexcept;
  MemoryBank& operator=(MemoryBank&&) noexcept;
  ~MemoryBank();

  // Throws kInvalidArgument for a name that is empty, in use or not UTF-8; for a memory of cached
  // keys and values, of another model or hidden size than those in the bank, or with embeddings
  // whose sum overflows float32.
  void add(std::string name, Memory memory);
  void remove(const std::string& name);  // throws kNotFound

  // The reference is valid until the bank changes. Throws kNotFound.
  const Memory& get(const std::string& name) const;
  int64_t size() const;
  std::vector<std::string> names() const;  // in the order in which they were added

  // The `count` memories nearest to the query (all if there are fewer), best first, equal ones in
  // the order in which they were added. The score is the dot product, in float64, of the search
  // keys of query and memory; a search key is the sum, in float32, of the first `slots` embeddings,
  // or of all if there are fewer. Scores are comparable among memories of one compressor only,
  // which is not checked. The first query with a new value of `slots` computes the keys of all
  // memories, [size(), hidden]; later ones reuse them. Throws kInvalidArgument for an empty bank, a
  // count or slots below 1, or a query that add() would refuse.
  std::vector<Match> nearest(const Memory& query, int64_t count, int64_t slots = 1) const;

  // Writes a directory of memory files, named by their contents, and an index, bank.json:
  // {"format": "precis.memory_bank.1", "memories": [{"name": ..., "file": ...}]}. A bank that is
  // there is replaced: at any moment the index is the old one or the new one and its files are
  // complete; files of the old bank alone are removed last, so that a concurrent reader may miss
  // one. Only one process may write at a time, which update() ensures. Throws kInvalidArgument if
  // it cannot be written.
  void save(const std::filesystem::path& directory) const;
  // Throws kNotFound if there is no index, kBadWeights naming the file if the index or a memory is
  // damaged, missing, or not what save() would have written.
  static MemoryBank load(const std::filesystem::path& directory);
  // Loads the bank (an empty one where there is none), calls `change` with it and saves it, unless
  // `change` throws. The directory is locked meanwhile, so that processes that update it wait for
  // each other. Throws as load() and save(), and kInvalidArgument, naming the process, if another
  // holds the lock for more than a minute.
  static void update(const std::filesystem::path& directory,
                     const std::function<void(MemoryBank& bank)>& change);

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

}  // namespace precis
