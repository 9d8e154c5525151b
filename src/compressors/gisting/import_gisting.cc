// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/import_gisting.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"

namespace precis {
namespace {

using Ids = std::vector<TokenId>;

constexpr const char* kGist = "<GIST>";  // its name, where the tokenizer knows it

// Ids of a text inside another. Encoded on its own, SentencePiece would put a space before it.
Ids encode_inside(const Tokenizer& tokenizer, const std::string& text) {
  const std::string letter = "a";
  const Ids before = tokenizer.encode(letter), whole = tokenizer.encode(letter + text);
  const auto [end, rest] = std::ranges::mismatch(before, whole);
  return end == before.end() ? Ids(rest, whole.end()) : tokenizer.encode(text);
}

Ids before_text(const Tokenizer& tokenizer) {
  Ids ids;
  if (const auto bos = tokenizer.special_tokens().bos) ids.push_back(*bos);
  for (const TokenId id : tokenizer.encode("Instruction:")) ids.push_back(id);
  return ids;
}

TokenId find_gist(const Tokenizer& tokenizer, const Decoder& tuned) {
  if (const auto named = tokenizer.find(kGist)) return *named;
  const int64_t rows = tuned.config().vocab_size, ids = tokenizer.vocab_size();
  PRECIS_CHECK(rows == ids + 1,
               kBadWeights,
               "gisting: the model's vocabulary has ",
               rows,
               " rows, expected one more than the ",
               ids,
               " ids of the tokenizer, for the gist");
  return ids;
}

void check_gist(TokenId gist, const Tokenizer& tokenizer) {
  PRECIS_CHECK(gist >= tokenizer.vocab_size() || tokenizer.find(kGist) == gist,
               kBadWeights,
               "gisting: the gist's id ",
               gist,
               " means something else to the tokenizer, which has ",
               tokenizer.vocab_size(),
               " ids");
}

}  // namespace

SettingTable gisting_import_settings(GistingImportFlags& flags) {
  const auto kNone = Setting::Limit::kNone;
  return {{"memory_tokens",
           &flags.options.num_gists,
           kNone,
           "gist tokens that the model was tuned with"},
          {"max_segment", &flags.options.max_segment, kNone, "text tokens in one pass"},
          {"no_input",
           &flags.no_input,
           kNone,
           "for prompts without a text after the memory (\"Input:\")"}};
}

GistingImportOptions gisting_import_options(const CompressorSettings& settings) {
  GistingImportFlags flags;
  read_settings(settings, gisting_import_settings(flags), "gisting");
  flags.options.input = !flags.no_input;
  return flags.options;
}

std::unique_ptr<Compressor> import_gisting(const Decoder& tuned,
                                           const Tokenizer& tokenizer,
                                           const GistingImportOptions& options) {
  GistingConfig config;
  config.form = GistingConfig::Form::kTuned;
  config.num_gists = options.num_gists;
  config.max_segment = options.max_segment;
  config.gist_id = options.gist_id ? *options.gist_id : find_gist(tokenizer, tuned);
  check_gist(*config.gist_id, tokenizer);
  config.before_text = before_text(tokenizer);
  if (options.input) {
    config.after = tokenizer.encode("Input:");
    config.end = encode_inside(tokenizer, "\nOutput:");
  } else {
    config.after = tokenizer.encode("Output:");
  }
  return make_gisting(config, {}, tuned);
}

}  // namespace precis
