// SPDX-License-Identifier: Apache-2.0
// precis tokenize, detokenize: run a model's tokenizer without its weights.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "precis/extend/load_tokenizer.h"

namespace precis::cli {
namespace {

struct TextFlags {
  ModelOptions model;  // dtype and device are accepted and ignored
  std::filesystem::path input;
  bool special = false;
};

std::vector<TokenId> tokenize_with_special(const Tokenizer& tokenizer, const std::string& text) {
  const TextRun run{text, /*trusted=*/true};
  std::vector<TokenId> ids = tokenizer.encode_runs({&run, 1});
  const SpecialTokens& special = tokenizer.special_tokens();
  if (special.add_bos && special.bos) ids.insert(ids.begin(), *special.bos);
  if (special.add_eos && special.eos) ids.push_back(*special.eos);
  return ids;
}

}  // namespace

void add_tokenize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tokenize", "Text to token ids: {\"ids\":[...]}");
  auto flags = std::make_shared<TextFlags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command->add_option("--file", flags->input, "text file, or - for standard input")->required();
  command->add_flag(
      "--special",
      flags->special,
      "add BOS and EOS as the model wants them, and recognise special tokens in the text");
  command->callback([flags] {
    const auto tokenizer = load_tokenizer(flags->model.engine.model);
    const std::string text = read_text_or_none(flags->input);
    print({{"ids",
            flags->special ? tokenize_with_special(*tokenizer, text) : tokenizer->encode(text)}});
  });
}

void add_detokenize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("detokenize", "Token ids to text: {\"text\":...}");
  auto flags = std::make_shared<TextFlags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command->add_option("--ids", flags->input, "JSON array of token ids, or - for standard input")
      ->required();
  command->callback([flags] {
    const auto tokenizer = load_tokenizer(flags->model.engine.model);
    print({{"text", tokenizer->decode(read_ids_or_none(flags->input))}});
  });
}

}  // namespace precis::cli
