// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "precis/extend/weights.h"

namespace precis {

// Weights as others publish them: a safetensors file, or a Hugging Face directory as
// safetensors_weights() reads it. Throws kUnsupported, saying what to run, where there are pickles
// only; else as safetensors_weights().
std::shared_ptr<const WeightSource> published_weights(const std::filesystem::path& source);

// Throws kUnsupported, saying what to run, for
//   a pickle (.pt, .pth, .bin),
//   a file that is not there while a pickle of the same name but for the ending is,
//   a directory with pytorch_model*.bin that published_weights() would find nothing in.
void refuse_pickles(const std::filesystem::path& source);

}  // namespace precis
