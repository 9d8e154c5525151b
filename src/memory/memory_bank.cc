// SPDX-License-Identifier: Apache-2.0
#include "precis/memory_bank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_map>

#include "base/check.h"
#include "base/parallel.h"
#include "io/in_quotes.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

const at::Tensor& embeddings_of(const Memory& memory) {
  return std::get<SoftTokens>(memory.contents().tensors).embeddings;
}

// The search key of a memory: the sum of its first `slots` embeddings, [hidden] float32.
at::Tensor key_of(const Memory& memory, int64_t slots) {
  const at::Tensor& embeddings = embeddings_of(memory);
  const at::Tensor first = embeddings.narrow(0, 0, std::min(slots, embeddings.size(0)));
  return first.detach().cpu().to(at::kFloat).sum(0);
}

// Whether the search key is finite for any number of summed embeddings; infinite keys could have
// NaN as score.
bool has_finite_keys(const Memory& memory) {
  constexpr double kLimit =
      std::numeric_limits<float>::max() / 2;  // half of the maximum allows for rounding
  const at::Tensor sizes = embeddings_of(memory).detach().cpu().to(at::kDouble).abs().sum(0);
  return (sizes < kLimit).all().item<bool>();
}

bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

void check_name(const std::string& name) {
  PRECIS_CHECK(!name.empty(), kInvalidArgument, "memory bank: the name is empty");
  PRECIS_CHECK(is_utf8(name),
               kInvalidArgument,
               "memory bank: the name ",
               in_quotes(name),
               " is not valid UTF-8");
}

void check_searchable(const Memory& memory) {
  PRECIS_CHECK(std::holds_alternative<SoftTokens>(memory.contents().tensors),
               kInvalidArgument,
               "memory bank: cached memories have no slots to be found by");
  PRECIS_CHECK(has_finite_keys(memory),
               kInvalidArgument,
               "memory bank: the memory's rows add up to more than float32 holds");
}

void check_alike(const Memory& memory, const Memory& first) {
  const Provenance &own = memory.provenance(), &wanted = first.provenance();
  PRECIS_CHECK(own.model_fingerprint == wanted.model_fingerprint,
               kInvalidArgument,
               "memory bank: the memory was made for model ",
               model_in_words(in_quotes(own.model_fingerprint), own.model_name),
               ", those inside for ",
               model_in_words(in_quotes(wanted.model_fingerprint), wanted.model_name));
  PRECIS_CHECK(memory.hidden_size() == first.hidden_size(),
               kInvalidArgument,
               "memory bank: the memory has rows of ",
               memory.hidden_size(),
               ", those inside of ",
               first.hidden_size());
}

// In float64, in which products of float32 values are exact. Eight partial sums vectorise.
double dot(const float* a, const float* b, int64_t size) {
  constexpr int64_t kLanes = 8;
  std::array<double, kLanes> sums{};
  const int64_t whole = size - size % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      sums[lane] += static_cast<double>(a[i + lane]) * b[i + lane];
  }
  for (int64_t i = whole; i < size; ++i) sums[i - whole] += static_cast<double>(a[i]) * b[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// keys [n, hidden] times query [hidden]. Not at::mv: BLAS may sum different rows in different
// orders, and equal memories must have equal scores.
std::vector<double> scores_of(const at::Tensor& keys, const at::Tensor& query) {
  const int64_t num_keys = keys.size(0), width = keys.size(1);
  const float *key = keys.const_data_ptr<float>(), *wanted = query.const_data_ptr<float>();
  std::vector<double> scores(static_cast<size_t>(num_keys));
  constexpr int64_t kElementsPerTask = 16384;
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, width));
  for_ranges(num_keys, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      scores[static_cast<size_t>(i)] = dot(key + i * width, wanted, width);
  });
  return scores;
}

// Indices of the `count` highest scores, highest first; equal scores in order of index.
std::vector<size_t> best_of(const std::vector<double>& scores, int64_t count) {
  std::vector<size_t> indices(scores.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  const auto end = indices.begin() + std::min<int64_t>(count, std::ssize(indices));
  std::partial_sort(indices.begin(), end, indices.end(), [&](size_t a, size_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  indices.erase(end, indices.end());
  return indices;
}

}  // namespace

struct MemoryBank::Contents {
  struct Entry {
    std::string name;
    Memory memory;
  };

  size_t index_of(const std::string& name) const {
    const auto found = indices.find(name);
    PRECIS_CHECK(found != indices.end(),
                 kNotFound,
                 "memory bank: there is no memory named ",
                 in_quotes(name));
    return found->second;
  }

  // The search keys of all memories: [n, hidden] float32. Those of memories that were added since
  // the last call are appended.
  at::Tensor keys(int64_t slots) {
    slots = std::min(slots, longest);  // a larger value gives the same sums
    const std::lock_guard lock(keys_mutex);
    at::Tensor& known = keys_by_slots[slots];
    std::vector<at::Tensor> missing;
    for (auto i = static_cast<size_t>(known.defined() ? known.size(0) : 0); i < entries.size(); ++i)
      missing.push_back(key_of(entries[i].memory, slots));
    if (missing.empty()) return known;
    const at::Tensor added = at::stack(missing);
    known = known.defined() ? at::cat({known, added}) : added;
    return known;
  }

  std::vector<Entry> entries;                       // in the order in which they were added
  std::unordered_map<std::string, size_t> indices;  // name -> index into entries
  int64_t longest = 0;  // largest number of memory tokens of any memory so far
  std::mutex keys_mutex;
  std::map<int64_t, at::Tensor> keys_by_slots;
};

MemoryBank::MemoryBank() : contents_(std::make_unique<Contents>()) {}
MemoryBank::MemoryBank(MemoryBank&&) noexcept = default;
MemoryBank& MemoryBank::operator=(MemoryBank&&) noexcept = default;
MemoryBank::~MemoryBank() = default;

void MemoryBank::add(std::string name, Memory memory) {
  translate_errors([&] {
    Contents& bank = *contents_;
    check_name(name);
    PRECIS_CHECK(!bank.indices.contains(name),
                 kInvalidArgument,
                 "memory bank: there is a memory named ",
                 in_quotes(name),
                 " already");
    check_searchable(memory);
    if (!bank.entries.empty()) check_alike(memory, bank.entries.front().memory);
    bank.longest = std::max(bank.longest, memory.num_tokens());
    bank.entries.push_back({name, std::move(memory)});
    bank.indices.emplace(std::move(name), bank.entries.size() - 1);
  });
}

void MemoryBank::remove(const std::string& name) {
  translate_errors([&] {
    Contents& bank = *contents_;
    const size_t removed = bank.index_of(name);
    bank.indices.erase(name);
    for (auto& [other, index] : bank.indices) index -= index > removed ? 1 : 0;
    bank.entries.erase(bank.entries.begin() + static_cast<int64_t>(removed));
    bank.keys_by_slots.clear();
  });
}

const Memory& MemoryBank::get(const std::string& name) const {
  return contents_->entries[contents_->index_of(name)].memory;
}

int64_t MemoryBank::size() const { return std::ssize(contents_->entries); }

std::vector<std::string> MemoryBank::names() const {
  std::vector<std::string> all;
  for (const Contents::Entry& entry : contents_->entries) all.push_back(entry.name);
  return all;
}

std::vector<MemoryBank::Match> MemoryBank::nearest(const Memory& query,
                                                   int64_t count,
                                                   int64_t slots) const {
  return translate_errors([&] {
    const std::vector<Contents::Entry>& entries = contents_->entries;
    PRECIS_CHECK(!entries.empty(), kInvalidArgument, "memory bank: there is nothing in it");
    PRECIS_CHECK(
        count >= 1, kInvalidArgument, "memory bank: count is ", count, ", expected at least 1");
    PRECIS_CHECK(
        slots >= 1, kInvalidArgument, "memory bank: slots is ", slots, ", expected at least 1");
    check_searchable(query);
    check_alike(query, entries.front().memory);
    const std::vector<double> scores = scores_of(contents_->keys(slots), key_of(query, slots));
    std::vector<Match> matches;
    for (const size_t place : best_of(scores, count))
      matches.push_back({entries[place].name, scores[place]});
    return matches;
  });
}

}  // namespace precis
