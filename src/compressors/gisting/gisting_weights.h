// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "compressors/gisting/gisting.h"
#include "precis/extend/adapter.h"
#include "precis/extend/decoder.h"

namespace precis {

// One projection that the LoRA of gisting's frozen form changes.
struct AdaptedProjection {
  std::string name;  // "layers.0.q_proj"
  LoraWeights& change;
  int64_t outputs;
};

// The adapted projections of all layers of `adapter`, which they point into: q, k and v; in the
// last layer k and v.
std::vector<AdaptedProjection> adapted_projections(Adapter& adapter, const DecoderConfig& config);

// Throws kInvalidArgument for tensors that are missing or of another shape than the configuration
// says.
void check_gisting_weights(GistingWeights& weights,
                           const GistingConfig& config,
                           const Decoder& decoder);

}  // namespace precis
