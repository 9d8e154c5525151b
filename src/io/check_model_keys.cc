// SPDX-License-Identifier: Apache-2.0
#include "io/check_model_keys.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "io/in_quotes.h"
#include "io/model_keys.h"

namespace precis {
namespace {

using nlohmann::json;

unsigned reader_of(const std::string& architecture) {
  constexpr std::array<std::pair<std::string_view, unsigned>, 5> kReaders{{{"llama", kLlama},
                                                                           {"mistral", kMistral},
                                                                           {"qwen2", kQwen2},
                                                                           {"qwen3", kQwen3},
                                                                           {"gemma3", kGemma3}}};
  for (const auto& [name, reader] : kReaders) {
    if (architecture == name) return reader;
  }
  fail(ErrorKind::kInternal, "no table of keys for architecture ", architecture);
}

const ModelKey* find_key(std::span<const ModelKey> keys, std::string_view name) {
  const auto found = std::ranges::find_if(keys, [&](const ModelKey& key) {
    return key.name == name || (key.name.ends_with('.') && name.starts_with(key.name));
  });
  return found == keys.end() ? nullptr : &*found;
}

bool is_neutral(const ModelKey& key, const json& value) {
  if (key.neutral == "any" || value.is_null()) return true;
  const json neutral = json::parse(key.neutral);
  return std::find(neutral.begin(), neutral.end(), value) != neutral.end();
}

// null, false, 0 and empty values request nothing.
bool says_nothing(const json& value) {
  return value.is_null() || value == false || value == 0 || value == "" ||
         (value.is_structured() && value.empty());
}

// A value of a file, shortened and quoted for a message.
std::string shown(const json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  return value.dump();
}

// Checks settings one by one. `prefix` precedes their names in the file.
class KeyCheck {
 public:
  KeyCheck(std::span<const ModelKey> keys,
           const std::string& architecture,
           std::string origin,
           std::string prefix = {})
      : keys_(keys),
        reader_(reader_of(architecture)),
        origin_(std::move(origin)),
        prefix_(std::move(prefix)) {}

  bool knows(std::string_view name) const { return find_key(keys_, name) != nullptr; }

  // Throws if the value changes the computation and is not read.
  void check(std::string_view name, const json& value) const {
    const ModelKey& key = *find_key(keys_, name);
    if ((key.readers & reader_) != 0 || is_neutral(key, value)) return;
    fail(ErrorKind::kUnsupported,
         origin_,
         ": ",
         prefix_,
         name,
         " is ",
         shown(value),
         ", which changes what the model computes and is not supported",
         key.meaning.empty() ? "" : " (",
         key.meaning,
         key.meaning.empty() ? "" : ")");
  }

  // Collects keys that are not in the table.
  void note_unknown(const std::string& name, const json& value) {
    if (!says_nothing(value)) unknown_.push_back(prefix_ + name);
  }

  void warn() const {
    constexpr size_t kShown = 8;
    if (unknown_.empty()) return;
    std::string names;
    for (size_t i = 0; i < std::min(kShown, unknown_.size()); ++i)
      names += (i == 0 ? "" : ", ") + in_quotes(unknown_[i]);
    log(LogLevel::kWarning,
        concat(origin_,
               ": settings that are not known are passed over: ",
               names,
               unknown_.size() > kShown ? ", ..." : ""));
  }

 private:
  std::span<const ModelKey> keys_;
  unsigned reader_;
  std::string origin_;
  std::string prefix_;
  std::vector<std::string> unknown_;
};

// The common name of the quantization method in quantization_config.
std::string quantization_method(const json& quantization) {
  if (!quantization.is_object()) return "an unknown method";
  const auto says = [&](const char* key) {
    return quantization.contains(key) && !says_nothing(quantization.at(key));
  };
  std::string method;
  if (says("quant_method") && quantization.at("quant_method").is_string())
    method = quantization.at("quant_method").get<std::string>();
  if (method.empty() && (says("load_in_8bit") || says("load_in_4bit"))) return "bitsandbytes";
  if (method.empty()) return "an unknown method";
  if (method == "gptq") return "GPTQ";
  if (method == "awq") return "AWQ";
  if (method == "fp8" || method == "fbgemm_fp8") return "FP8";
  if (method == "bitsandbytes") return method;
  return in_quotes(method);
}

void refuse_quantization(const json& config, const std::string& origin) {
  for (const std::string key : {"quantization", "quantization_config", "compression_config"}) {
    if (!config.contains(key) || says_nothing(config.at(key))) continue;
    fail(ErrorKind::kUnsupported,
         origin,
         ": the weights are quantised by ",
         key == "quantization" ? "MLX" : quantization_method(config.at(key)),
         " (",
         key,
         "), which is not supported; use the model as it was before, in float32, float16 or "
         "bfloat16, or a GGUF file of it");
  }
}

// Settings of rotary embeddings, which Gemma 3 has for each type of layer.
void note_unknown_rope_keys(KeyCheck& check,
                            const std::string& name,
                            const json& rope,
                            bool typed) {
  if (!rope.is_object()) return;
  for (const auto& [key, value] : rope.items()) {
    const std::string path = concat(name, ".", key);
    if (typed && (key == "full_attention" || key == "sliding_attention")) {
      note_unknown_rope_keys(check, path, value, false);
    } else if (!is_rope_key(key)) {
      check.note_unknown(path, value);
    }
  }
}

json to_json(const GgufValue& value) {
  return std::visit([](const auto& held) { return json(held); }, value);
}

}  // namespace

void check_config_keys(const json& config,
                       const std::string& architecture,
                       const std::string& origin) {
  refuse_quantization(config, origin);
  KeyCheck check(config_keys(), architecture, origin);
  for (const auto& [key, value] : config.items()) {
    if (check.knows(key)) {
      check.check(key, value);
    } else if (!is_beside_the_computation(key)) {
      check.note_unknown(key, value);
    }
  }
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (config.contains(key))
      note_unknown_rope_keys(check, key, config.at(key), architecture == "gemma3");
  }
  check.warn();
}

void check_gguf_keys(const GgufFile& file, const std::string& architecture) {
  const std::string prefix = architecture + ".";
  KeyCheck check(gguf_keys(), architecture, file.path().string(), prefix);
  for (const auto& [key, value] : file.values()) {
    if (!key.starts_with(prefix)) continue;  // keys about the text, the file or its origin
    const std::string name = key.substr(prefix.size());
    if (check.knows(name)) {
      check.check(name, to_json(value));
    } else {
      check.note_unknown(name, to_json(value));
    }
  }
  check.warn();
}

}  // namespace precis
