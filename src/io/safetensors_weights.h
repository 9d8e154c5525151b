// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "precis/extend/weights.h"

namespace precis {

// The weights of a Hugging Face directory, found as transformers does: model.safetensors, even if
// there is an index, too, or else the shards that model.safetensors.index.json names; if a tensor
// is in several shards, the last one counts. Throws kNotFound if there is neither.
std::shared_ptr<const WeightSource> safetensors_weights(const std::filesystem::path& directory);

// The weights of one file.
std::shared_ptr<const WeightSource> safetensors_file_weights(const std::filesystem::path& file);

// A new CPU tensor with the values and dtype of a stored one. Throws kUnsupported for dtypes that
// ATen lacks.
at::Tensor to_tensor(const StoredTensor& stored);

// Describes a tensor for writing. `tensor` (contiguous, on the CPU) must live until it is written.
StoredTensor to_stored(std::string name, const at::Tensor& tensor);

}  // namespace precis
