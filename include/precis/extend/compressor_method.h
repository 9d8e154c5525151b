// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Settings of a compressor by name, such as {{"slots", 16}, {"connector", true}}. An integer stands
// for a number, too.
using SettingValue = std::variant<bool, int64_t, double, std::string>;
using CompressorSettings = std::map<std::string, SettingValue>;

// One setting that users choose. The program makes its flags of these: "max_segment" is
// --max-segment. Methods that have a flag of one name share it, and its type.
struct SettingFlag {
  enum class Type { kSwitch, kInteger, kNumber, kText };

  std::string name;
  Type type = Type::kInteger;
  std::string help;                       // a phrase, for example "text tokens per memory token"
  std::string default_text = {};          // for the help text; empty: says nothing of a default
  std::vector<std::string> choices = {};  // of a text, in lower case; empty: any text
};

// How a new compressor is made, to be trained. Settings that are not given have the method's
// defaults; the same seed gives the same weights. `tokenizer`, if any, is the decoder's. Throws
// kInvalidArgument for settings that do not fit.
struct CompressorCreation {
  std::vector<SettingFlag> flags;
  std::function<std::unique_ptr<Compressor>(const CompressorSettings& settings,
                                            const Decoder& decoder,
                                            const Tokenizer* tokenizer,
                                            uint64_t seed)>
      create;
};

// How weights in a layout that others publish become a compressor. `source` is a file or a
// directory. Throws as load_compressor(), and kInvalidArgument for settings that do not fit.
struct CompressorImport {
  std::vector<SettingFlag> flags;
  bool source_is_model = false;  // `source` is the tuned model that `decoder` is
  std::function<std::unique_ptr<Compressor>(const std::filesystem::path& source,
                                            const CompressorSettings& settings,
                                            const Decoder& decoder,
                                            const Tokenizer* tokenizer)>
      read;
};

// A compressor of certain sizes that need not exist.
struct PlannedCompressor {
  CompressorSettings sizes;        // what CompressorSizing::count() takes
  CompressorSettings description;  // for people, defaults included
  int64_t max_segment = 0;         // text tokens that it reads in one pass
};

// What a compressor computes for one text, counted as precis/extend/cost.h says. In doubles, which
// do not wrap around and are exact below 2^53.
struct MethodCost {
  double parameters = 0;      // elements that were trained
  double compress_flops = 0;  // text to memory, with LoRA merged into the model's weights
  double adapter_flops = 0;   // what LoRA costs in addition where it is not merged
  double memory_tokens = 0;
  bool cached = false;  // memories are keys and values, not input embeddings
};

// What a compressor costs, from its sizes alone. All throw kInvalidArgument for sizes that no
// compressor of the method has, read() kBadWeights naming the file.
struct CompressorSizing {
  std::vector<SettingFlag> flags;
  // The sizes of the compressor in a directory, without reading its weights.
  std::function<CompressorSettings(const std::filesystem::path& directory)> read;
  // Those that `flags` give, with the published defaults for a model of this shape. `tokenizer`, if
  // any, is the model's.
  std::function<PlannedCompressor(
      const CompressorSettings& settings, const DecoderConfig& model, const Tokenizer* tokenizer)>
      plan;
  // REQUIRES: num_tokens of 1 to 2^24 and a model with layers and heads.
  std::function<MethodCost(
      const CompressorSettings& sizes, const DecoderConfig& model, int64_t num_tokens)>
      count;
};

// Makes a compressor out of its directory. The decoder outlives it.
using CompressorFactory = std::function<std::unique_ptr<Compressor>(
    const std::filesystem::path& directory, const Decoder& decoder)>;

// All that Precis knows of a method. Name and load are required; what is left out, the program
// cannot do with it.
struct CompressorMethod {
  std::string name;            // "method" of compressor.json
  CompressorFactory load;      // for load_compressor() and Engine::load()
  std::string flag_name = {};  // what flags call it; empty: `name`
  // For methods without weights: makes one that has no directory, by the method's name.
  std::function<std::unique_ptr<Compressor>(const Decoder& decoder, const Tokenizer* tokenizer)>
      make_built_in = {};
  std::optional<CompressorCreation> creation = {};  // precis train, precis bench
  std::optional<CompressorSizing> sizing = {};      // precis info, compression_cost()
  std::optional<CompressorImport> importing = {};   // precis import
};

}  // namespace precis
