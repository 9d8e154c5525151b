// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/safetensors_weights.h"
#include "support/damage.h"

namespace precis {

using TensorMap = std::map<std::string, at::Tensor>;

inline constexpr int64_t kTinyLayers = 2;
inline constexpr int64_t kTinyHidden = 32;
inline constexpr int64_t kTinyHeadDim = 8;

// A random Llama of two layers with an untied LM head, under Hugging Face's names, float32. Its
// values are multiples of 1/1024 and none is -0, so that subtracting and adding back is exact.
inline TensorMap random_llama(int64_t vocab_size, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto draw = [&](at::IntArrayRef shape) {
    return (at::randn(shape, generator) * 300).round() / 1024 + 0.0;
  };
  TensorMap tensors;
  tensors["model.embed_tokens.weight"] = draw({vocab_size, kTinyHidden});
  for (int64_t i = 0; i < kTinyLayers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    tensors[layer + "input_layernorm.weight"] = draw({kTinyHidden}) + 1;
    tensors[layer + "post_attention_layernorm.weight"] = draw({kTinyHidden}) + 1;
    for (const char* name : {"q_proj", "o_proj"})
      tensors[layer + "self_attn." + name + ".weight"] = draw({kTinyHidden, kTinyHidden});
    for (const char* name : {"k_proj", "v_proj"})
      tensors[layer + "self_attn." + name + ".weight"] = draw({2 * kTinyHeadDim, kTinyHidden});
    for (const char* name : {"gate_proj", "up_proj"})
      tensors[layer + "mlp." + name + ".weight"] = draw({48, kTinyHidden});
    tensors[layer + "mlp.down_proj.weight"] = draw({kTinyHidden, 48});
  }
  tensors["model.norm.weight"] = draw({kTinyHidden}) + 1;
  tensors["lm_head.weight"] = draw({vocab_size, kTinyHidden});
  return tensors;
}

inline nlohmann::json tiny_llama_config(int64_t vocab_size) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"hidden_size", kTinyHidden},
          {"intermediate_size", 48},
          {"max_position_embeddings", 512},
          {"num_attention_heads", kTinyHidden / kTinyHeadDim},
          {"num_hidden_layers", kTinyLayers},
          {"num_key_value_heads", 2},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float16"},
          {"vocab_size", vocab_size}};
}

inline void write_tensors(const std::filesystem::path& file, const TensorMap& tensors) {
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : tensors) stored.push_back(to_stored(name, tensor));
  write_safetensors(file, stored, {{"format", "pt"}});
}

// A Hugging Face directory, with the tokenizer files copied from the directory `tokenizer`.
inline void write_llama(const std::filesystem::path& directory,
                        const TensorMap& tensors,
                        const std::filesystem::path& tokenizer) {
  std::filesystem::create_directories(directory);
  write_tensors(directory / "model.safetensors", tensors);
  const int64_t vocab_size = tensors.at("model.embed_tokens.weight").size(0);
  overwrite(directory / "config.json", tiny_llama_config(vocab_size).dump());
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"}) {
    if (std::filesystem::exists(tokenizer / name))
      std::filesystem::copy_file(tokenizer / name, directory / name);
  }
}

// A weight difference in the layout that the authors of Gisting publish: tuned minus base. The
// tuned model has one more embedding, which the base counts as zero. Tensors that `base` lacks are
// left out.
inline TensorMap difference_of(const TensorMap& tuned, const TensorMap& base) {
  TensorMap difference;
  for (const auto& [name, before] : base) {
    at::Tensor tensor = tuned.at(name).clone();
    tensor.narrow(0, 0, before.size(0)).sub_(before);
    difference[name] = tensor;
  }
  return difference;
}

}  // namespace precis
