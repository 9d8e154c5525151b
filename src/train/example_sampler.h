// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "train/language_model_loss.h"
#include "train/token_dataset.h"

namespace precis {

// How often an example is of which kind; in proportion.
struct ObjectiveWeights {
  double autoencode = 0;    // the text is said again
  double continuation = 1;  // what follows the text is predicted ("continue")
  double instruct = 0;      // a prompt about the text is answered
  double distil =
      0;  // as continuation, but learning from what the model predicts that reads it all

  double sum() const { return autoencode + continuation + instruct + distil; }
};

// Tokens of an example.
struct ExampleLengths {
  int64_t min_older = 64;  // that are compressed
  int64_t max_older = 256;
  int64_t target = 96;   // that are predicted from the memory
  int64_t min_kept = 0;  // that stand as they are between memory and target
  int64_t max_kept = 0;
  int64_t grow_steps =
      0;  // steps in which the longest older part grows from min_older to max_older
};

struct ExampleOptions {
  ExampleLengths lengths;
  ObjectiveWeights objectives;
  std::optional<TokenId>
      end_id;  // ends a text that is said again and an answer; none: nothing does
  std::optional<TokenId> bos_id;  // that the model wants before a text; none: nothing
  // What a chat begins with, before the text of rows with an answer; none: there is no chat, but
  // the compressor's template.
  std::optional<std::vector<TokenId>> chat;
  std::optional<TokenId> answer_end_id;  // in place of end_id for answers
  uint64_t seed = 1;
};

// What the examples of a step have in common, in tokens: equal lengths are one product in
// attention.
struct StepLengths {
  int64_t older = 0;  // that are compressed
  int64_t kept = 0;   // between memory and target
};

// Draws examples: the same seed and index give the same example, whatever was drawn before, so that
// a resumed run sees what the interrupted one would have seen. Longer texts are drawn more often,
// in proportion to where a target can lie; rows with an answer are drawn evenly.
class ExampleSampler {
 public:
  // Throws kInvalidArgument for lengths and weights that make no sense, if no text is long enough,
  // or if no row has an answer where answers are to be learnt. Borrows the dataset.
  ExampleSampler(const TokenDataset& dataset, const ExampleOptions& options);

  // Of these lengths, or shorter where the text is.
  TrainingExample draw(uint64_t index, const StepLengths& lengths) const;
  StepLengths lengths(int64_t step) const;  // drawn for a step, from 1

  // Examples of each kind that may be drawn, as long as any can be: of rows with an answer the one
  // with the longest text, the longest rest and the most in all.
  std::vector<TrainingExample> longest() const;

 private:
  using Range = std::span<const int32_t>;

  TrainingExample of_text(Range text, int64_t older, int64_t kept) const;
  TrainingExample autoencode_example(Range text) const;
  TrainingExample of_row(const TrainingRow& row) const;
  void find_texts();
  void find_answers();

  const TokenDataset& dataset_;
  ExampleOptions options_;
  std::vector<int64_t> texts_;       // rows that are long enough
  std::vector<int64_t> cumulative_;  // places where an example can start, summed up
  std::vector<int64_t> answered_;    // rows with an answer whose text is short enough
};

}  // namespace precis
