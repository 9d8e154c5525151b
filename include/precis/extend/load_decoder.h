// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "precis/extend/decoder.h"
#include "precis/options.h"

namespace precis {

// Loads a GGUF file or a Hugging Face directory (config.json and safetensors). `options`: dtype and
// device that it computes in; `format`: how its matrices are stored. Throws kNotFound, kBadWeights
// or kUnsupported with the file's name.
std::unique_ptr<Decoder> load_decoder(const std::filesystem::path& model,
                                      c10::TensorOptions options,
                                      WeightFormat format = WeightFormat::kDtype);

}  // namespace precis
