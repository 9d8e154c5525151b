// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "precis/extend/decoder.h"

namespace precis {

// Counts as precis/extend/cost.h describes them, in doubles.

// A model's sizes as doubles.
struct ModelSizes {
  explicit ModelSizes(const DecoderConfig& model);

  double hidden;
  double head;
  double query;  // width of all query heads
  double key;    // width of all key heads; the same for values
  double ffn;
  double layers;
  double vocabulary;
};

// Number of layers with a sliding window.
int64_t num_windowed(const DecoderConfig& model);

// FLOPs of all layers, without the LM head, for `queries` tokens that attend to `keys` keys each.
double pass_flops(const DecoderConfig& model, double queries, double keys);

}  // namespace precis
