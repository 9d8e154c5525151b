// SPDX-License-Identifier: Apache-2.0
#include "train/example_sampler.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/check.h"

namespace precis {
namespace {

constexpr int64_t kMaxLength = int64_t{1} << 24;  // tokens; far over any model's window

enum class Purpose : uint32_t { kOlder = 1, kPlace, kObjective, kKept };

// A generator for one draw: seeded by all three, so that the draws of neighbouring indices are
// independent.
std::mt19937_64 generator(uint64_t seed, uint64_t index, Purpose purpose) {
  std::seed_seq sequence{static_cast<uint32_t>(seed),
                         static_cast<uint32_t>(seed >> 32),
                         static_cast<uint32_t>(index),
                         static_cast<uint32_t>(index >> 32),
                         static_cast<uint32_t>(purpose)};
  return std::mt19937_64(sequence);
}

// In [low, high]; the bias of the remainder is far below what sampling texts notices.
int64_t between(std::mt19937_64& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

double share(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

void check(const ExampleLengths& lengths) {
  const bool older = lengths.min_older >= 1 && lengths.max_older >= lengths.min_older;
  const bool kept = lengths.min_kept >= 0 && lengths.max_kept >= lengths.min_kept;
  const bool bounded = lengths.max_older <= kMaxLength && lengths.max_kept <= kMaxLength &&
                       lengths.target <= kMaxLength && lengths.grow_steps >= 0;
  PRECIS_CHECK(older && kept && bounded && lengths.target >= 1,
               kInvalidArgument,
               "training: lengths of ",
               lengths.min_older,
               " to ",
               lengths.max_older,
               " older, ",
               lengths.min_kept,
               " to ",
               lengths.max_kept,
               " kept and ",
               lengths.target,
               " target tokens are out of range");
}

void check(const ObjectiveWeights& weights) {
  for (const double weight :
       {weights.autoencode, weights.continuation, weights.instruct, weights.distil})
    PRECIS_CHECK(weight >= 0 && std::isfinite(weight),
                 kInvalidArgument,
                 "training: an objective has a weight of ",
                 weight);
  PRECIS_CHECK(weights.sum() > 0, kInvalidArgument, "training: no objective has a weight");
}

std::vector<TokenId> ids_of(std::span<const int32_t> ids) { return {ids.begin(), ids.end()}; }

}  // namespace

ExampleSampler::ExampleSampler(const TokenDataset& dataset, const ExampleOptions& options)
    : dataset_(dataset), options_(options) {
  check(options.lengths);
  check(options.objectives);
  if (options.objectives.instruct < options.objectives.sum()) find_texts();
  if (options.objectives.instruct > 0) find_answers();
}

void ExampleSampler::find_texts() {
  const ExampleLengths& lengths = options_.lengths;
  const int64_t least = lengths.min_older + lengths.min_kept + lengths.target;
  int64_t sum = 0;
  for (int64_t i = 0; i < dataset_.num_records(); ++i) {
    const int64_t size = std::ssize(dataset_.record(i).text);
    if (size < least) continue;
    texts_.push_back(i);
    cumulative_.push_back(sum += size - least + 1);
  }
  PRECIS_CHECK(!texts_.empty(), kInvalidArgument, "training: no text has ", least, " tokens");
}

void ExampleSampler::find_answers() {
  for (int64_t i = 0; i < dataset_.num_records(); ++i) {
    const TrainingRecord record = dataset_.record(i);
    const bool fits = !record.text.empty() && std::ssize(record.text) <= options_.lengths.max_older;
    if (fits && !record.answer.empty()) answered_.push_back(i);
  }
  PRECIS_CHECK(!answered_.empty(),
               kInvalidArgument,
               "training: no record has an answer and a context of at most ",
               options_.lengths.max_older,
               " tokens");
}

StepLengths ExampleSampler::lengths(int64_t step) const {
  const ExampleLengths& lengths = options_.lengths;
  int64_t longest = lengths.max_older;
  if (step < lengths.grow_steps) {
    const double grown = static_cast<double>(step) / static_cast<double>(lengths.grow_steps);
    longest = lengths.min_older +
              std::llround(grown * static_cast<double>(lengths.max_older - lengths.min_older));
  }
  auto random = generator(options_.seed, static_cast<uint64_t>(step), Purpose::kOlder);
  auto keeper = generator(options_.seed, static_cast<uint64_t>(step), Purpose::kKept);
  return {between(random, lengths.min_older, longest),
          between(keeper, lengths.min_kept, lengths.max_kept)};
}

TrainingExample ExampleSampler::draw(uint64_t index, const StepLengths& lengths) const {
  const ObjectiveWeights& weights = options_.objectives;
  auto chooser = generator(options_.seed, index, Purpose::kObjective);
  const double chosen = share(chooser) * weights.sum();
  auto random = generator(options_.seed, index, Purpose::kPlace);
  if (!answered_.empty() && (texts_.empty() || chosen < weights.instruct))
    return instruct_example(
        dataset_.record(answered_[between(random, 0, std::ssize(answered_) - 1)]));
  const DrawnText drawn = draw_text(random, lengths);
  if (chosen < weights.instruct + weights.autoencode)
    return autoencode_example(drawn.text.first(drawn.older));
  TrainingExample example = continuation_example(drawn);
  example.distils = chosen >= weights.instruct + weights.autoencode + weights.continuation;
  return example;
}

ExampleSampler::DrawnText ExampleSampler::draw_text(std::mt19937_64& random,
                                                    const StepLengths& wanted) const {
  const ExampleLengths& lengths = options_.lengths;
  const int64_t place = between(random, 0, cumulative_.back() - 1);
  const auto found =
      std::upper_bound(cumulative_.begin(), cumulative_.end(), place) - cumulative_.begin();
  const Range text = dataset_.record(texts_[found]).text;
  const int64_t kept = std::min(std::ssize(text) - lengths.min_older - lengths.target, wanted.kept);
  const int64_t older = std::min(wanted.older, std::ssize(text) - kept - lengths.target);
  const int64_t size = older + kept + lengths.target;
  return {text.subspan(between(random, 0, std::ssize(text) - size), size), older, kept};
}

std::vector<TrainingExample> ExampleSampler::longest() const {
  std::vector<TrainingExample> examples;
  if (!texts_.empty()) add_longest_of_texts(examples);
  if (!answered_.empty()) add_longest_answered(examples);
  return examples;
}

void ExampleSampler::add_longest_of_texts(std::vector<TrainingExample>& examples) const {
  const ExampleLengths& lengths = options_.lengths;
  const ObjectiveWeights& weights = options_.objectives;
  int64_t size = 0;
  for (const int64_t i : texts_) size = std::max(size, std::ssize(dataset_.record(i).text));
  const std::vector<int32_t> ids(size, 0);
  if (weights.autoencode > 0) {
    const int64_t alone = std::min(lengths.max_older, size - lengths.min_kept - lengths.target);
    examples.push_back(autoencode_example(Range(ids).first(alone)));
  }
  if (weights.continuation == 0 && weights.distil == 0) return;
  const int64_t kept = std::min(lengths.max_kept, size - lengths.min_older - lengths.target);
  const int64_t older = std::min(lengths.max_older, size - kept - lengths.target);
  const Range text = Range(ids).first(older + kept + lengths.target);
  examples.push_back(continuation_example({text, older, kept}));
  examples.back().distils = weights.distil > 0;
}

void ExampleSampler::add_longest_answered(std::vector<TrainingExample>& examples) const {
  const auto rest = [&](int64_t i) {
    return dataset_.record(i).prompt.size() + dataset_.record(i).answer.size();
  };
  const auto text = [&](int64_t i) { return dataset_.record(i).text.size(); };
  const auto all = [&](int64_t i) { return text(i) + rest(i); };
  for (const int64_t i : {*std::ranges::max_element(answered_, {}, text),
                          *std::ranges::max_element(answered_, {}, rest),
                          *std::ranges::max_element(answered_, {}, all)}) {
    examples.push_back(instruct_example(dataset_.record(i)));
  }
}

TrainingExample ExampleSampler::continuation_example(const DrawnText& drawn) const {
  TrainingExample example;
  example.use = MemoryUse::kContinue;
  example.segment.tokens = ids_of(drawn.text.first(drawn.older));
  example.prompt = ids_of(drawn.text.subspan(drawn.older, drawn.kept));
  example.targets = ids_of(drawn.text.subspan(drawn.older + drawn.kept));
  if (options_.bos_id) example.before_text = {*options_.bos_id};
  return example;
}

TrainingExample ExampleSampler::autoencode_example(Range text) const {
  TrainingExample example;
  example.use = MemoryUse::kAutoencode;
  example.segment.tokens = ids_of(text);
  example.targets = example.segment.tokens;
  if (options_.end_id) example.targets.push_back(*options_.end_id);
  return example;
}

TrainingExample ExampleSampler::instruct_example(const TrainingRecord& record) const {
  TrainingExample example;
  example.use = MemoryUse::kInstruct;
  example.chat = options_.chat;
  example.segment.tokens = ids_of(record.text);
  example.prompt = ids_of(record.prompt);
  example.targets = ids_of(record.answer);
  const auto end = options_.answer_end_id ? options_.answer_end_id : options_.end_id;
  if (end) example.targets.push_back(*end);
  return example;
}

}  // namespace precis
