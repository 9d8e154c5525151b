// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "precis/options.h"

namespace precis {

// Learning rates of Adam, relative to the size of a row (refined_tensors.h): Adam moves an element
// by about its rate in a step, whatever the size of its gradient. 0.02 moves a row by its own size
// in about 50 steps that agree, which is what a minute allows; a fitted memory needs less than
// that, and higher rates overfit a few samples within 10 steps.
struct RefineRates {
  double keys = 0.02;
  double values = 0.02;
  double embeddings = 0.02;
};

struct RefineOptions {
  double seconds = 60;    // for everything: reading the text, samples, steps
  int64_t max_steps = 0;  // above 0: ends after so many steps, and decays the rates over them
  uint64_t seed = 1;      // equal seeds and numbers of steps give equal memories

  // Samples. Continuations are of the text without a chat; models without a chat template get twice
  // as many, in place of questions.
  int64_t num_continuations = 6;
  int64_t sample_tokens = 64;             // most tokens of a sample
  double sampling_share = 1.0 / 3;        // share of `seconds` after which nothing is sampled
  double first_sampling_share = 1.0 / 5;  // the same, before the model's questions are answered
  int64_t num_passages = 16;              // most passages of the text itself
  // Weight of a token of a passage beside one of a sample: a memory is for what follows its text,
  // and repetition is what it is worst at.
  double passage_weight = 0.5;
  int64_t held_out_every = 4;  // one of so many samples of a kind is held out

  // Steps.
  RefineRates rates = {};
  int64_t tokens_per_step = 384;  // read in a step, at least; one sample more may start below it
  int64_t warmup_steps = 4;       // Adam's first steps are all of full length
  double final_rate = 0.1;        // share of the rates at the end of the cosine
  int64_t check_every = 5;        // steps between two measurements of the held-out samples
  int64_t patience = 6;           // measurements without a gain that end the refinement
  double min_gain = 1e-4;         // nats a token that count as a gain, above rounding

  CompressProgress progress = {};
  std::function<double()> clock = {};  // seconds since any moment; empty: the steady clock
};

}  // namespace precis
