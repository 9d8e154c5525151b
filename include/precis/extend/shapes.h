// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Sizes of models and compressors, known without their weights. precis/cost.h counts with them.

// The shape of a model: by the name of a published one (llama-2-7b, llama-2-13b, mistral-7b,
// smollm2-135m, qwen2.5-0.5b), or as its files tell it: a config.json, a directory with one, or a
// GGUF file. Throws kNotFound for what is neither, kBadWeights or kUnsupported naming the file.
DecoderConfig model_shape(const std::string& name_or_path);

// What decides, beside the model, how much a compressor computes. Defaults are the published
// compressors' for models of Llama-7B's width.
struct SelfCpShape {
  double ratio = 12.0;        // text tokens per memory token
  int64_t max_segment = 512;  // tokens of a part, here and below
  bool separator = true;      // a token of the model is read before each part
  bool layer_norm = true;     // behind the connector
};

struct IcaeShape {
  int64_t slots = 128;  // memory tokens of every part
  int64_t max_segment = 512;
  int64_t rank = 128;      // of the LoRA on queries and values
  bool connector = false;  // with a LayerNorm
  // Tokens that stand before every text and are divided with it: BOS, as published scripts have it.
  int64_t rows_before = 0;
};

struct GistingShape {
  int64_t num_gists = 1;
  // Frozen form: text tokens for each gist, in place of num_gists.
  std::optional<double> ratio = {};
  bool spread = false;  // frozen form: over the text; then its first row is handed over besides
  int64_t max_segment = 512;
  bool tuned = false;       // the model itself was trained with gists
  int64_t rank = 16;        // frozen form: of the LoRA on q, k and v of the gists' rows; 0: none
  int64_t rows_before = 0;  // tokens of the template that are read with every text
};

// Its query heads share the width of the model: their number changes no figure.
struct IcFormerShape {
  int64_t slots = 128;  // memory tokens of every part
  int64_t max_segment = 512;
  int64_t num_layers = 3;
  int64_t ffn_size = 11008;
  bool connector = false;  // with a LayerNorm
  int64_t num_marks = 0;   // trained rows for the model (AE, FT), which the paper does not count
  int64_t query_heads_per_key = 1;  // keys and values are so many times narrower than the model
};

// A built-in compressor: it has no weights and works with any model.
struct SelectionShape {
  enum class Method { kAttentionMatching, kKvZip };

  Method method = Method::kAttentionMatching;
  double ratio = 4.0;
  int64_t max_segment = 0;  // 0: longest_part() of the model
  int64_t rows_before = 0;  // BOS, read before every part
  int64_t repeat_rows = 0;  // kvzip: tokens of the prompt that asks for the text again
};

using CompressorShape =
    std::variant<SelfCpShape, IcaeShape, GistingShape, IcFormerShape, SelectionShape>;

// The shape of a built-in compressor by its name, "attention_matching" or "kvzip". `tokenizer`, if
// any, is the model's: it tells rows_before and repeat_rows, which are 0 without. Throws kNotFound
// for another name.
SelectionShape built_in_shape(const std::string& name, const Tokenizer* tokenizer = nullptr);

// Text tokens of a part: max_segment or, where that is 0, what fits the model's window. Throws
// kInvalidArgument for a window that holds no text.
int64_t longest_part(const SelectionShape& shape, const DecoderConfig& model);

// The shape of the compressor in a directory. Reads compressor.json and, of compressor.safetensors,
// at most the names. Throws kNotFound, kBadWeights naming the file, or kUnsupported for a method
// that is not built in.
CompressorShape read_compressor_shape(const std::filesystem::path& directory);

}  // namespace precis
