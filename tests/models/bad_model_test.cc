// SPDX-License-Identifier: Apache-2.0
// Models that are damaged, incomplete or of an unknown kind are refused with a message that names
// the fault.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "gguf_pieces.h"
#include "precis/engine.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

std::string fingerprint_of(const fs::path& model) {
  return load_decoder(model, at::kFloat)->fingerprint();
}

void load_engine(const fs::path& model) {
  EngineOptions options;
  options.model = model;
  options.dtype = Dtype::kFloat32;
  Engine::load(options);
}

class BadModel : public testing::Test {
 protected:
  // A golden model to be damaged.
  fs::path copy_of(const std::string& name) const {
    fs::copy(kModels / name, directory / name, fs::copy_options::recursive);
    return directory / name;
  }

  // Expects an error with this text and the model's path in its message, from every way of loading.
  static void refuse(const fs::path& model, ErrorKind kind, const std::string& message) {
    expect_error(kind, message, [&] { load_decoder(model, at::kFloat); });
    expect_error(kind, model.string(), [&] { load_decoder(model, at::kFloat); });
    expect_error(kind, message, [&] { load_engine(model); });
  }

  TemporaryDirectory directory;
};

TEST_F(BadModel, AMissingOneIsNamed) {
  refuse(directory / "nowhere", ErrorKind::kNotFound, "nowhere");
  refuse(directory / "nowhere.gguf", ErrorKind::kNotFound, "nowhere.gguf");
}

// config.json

class BadConfig : public BadModel {
 protected:
  void refuse_config(const std::string& text, ErrorKind kind, const std::string& message) const {
    overwrite(model / "config.json", text);
    refuse(model, kind, message);
  }

  // The golden configuration with these values changed; null removes a key.
  void refuse_values(const json& values, ErrorKind kind, const std::string& message) const {
    json changed = config;
    changed.merge_patch(values);
    refuse_config(changed.dump(), kind, message);
  }

  const fs::path model = copy_of("llama");
  const json config = read_json(model / "config.json");
};

TEST_F(BadConfig, AMissingOneIsNamed) {
  fs::remove(model / "config.json");
  refuse(model, ErrorKind::kNotFound, "config.json");
}

TEST_F(BadConfig, OtherJsonThanAnObjectIsRefused) {
  refuse_config("", ErrorKind::kBadWeights, "config.json: not valid JSON");
  refuse_config("{\"model_type\": ", ErrorKind::kBadWeights, "config.json: not valid JSON");
  refuse_config("[]", ErrorKind::kBadWeights, "config.json: not a JSON object");
  refuse_config("{\n \"hidden_size\": 32,\n \"vocab_size\" 320\n}",
                ErrorKind::kBadWeights,
                "config.json: not valid JSON: line 3, column 17: ");
  refuse_config("{\"architectures\": [\"\xff\"]}",
                ErrorKind::kBadWeights,
                "config.json: not valid JSON: line 1, column 21: ");
  refuse_config(std::string(100'000, '['),
                ErrorKind::kBadWeights,
                "line 1, column 201: more than 200 objects and arrays in each other");
}

TEST_F(BadConfig, AnUnknownArchitectureIsNamed) {
  refuse_values({{"model_type", "mamba"}}, ErrorKind::kUnsupported, "\"mamba\" is not supported");
  refuse_values({{"model_type", nullptr}}, ErrorKind::kUnsupported, "\"\" is not supported");
  refuse_values({{"model_type", 7}}, ErrorKind::kBadWeights, "model_type is not a string");
}

TEST_F(BadConfig, AMissingSizeIsNamed) {
  for (const std::string key : {"vocab_size",
                                "hidden_size",
                                "num_hidden_layers",
                                "num_attention_heads",
                                "intermediate_size"}) {
    refuse_values({{key, nullptr}}, ErrorKind::kBadWeights, key + " is missing");
  }
}

TEST_F(BadConfig, InvalidSizesAreNamed) {
  for (const json& size : {json(0), json(-1), json(INT64_MAX), json(UINT64_MAX)})
    refuse_values({{"hidden_size", size}}, ErrorKind::kBadWeights, "hidden_size is");
  for (const json& size : {json("32"), json(32.5), json(true), json::array({32})})
    refuse_values({{"hidden_size", size}}, ErrorKind::kBadWeights, "hidden_size is not an integer");
  refuse_values({{"num_hidden_layers", 5000}}, ErrorKind::kBadWeights, "num_hidden_layers is 5000");
  refuse_values({{"num_key_value_heads", 3}}, ErrorKind::kBadWeights, "no multiple of 3 key heads");
  refuse_values({{"head_dim", 7}}, ErrorKind::kBadWeights, "head_dim is 7");
}

TEST_F(BadConfig, RotarySettingsAreChecked) {
  const auto refuse_scaling = [&](const json& scaling, ErrorKind kind, const std::string& message) {
    refuse_values({{"rope_scaling", scaling}}, kind, message);
  };
  refuse_values({{"rope_theta", "large"}}, ErrorKind::kBadWeights, "rope_theta is not a number");
  refuse_values({{"rope_theta", -1}}, ErrorKind::kBadWeights, "rope_theta is -1");
  refuse_scaling({{"rope_type", "dynamic"}}, ErrorKind::kUnsupported, "\"dynamic\"");
  refuse_scaling({{"rope_type", 5}}, ErrorKind::kBadWeights, "config.json");
  refuse_scaling({{"rope_type", "linear"}, {"factor", 0}}, ErrorKind::kBadWeights, "factor is 0");
  refuse_scaling(
      {{"rope_type", "yarn"}, {"truncate", "yes"}}, ErrorKind::kBadWeights, "config.json");
  refuse_scaling({{"rope_type", "precis_divisors"}}, ErrorKind::kBadWeights, "divisors");
  refuse_scaling({{"rope_type", "precis_divisors"}, {"divisors", {1.0}}},
                 ErrorKind::kBadWeights,
                 "1 divisors of rotary frequencies, expected 4");
}

TEST_F(BadConfig, RotarySettingsThatAreNoObjectAreRefused) {
  for (const json& value : {json("yarn"), json(4.0), json(true), json::array({"yarn", 4.0})}) {
    for (const std::string key : {"rope_scaling", "rope_parameters"})
      refuse_values({{key, value}}, ErrorKind::kBadWeights, key + " is not an object");
  }
  const fs::path gemma = copy_of("gemma3_text");
  json changed = read_json(gemma / "config.json");
  for (const std::string layers : {"full_attention", "sliding_attention"}) {
    changed["rope_parameters"] = {{layers, 1e6}};
    overwrite(gemma / "config.json", changed.dump());
    refuse(gemma, ErrorKind::kBadWeights, layers + " is not an object");
  }
}

TEST_F(BadConfig, AScalingWithoutItsFactorIsRefused) {
  for (const char* type : {"linear", "llama3", "yarn"}) {
    for (const char* key : {"rope_scaling", "rope_parameters"})
      refuse_values({{key, {{"rope_type", type}}}}, ErrorKind::kBadWeights, "factor is missing");
  }
}

// With a base of 1 YaRN divides by log 1; below 1 frequencies grow beyond float32.
TEST_F(BadConfig, RotaryBasesThatAreNotAbove1AreNamed) {
  for (const json& scaling : {json(nullptr), json{{"rope_type", "yarn"}, {"factor", 4}}}) {
    for (const double theta : {1.0, 0.5, 1e-300}) {
      refuse_values({{"rope_theta", theta}, {"rope_scaling", scaling}},
                    ErrorKind::kBadWeights,
                    "rope_theta is " + concat(theta) + ", expected above 1");
    }
  }
  const fs::path gemma = copy_of("gemma3_text");
  damage_json(gemma / "config.json", [](json& changed) { changed["rope_local_base_freq"] = 1; });
  refuse(gemma, ErrorKind::kBadWeights, "rope_local_base_freq is 1, expected above 1");
}

TEST_F(BadConfig, ATokenizerWithMoreIdsThanTheModelIsRefused) {
  const fs::path small = copy_of("mistral_window");
  fs::copy(kModels / "llama" / "tokenizer.json", small);
  expect_error(ErrorKind::kBadWeights, "the tokenizer has 320 ids, the model 96", [&] {
    load_engine(small);
  });
}

// model.safetensors

class BadSafetensors : public BadModel {
 protected:
  template <typename Damage>
  void damage(const Damage& change) const {
    damage_tensors(weights, change);
  }

  const fs::path model = copy_of("llama");
  const fs::path weights = model / "model.safetensors";
};

TEST_F(BadSafetensors, WithoutDamageTheModelLoads) {
  damage([](TensorFile&) {});
  EXPECT_EQ(fingerprint_of(model), fingerprint_of(kModels / "llama"));
}

TEST_F(BadSafetensors, AMissingFileIsNamed) {
  fs::remove(weights);
  refuse(model, ErrorKind::kNotFound, "model.safetensors");
}

TEST_F(BadSafetensors, ATruncatedFileIsNamed) {
  cut_end(weights, 10);
  refuse(model, ErrorKind::kBadWeights, "that the file has");
  overwrite(weights, "");
  refuse(model, ErrorKind::kBadWeights, "model.safetensors: 0 bytes");
}

TEST_F(BadSafetensors, AMissingTensorIsNamed) {
  damage([](TensorFile& file) { file.remove("model.layers.1.mlp.up_proj.weight"); });
  refuse(model, ErrorKind::kBadWeights, "model.layers.1.mlp.up_proj.weight is missing");
}

TEST_F(BadSafetensors, ASurplusTensorIsNamed) {
  damage([](TensorFile& file) {
    TensorFile::Tensor extra = file.at("model.layers.2.mlp.up_proj.weight");
    extra.name = "model.layers.3.mlp.up_proj.weight";
    file.add(extra);
  });
  refuse(model, ErrorKind::kBadWeights, "does not use: model.layers.3.mlp.up_proj.weight");
}

TEST_F(BadSafetensors, ATensorOfAnotherShapeIsNamed) {
  damage([](TensorFile& file) { file.at("model.embed_tokens.weight").shape = {32, 320}; });
  refuse(
      model, ErrorKind::kBadWeights, "model.embed_tokens.weight is [32, 320], expected [320, 32]");
}

TEST_F(BadSafetensors, IntegersInPlaceOfWeightsAreNamed) {
  damage([](TensorFile& file) { file.at("model.norm.weight").dtype = "I32"; });
  refuse(model, ErrorKind::kBadWeights, "model.norm.weight is I32, expected a floating type");
}

TEST_F(BadSafetensors, AFloatOfEightBitsIsNamedWithItsFile) {
  damage([](TensorFile& file) {
    TensorFile::Tensor& norm_weight = file.at("model.norm.weight");
    norm_weight.dtype = "F8_E4M3";
    norm_weight.bytes.resize(32);
  });
  refuse(model, ErrorKind::kUnsupported, "model.norm.weight");
  refuse(model, ErrorKind::kUnsupported, "F8_E4M3");
}

// Shards

class BadShards : public BadModel {
 protected:
  template <typename Damage>
  void damage_index(const Damage& change) const {
    damage_json(index, change);
  }
  void refuse_index(const json& content, const std::string& message) const {
    overwrite(index, content.dump());
    refuse(model, ErrorKind::kBadWeights, message);
  }

  const fs::path model = copy_of("qwen3");
  const fs::path index = model / "model.safetensors.index.json";
  const fs::path first = model / "model-00001-of-00002.safetensors";
  const fs::path second = model / "model-00002-of-00002.safetensors";
};

TEST_F(BadShards, WithoutDamageTheModelLoads) {
  damage_index([](json&) {});
  damage_tensors(second, [](TensorFile&) {});
  EXPECT_EQ(fingerprint_of(model), fingerprint_of(kModels / "qwen3"));
}

TEST_F(BadShards, AMissingShardIsNamed) {
  fs::remove(second);
  refuse(model, ErrorKind::kNotFound, second.string());
}

TEST_F(BadShards, ATruncatedShardIsNamed) {
  cut_end(second, 10);
  refuse(model, ErrorKind::kBadWeights, second.string());
}

TEST_F(BadShards, ATensorThatNoShardHasIsNamed) {
  const std::string name = SafetensorsFile::open(second).tensors().front().name;
  damage_tensors(second, [&](TensorFile& file) { file.remove(name); });
  refuse(model, ErrorKind::kBadWeights, name + " is missing");
}

TEST_F(BadShards, ShardsOutsideTheDirectoryAreRefused) {
  fs::copy(first, directory.path());
  const json good = read_json(index);
  for (const std::string& name :
       {"../" + first.filename().string(), first.string(), std::string("./x"), std::string()}) {
    json content = good;
    content["weight_map"]["model.norm.weight"] = name;
    refuse_index(content, "shard \"" + name + "\" is not a file beside the index");
  }
}

TEST_F(BadShards, AnIndexWithoutAMapIsRefused) {
  refuse_index(json::object(), "weight_map is missing");
  refuse_index(json::array(), "weight_map is missing");
  refuse_index({{"weight_map", json::array()}}, "weight_map is missing");
  refuse_index({{"weight_map", json::object()}}, "weight_map is empty");
  refuse_index({{"weight_map", {{"model.norm.weight", 7}}}}, "no file for model.norm.weight");
  overwrite(index, "{\"weight_map\":");
  refuse(model, ErrorKind::kBadWeights, "index.json: not valid JSON");
  overwrite(index, std::string(100'000, '['));
  refuse(model, ErrorKind::kBadWeights, "more than 200 objects and arrays");
}

// GGUF

class BadGguf : public BadModel {
 protected:
  void write(const GgufPieces& pieces) const { pieces.write(model); }

  void refuse_pieces(const GgufPieces& pieces, ErrorKind kind, const std::string& message) const {
    write(pieces);
    refuse(model, kind, message);
  }

  // As a converter for another architecture would write it.
  void rename_architecture(const std::string& to) {
    pieces.pair("general.architecture").value = GgufPieces::text_value(to);
    for (GgufPieces::Pair& pair : pieces.pairs) {
      if (pair.key.starts_with("llama.")) pair.key = to + pair.key.substr(5);
    }
  }

  const fs::path model = directory / "model.gguf";
  GgufPieces pieces = GgufPieces(kModels / "llama.gguf");
};

TEST_F(BadGguf, WithoutDamageTheModelLoads) {
  write(pieces);
  EXPECT_EQ(fingerprint_of(model), fingerprint_of(kModels / "llama.gguf"));
  load_engine(model);
}

TEST_F(BadGguf, AnUnknownArchitectureIsNamed) {
  rename_architecture("phi3");
  refuse_pieces(pieces, ErrorKind::kUnsupported, "\"phi3\" is not supported");
}

TEST_F(BadGguf, AnUnknownArchitectureIsNamedWhateverItsMetadata) {
  pieces.pair("general.architecture").value = GgufPieces::text_value("mamba");
  refuse_pieces(pieces, ErrorKind::kUnsupported, "\"mamba\" is not supported");
}

// The layout of tensors depends on GGUF's name of the architecture: under Hugging Face's name they
// would be read wrongly.
TEST_F(BadGguf, ArchitecturesOfHuggingFaceAreUnknown) {
  GgufPieces gemma(kModels / "gemma3_text.gguf");
  gemma.pair("general.architecture").value = GgufPieces::text_value("gemma3_text");
  for (GgufPieces::Pair& pair : gemma.pairs) {
    if (pair.key.starts_with("gemma3.")) pair.key = "gemma3_text" + pair.key.substr(6);
  }
  refuse_pieces(gemma, ErrorKind::kUnsupported, "\"gemma3_text\" is not supported");
  rename_architecture("mistral");
  refuse_pieces(pieces, ErrorKind::kUnsupported, "\"mistral\" is not supported");
}

TEST_F(BadGguf, AMissingKeyIsNamed) {
  for (const std::string key : {"general.architecture",
                                "llama.embedding_length",
                                "llama.block_count",
                                "llama.feed_forward_length",
                                "llama.context_length",
                                "llama.attention.head_count"}) {
    GgufPieces without = pieces;
    without.remove_pair(key);
    refuse_pieces(without, ErrorKind::kBadWeights, key + " is missing");
  }
}

TEST_F(BadGguf, InvalidValuesAreNamed) {
  const auto refuse_value =
      [&](const std::string& key, const std::string& value, const std::string& message) {
        GgufPieces changed = pieces;
        changed.pair(key).value = value;
        refuse_pieces(changed, ErrorKind::kBadWeights, message);
      };
  const std::string zero = GgufPieces::number_value(0), text = GgufPieces::text_value("four");
  refuse_value("general.architecture", zero, "\"general.architecture\" has another type");
  refuse_value("llama.block_count", text, "\"llama.block_count\" has another type");
  refuse_value("llama.block_count", zero, "num_hidden_layers is 0");
  refuse_value("llama.attention.head_count", text, "head_count\" has another type");
  refuse_value("llama.attention.head_count", zero, "head_count is 0");
  refuse_value("llama.attention.head_count_kv", zero, "num_key_value_heads is 0");
}

TEST_F(BadGguf, AMissingTensorIsNamed) {
  GgufPieces without = pieces;
  without.remove_tensor("blk.1.ffn_up.weight");
  refuse_pieces(without, ErrorKind::kBadWeights, "layers.1.mlp.up_proj.weight is missing");
  pieces.remove_tensor("token_embd.weight");
  refuse_pieces(pieces, ErrorKind::kBadWeights, "token_embd.weight is missing");
}

TEST_F(BadGguf, ASurplusTensorIsNamed) {
  GgufPieces::Tensor extra = pieces.tensor("blk.2.ffn_up.weight");
  extra.name = "blk.3.ffn_up.weight";
  GgufPieces with = pieces;
  with.tensors.push_back(extra);
  refuse_pieces(with, ErrorKind::kBadWeights, "does not use: model.layers.3.mlp.up_proj.weight");
  extra.name = "blk.0.attn_sinks.weight";
  pieces.tensors.push_back(extra);
  refuse_pieces(pieces, ErrorKind::kBadWeights, "does not use: blk.0.attn_sinks.weight");
}

TEST_F(BadGguf, ATensorUnderBothOfItsNamesIsRefused) {
  GgufPieces::Tensor twin = pieces.tensor("blk.0.attn_q.weight");
  twin.name = "model.layers.0.self_attn.q_proj.weight";
  pieces.tensors.push_back(twin);
  refuse_pieces(pieces, ErrorKind::kBadWeights, "stands twice");
}

TEST_F(BadGguf, ATensorOfAnotherShapeIsNamed) {
  pieces.tensor("blk.0.ffn_up.weight").dimensions = {48, 32};
  refuse_pieces(
      pieces, ErrorKind::kBadWeights, "layers.0.mlp.up_proj.weight is [32, 48], expected [48, 32]");
}

TEST_F(BadGguf, AWrongNumberOfDivisorsIsRefused) {
  GgufPieces scaled(kModels / "llama3_rope.gguf");
  GgufPieces::Tensor& divisors = scaled.tensor("rope_freqs.weight");
  divisors.dimensions = {4};
  divisors.bytes.resize(4 * sizeof(float));
  refuse_pieces(scaled, ErrorKind::kBadWeights, "4 divisors of rotary frequencies, expected 8");
}

TEST_F(BadGguf, ATruncatedFileIsRefusedWhereverItEnds) {
  write(pieces);
  const std::string whole = read_file(model);
  for (const size_t size :
       {size_t{0}, size_t{3}, size_t{100}, whole.size() / 3, whole.size() / 2, whole.size() - 64}) {
    overwrite(model, whole.substr(0, size));
    refuse(model, ErrorKind::kBadWeights, "model.gguf");
  }
}

}  // namespace
}  // namespace precis
