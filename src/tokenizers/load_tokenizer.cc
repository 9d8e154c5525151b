// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/load_tokenizer.h"

#include <system_error>

#include "base/check.h"
#include "io/in_quotes.h"
#include "io/json_file.h"
#include "tokenizers/gguf_tokenizer.h"
#include "tokenizers/sentencepiece_tokenizer.h"
#include "tokenizers/tokenizer_json.h"
#include "tokenizers/tokenizer_settings.h"

namespace precis {
namespace {

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;  // a file that cannot be accessed counts as missing
  return std::filesystem::exists(path, ignored);
}

bool is_model_directory(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

std::unique_ptr<Tokenizer> load_directory_tokenizer(const std::filesystem::path& directory) {
  const TokenizerSettings settings = load_tokenizer_settings(directory);
  const auto json_path = directory / "tokenizer.json";
  if (is_there(json_path)) return load_tokenizer_json(json_path, settings);
  const auto model_path = directory / "tokenizer.model";
  if (is_there(model_path)) {
    return load_sentencepiece_tokenizer(model_path, settings);
  }
  fail(ErrorKind::kNotFound,
       directory.string(),
       ": neither tokenizer.json nor tokenizer.model is there");
}

}  // namespace

std::unique_ptr<Tokenizer> load_gguf_tokenizer(const GgufFile& file) {
  const std::string_view model = file.string("tokenizer.ggml.model").value_or("");
  if (model == "gpt2") return make_gguf_bpe_tokenizer(file);
  if (model == "llama") return make_gguf_spm_tokenizer(file);
  fail(ErrorKind::kUnsupported,
       file.path().string(),
       ": tokenizer.ggml.model ",
       in_quotes(model),
       " (known: gpt2, llama)");
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model) {
  if (is_model_directory(model)) return load_directory_tokenizer(model);
  return load_gguf_tokenizer(GgufFile::open(model));
}

std::optional<std::string> load_gguf_chat_template(const GgufFile& file) {
  const auto source = file.string("tokenizer.chat_template");
  if (!source) return std::nullopt;
  return std::string(*source);
}

std::optional<std::string> load_chat_template(const std::filesystem::path& model) {
  if (!is_model_directory(model)) {
    return load_gguf_chat_template(GgufFile::open(model));
  }
  const auto own_file = model / "chat_template.jinja";
  if (is_there(own_file)) return read_file(own_file);
  return load_tokenizer_settings(model).chat_template;
}

}  // namespace precis
