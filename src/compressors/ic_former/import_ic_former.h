// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "compressors/ic_former/ic_former.h"

namespace precis {

// Settings that a published folder does not contain.
struct IcFormerImportOptions {
  int64_t max_segment = 512;
  IcFormerTemplate instruct;
};

// Reads a published IC-Former folder: config.json (model_type "icformer"), model.safetensors
// ("encoder.layers.0.cross_attn.q_proj.weight", ...) and param.safetensors, which
// third_party/unpickle.py makes of param.pt: digest_embeddings [1, k, hidden], AE [1, 1, hidden]
// and, after fine-tuning, FT [1, 1, hidden]. Throws kNotFound or kBadWeights naming the file,
// kUnsupported for a variant that Precis does not compute and for a folder that has only param.pt.
std::unique_ptr<Compressor> import_ic_former(const std::filesystem::path& folder,
                                             const Decoder& decoder,
                                             const IcFormerImportOptions& options = {});

}  // namespace precis
