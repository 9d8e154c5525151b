// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "train/language_model_loss.h"
#include "train/token_dataset.h"

namespace precis {

// Relative frequencies of the training objectives.
struct ObjectiveWeights {
  double autoencode = 0;    // predict the text itself
  double continuation = 1;  // predict the text that follows ("continue")
  double instruct = 0;      // predict the answer to a prompt about the text
  double distil = 0;        // as continuation, towards the model's predictions from the full text

  double sum() const { return autoencode + continuation + instruct + distil; }
};

// Lengths of an example's texts, in tokens: the older text is compressed, the kept text follows its
// memory uncompressed, then come the targets.
struct ExampleLengths {
  int64_t min_older = 64;
  int64_t max_older = 256;
  int64_t target = 96;
  int64_t min_kept = 0;
  int64_t max_kept = 0;
  int64_t grow_steps = 0;  // steps in which the longest older text grows from min_ to max_older
};

struct ExampleOptions {
  ExampleLengths lengths;
  ObjectiveWeights objectives;
  std::optional<TokenId> end_id;  // last target of autoencoded texts and of answers; none: nothing
  std::optional<TokenId> bos_id;  // before a text that the model reads in full; none: nothing
  // Beginning of a chat, before the text of records with an answer; none: examples are in the
  // compressor's own template.
  std::optional<std::vector<TokenId>> chat;
  std::optional<TokenId> answer_end_id;  // in place of end_id for answers
  uint64_t seed = 1;
};

// Lengths that the examples of a step share, in tokens: attention over sequences of equal lengths
// is one batched product.
struct StepLengths {
  int64_t older = 0;
  int64_t kept = 0;
};

// Draws examples: the same seed and index give the same example, whatever was drawn before, so that
// a resumed run sees what the interrupted one would have seen. A text is drawn in proportion to the
// number of places where an example can start in it; records with an answer are drawn evenly.
class ExampleSampler {
 public:
  // Borrows the dataset. Throws kInvalidArgument for lengths and weights out of range, if no text
  // is long enough, or if no record has an answer and objectives.instruct is above 0.
  ExampleSampler(const TokenDataset& dataset, const ExampleOptions& options);

  // An example of these lengths, or shorter where the text is.
  TrainingExample draw(uint64_t index, const StepLengths& lengths) const;
  StepLengths lengths(int64_t step) const;  // drawn for a step, from 1

  // The longest examples of each objective: of records with an answer those with the longest text,
  // the longest prompt and answer, and the longest sum.
  std::vector<TrainingExample> longest() const;

 private:
  using Range = std::span<const int32_t>;

  struct DrawnText {
    Range text;  // older, kept and target tokens
    int64_t older, kept;
  };

  DrawnText draw_text(std::mt19937_64& random, const StepLengths& wanted) const;
  void add_longest_of_texts(std::vector<TrainingExample>& examples) const;
  void add_longest_answered(std::vector<TrainingExample>& examples) const;
  TrainingExample continuation_example(const DrawnText& drawn) const;
  TrainingExample autoencode_example(Range text) const;
  TrainingExample instruct_example(const TrainingRecord& record) const;
  void find_texts();
  void find_answers();

  const TokenDataset& dataset_;
  ExampleOptions options_;
  std::vector<int64_t> texts_;       // records whose text is long enough
  std::vector<int64_t> cumulative_;  // running sum over texts_ of places where an example can start
  std::vector<int64_t> answered_;    // records with an answer whose text is short enough
};

}  // namespace precis
