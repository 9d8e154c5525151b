// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "precis/extend/decoder.h"

namespace precis {

// Counts as precis/cost.h describes them, in doubles.

// A model's sizes, ready to be multiplied.
struct ModelSizes {
  explicit ModelSizes(const DecoderConfig& model);

  double hidden;
  double head;
  double query;  // of all query heads
  double key;    // of all key heads, and as much of values
  double ffn;
  double layers;
  double vocabulary;
};

// Layers whose attention has a window.
int64_t num_windowed(const DecoderConfig& model);

// FLOPs of all layers, without the LM head, over `rows` rows, each of which sees `keys` keys.
double pass_flops(const DecoderConfig& model, double rows, double keys);

}  // namespace precis
