// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "compressors/icae/icae.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// Settings that a published checkpoint does not contain.
struct IcaeImportOptions {
  double alpha = 32.0;                 // of the LoRA, the same in both generations
  std::optional<int64_t> max_segment;  // none: four tokens for each memory token
  // none: by the model's architecture, "llama" or "mistral"; kNone for others. In GGUF files
  // Mistral models have the architecture llama, too.
  std::optional<IcaeGeneration> generation;
  // Read before every text. none: as the generation's scripts do. Mistral's was fine-tuned with an
  // empty one.
  std::optional<std::vector<TokenId>> before_text;
  bool continuation_mark = false;  // trained with add_special_token_for_lm
};

// A checkpoint of the authors' code (github.com/getao/icae): a safetensors file, or a directory
// with model.safetensors or its shards. Read are
//   icae.base_model.model.model.layers.{i}.self_attn.{q_proj,v_proj}.lora_{A,B}.default.weight
//   memory_token_embed.weight
// in any floating type; rank and slots follow from their shapes. Weights of the frozen model, below
// icae.base_model.model or decoder, are skipped. Throws kNotFound for a missing file,
// kUnsupported for a pickle, saying what to run, kBadWeights naming a tensor that is missing,
// surplus or of another shape, and kInvalidArgument for options that do not fit, such as a template
// with ids that the model lacks.
std::unique_ptr<Compressor> import_icae(const std::filesystem::path& source,
                                        const Decoder& decoder,
                                        const IcaeImportOptions& options = {});

}  // namespace precis
