// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "precis/extend/compressor_method.h"
#include "precis/extend/decoder.h"

namespace precis {

// Sizes of models and compressors, known without their weights. precis/extend/cost.h counts with
// them.

// The shape of a model: by the name of a published one (llama-2-7b, llama-2-13b, mistral-7b,
// smollm2-135m, qwen2.5-0.5b), or as its files tell it: a config.json, a directory with one, or a
// GGUF file. Throws kNotFound for what is neither, kBadWeights or kUnsupported naming the file.
DecoderConfig model_shape(const std::string& name_or_path);

// A compressor by its sizes, as its method names them (src/compressors/README.md). Those left out
// are the published compressor's for models of Llama-7B's width.
struct CompressorShape {
  std::string method;
  CompressorSettings sizes = {};
};

// The shape of the compressor in a directory. Reads compressor.json and, of compressor.safetensors,
// at most the names. Throws kNotFound, kBadWeights naming the file, or kUnsupported for a method
// that does not say what it computes.
CompressorShape read_compressor_shape(const std::filesystem::path& directory);

}  // namespace precis
