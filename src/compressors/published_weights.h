// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "precis/extend/weights.h"

namespace precis {

// Published weights: a safetensors file, or a Hugging Face directory as safetensors_weights() reads
// it. Throws kUnsupported, with the command to run, if there are pickles only; otherwise as
// safetensors_weights().
std::shared_ptr<const WeightSource> published_weights(const std::filesystem::path& source);

// Throws kUnsupported, with the command to run, for
//   a pickle (.pt, .pth, .bin),
//   a missing file where there is a pickle of that name with another extension,
//   a directory that has pytorch_model*.bin and no safetensors.
void refuse_pickles(const std::filesystem::path& source);

}  // namespace precis
