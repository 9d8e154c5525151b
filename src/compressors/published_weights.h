// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "precis/extend/weights.h"

namespace precis {

// Published weights: a safetensors file, or a Hugging Face directory as
// safetensors_weights() reads it. Throws kUnsupported, saying what to run, where there are pickles
// only; else as safetensors_weights().
std::shared_ptr<const WeightSource> published_weights(const std::filesystem::path& source);

// Throws kUnsupported, saying what to run, for
//   a pickle (.pt, .pth, .bin),
//   a missing file where there is a pickle of that name with another extension,
//   a directory with pytorch_model*.bin that published_weights() would find nothing in.
void refuse_pickles(const std::filesystem::path& source);

}  // namespace precis
