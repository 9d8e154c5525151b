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

// Memories of one model under names, found by how near they are to a query: SelfCP's memory
// demonstration bank, of use for every method whose memories are input embeddings. Const methods
// may be called from several threads at once, as long as none changes the bank meanwhile.
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

  // Throws kInvalidArgument for a name that is empty, taken or not UTF-8; for a memory of cached
  // keys and values, of another model or hidden size than those already inside, or with values
  // whose sum over the rows is out of float32's range.
  void add(std::string name, Memory memory);
  void remove(const std::string& name);  // throws kNotFound

  // Good until the bank changes. Throws kNotFound.
  const Memory& get(const std::string& name) const;
  int64_t size() const;
  std::vector<std::string> names() const;  // in the order in which they were added

  // The `count` memories nearest to the query (all if there are fewer), best first, equal ones in
  // the order in which they were added. The score is the dot product of query and memory, each of
  // them the sum of its first `slots` rows, or of all its rows if it has fewer: with 1, the first
  // slots are compared. Sums of rows are float32, the dot product is float64. Scores mean something
  // among memories of one compressor only, which is not checked. The first query with a new value
  // of `slots` sums the rows of all memories; later ones reuse the sums, one row for each memory
  // and value of `slots`. Throws kInvalidArgument for an empty bank, a count or slots below 1, or a
  // query that add() would not take.
  std::vector<Match> nearest(const Memory& query, int64_t count, int64_t slots = 1) const;

  // A directory of memory files, named by their contents, and an index, bank.json, that names them:
  // {"format": "precis.memory_bank.1", "memories": [{"name": ..., "file": ...}]}. Replaces a bank
  // that is there: whatever happens, the directory holds the old one or the new one, and files that
  // only the old one named go last. For one writer at a time (update() sees to that); who reads
  // meanwhile may find a file of the old bank gone. Throws kInvalidArgument if it cannot be
  // written.
  void save(const std::filesystem::path& directory) const;
  // Throws kNotFound if there is no index, kBadWeights naming the file if it or a memory is
  // damaged, missing, or not what save() would have written.
  static MemoryBank load(const std::filesystem::path& directory);
  // Loads the bank (an empty one where there is none), lets `change` change it and saves it, unless
  // that throws. Processes that update a bank wait for each other, so that nothing is lost. Throws
  // as load() and save(), and kInvalidArgument, naming the process, if another is not done after a
  // minute.
  static void update(const std::filesystem::path& directory,
                     const std::function<void(MemoryBank& bank)>& change);

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

}  // namespace precis
