// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "io/gguf.h"
#include "precis/extend/weights.h"

namespace precis {

// A GGUF model translated to Hugging Face's names and layouts, the only ones that code outside this
// folder handles.

// config.json as transformers would have written it. Throws kUnsupported for an unknown
// architecture, kBadWeights for missing metadata.
nlohmann::json gguf_config(const GgufFile& file);

// Tensors under their Hugging Face names, dequantised when loaded, with GGUF's conventions undone:
// rows of Llama's Q and K permuted for interleaved rotary pairs, Gemma's norm weights stored as 1 +
// w. Tensors without a Hugging Face name keep their own, so that the loader reports them as unused.
std::shared_ptr<const WeightSource> gguf_weights(std::shared_ptr<const GgufFile> file);

}  // namespace precis
