// SPDX-License-Identifier: Apache-2.0
#include "train/text_dataset.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string_view>

#include "base/check.h"
#include "base/hash.h"
#include "io/mapped_file.h"

namespace precis {
namespace {

std::string text_of_line(std::string_view line, const std::filesystem::path& path, int64_t number) {
  const auto parsed = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  PRECIS_CHECK(parsed.is_object() && parsed.contains("text") && parsed["text"].is_string(),
               kInvalidArgument,
               path.string(),
               ": line ",
               number,
               " is not a JSON object with a string \"text\"");
  return parsed["text"].get<std::string>();
}

constexpr int64_t kMaxLength = int64_t{1} << 24;  // tokens; far over any model's window

// A generator for one draw: seeded by all three, so that neighbouring indices have nothing in
// common.
std::mt19937_64 generator(uint64_t seed, uint64_t index, uint32_t purpose) {
  std::seed_seq sequence{static_cast<uint32_t>(seed),
                         static_cast<uint32_t>(seed >> 32),
                         static_cast<uint32_t>(index),
                         static_cast<uint32_t>(index >> 32),
                         purpose};
  return std::mt19937_64(sequence);
}

// In [low, high]; the bias of the remainder is far below what sampling texts notices.
int64_t between(std::mt19937_64& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

}  // namespace

TextDataset TextDataset::read(const std::filesystem::path& path,
                              const Tokenizer& tokenizer,
                              const std::function<void(double)>& progress) {
  const MappedFile file = MappedFile::open(path);
  const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()),
                             file.bytes().size());
  TextDataset dataset;
  int64_t number = 0;
  for (size_t first = 0; first < all.size();) {
    const size_t end = std::min(all.find('\n', first), all.size());
    const std::string_view line = all.substr(first, end - first);
    first = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto ids = tokenizer.encode(text_of_line(line, path, number));
    dataset.ids_.insert(dataset.ids_.end(), ids.begin(), ids.end());
    dataset.starts_.push_back(std::ssize(dataset.ids_));
    if (progress && number % 64 == 0)
      progress(static_cast<double>(first) / static_cast<double>(all.size()));
  }
  PRECIS_CHECK(dataset.num_texts() > 0, kInvalidArgument, path.string(), ": holds no text");
  return dataset;
}

std::span<const int32_t> TextDataset::text(int64_t index) const {
  return std::span(ids_).subspan(starts_.at(index), starts_.at(index + 1) - starts_.at(index));
}

std::string TextDataset::fingerprint() const {
  Hasher hasher;
  hasher.add(std::as_bytes(std::span(ids_)));
  hasher.add(std::as_bytes(std::span(starts_)));
  return hasher.hex();
}

ExampleSampler::ExampleSampler(const TextDataset& dataset, ExampleLengths lengths, uint64_t seed)
    : dataset_(dataset), lengths_(lengths), seed_(seed) {
  PRECIS_CHECK(lengths.min_older >= 1 && lengths.max_older >= lengths.min_older &&
                   lengths.target >= 1 && lengths.max_older <= kMaxLength &&
                   lengths.target <= kMaxLength,
               kInvalidArgument,
               "training: lengths of ",
               lengths.min_older,
               " to ",
               lengths.max_older,
               " older and ",
               lengths.target,
               " target tokens make no sense");
  int64_t sum = 0;
  for (int64_t i = 0; i < dataset.num_texts(); ++i) {
    const int64_t size = std::ssize(dataset.text(i));
    if (size < lengths.min_older + lengths.target) continue;
    eligible_.push_back(i);
    cumulative_.push_back(sum += size - lengths.min_older - lengths.target + 1);
  }
  PRECIS_CHECK(!eligible_.empty(),
               kInvalidArgument,
               "training: no text has ",
               lengths.min_older + lengths.target,
               " tokens");
}

int64_t ExampleSampler::older_length(uint64_t index) const {
  auto random = generator(seed_, index, 1);
  return between(random, lengths_.min_older, lengths_.max_older);
}

int64_t ExampleSampler::longest_older() const {
  int64_t longest = 0;
  for (const int64_t text : eligible_) longest = std::max(longest, std::ssize(dataset_.text(text)));
  return std::min(lengths_.max_older, longest - lengths_.target);
}

double ExampleSampler::share(uint64_t index) const {
  auto random = generator(seed_, index, 3);
  return static_cast<double>(random() >> 11) * 0x1.0p-53;
}

ExampleRange ExampleSampler::draw(uint64_t index, int64_t older) const {
  auto random = generator(seed_, index, 2);
  const int64_t place = between(random, 0, cumulative_.back() - 1);
  const auto found =
      std::upper_bound(cumulative_.begin(), cumulative_.end(), place) - cumulative_.begin();
  const int64_t text = eligible_[found];
  const int64_t size = std::ssize(dataset_.text(text));
  const int64_t fitting = std::min(older, size - lengths_.target);
  return {text, between(random, 0, size - lengths_.target - fitting), fitting, lengths_.target};
}

}  // namespace precis
