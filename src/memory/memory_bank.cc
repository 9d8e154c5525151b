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
  const at::Tensor& rows = embeddings_of(memory);
  const at::Tensor first = rows.narrow(0, 0, std::min(slots, rows.size(0)));
  return first.detach().cpu().to(at::kFloat).sum(0);
}

// Whether no key is infinite, however many embeddings are summed; infinite keys could have NaN as
// their score.
bool has_finite_keys(const Memory& memory) {
  constexpr double kLimit = std::numeric_limits<float>::max() / 2;  // leaves room for rounding
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

// In float64, where products of float32 numbers are exact; eight sums side by side vectorise.
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

// keys [n, hidden] times query [hidden]. Not at::mv: BLAS sums some rows in another order than
// others, and equal memories must have equal scores.
std::vector<double> scores_of(const at::Tensor& keys, const at::Tensor& query) {
  const int64_t rows = keys.size(0), width = keys.size(1);
  const float *key = keys.const_data_ptr<float>(), *wanted = query.const_data_ptr<float>();
  std::vector<double> scores(static_cast<size_t>(rows));
  constexpr int64_t kElementsPerTask = 16384;
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, width));
  for_ranges(rows, grain, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      scores[static_cast<size_t>(row)] = dot(key + row * width, wanted, width);
  });
  return scores;
}

// The indices of the `count` highest scores, highest first, equal ones in order.
std::vector<size_t> best_of(const std::vector<double>& scores, int64_t count) {
  std::vector<size_t> places(scores.size());
  std::iota(places.begin(), places.end(), size_t{0});
  const auto end = places.begin() + std::min<int64_t>(count, std::ssize(places));
  std::partial_sort(places.begin(), end, places.end(), [&](size_t a, size_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  places.erase(end, places.end());
  return places;
}

}  // namespace

struct MemoryBank::Contents {
  struct Entry {
    std::string name;
    Memory memory;
  };

  size_t place_of(const std::string& name) const {
    const auto found = places.find(name);
    PRECIS_CHECK(found != places.end(),
                 kNotFound,
                 "memory bank: there is no memory named ",
                 in_quotes(name));
    return found->second;
  }

  // The search keys of all memories: [n, hidden] float32. Those of memories that were added since
  // the last call are appended.
  at::Tensor keys(int64_t slots) {
    slots = std::min(slots, longest);  // more would give the same sums
    const std::lock_guard lock(keys_mutex);
    at::Tensor& known = keys_by_slots[slots];
    std::vector<at::Tensor> rows;
    for (auto i = static_cast<size_t>(known.defined() ? known.size(0) : 0); i < entries.size(); ++i)
      rows.push_back(key_of(entries[i].memory, slots));
    if (rows.empty()) return known;
    const at::Tensor added = at::stack(rows);
    known = known.defined() ? at::cat({known, added}) : added;
    return known;
  }

  std::vector<Entry> entries;                      // in the order in which they were added
  std::unordered_map<std::string, size_t> places;  // name -> index into entries
  int64_t longest = 0;  // most memory tokens that a memory has had so far
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
    PRECIS_CHECK(!bank.places.contains(name),
                 kInvalidArgument,
                 "memory bank: there is a memory named ",
                 in_quotes(name),
                 " already");
    check_searchable(memory);
    if (!bank.entries.empty()) check_alike(memory, bank.entries.front().memory);
    bank.longest = std::max(bank.longest, memory.num_tokens());
    bank.entries.push_back({name, std::move(memory)});
    bank.places.emplace(std::move(name), bank.entries.size() - 1);
  });
}

void MemoryBank::remove(const std::string& name) {
  translate_errors([&] {
    Contents& bank = *contents_;
    const size_t removed = bank.place_of(name);
    bank.places.erase(name);
    for (auto& [other, place] : bank.places) place -= place > removed ? 1 : 0;
    bank.entries.erase(bank.entries.begin() + static_cast<int64_t>(removed));
    bank.keys_by_slots.clear();
  });
}

const Memory& MemoryBank::get(const std::string& name) const {
  return contents_->entries[contents_->place_of(name)].memory;
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
