// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "compressors/gisting/gisting.h"
#include "compressors/setting_table.h"
#include "precis/extend/compressor_method.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Settings that a published checkpoint does not contain.
struct GistingImportOptions {
  int64_t num_gists = 1;  // k: the published models were tuned with one
  int64_t max_segment = 512;
  // none: <GIST> of the tokenizer, else the last embedding of a model that has one more than its
  // tokenizer has ids
  std::optional<TokenId> gist_id;
  bool input = true;  // whether a text follows the memory: the authors' template has both forms
};

// What users choose of them.
struct GistingImportFlags {
  GistingImportOptions options;
  bool no_input = false;
};
SettingTable gisting_import_settings(GistingImportFlags& flags);
GistingImportOptions gisting_import_options(const CompressorSettings& settings);

// The compressor of a model that was itself tuned with gists by the code of the paper's authors
// (arXiv 2304.08467, github.com/jayelm/gisting): the tuned form, without tensors of its own. Its
// ids are those of their template,
//   Instruction: {segment}\n<GIST>\nInput: {text}\nOutput:
//   Instruction: {segment}\n<GIST>\nOutput:                  without input
// as the authors' version of the tokenizer encoded it: white space around <GIST> was stripped, so
// that the text after it is tokenized as if it began a prompt. Throws kInvalidArgument for options
// out of range, kBadWeights where no id is left for the gist.
std::unique_ptr<Compressor> import_gisting(const Decoder& tuned,
                                           const Tokenizer& tokenizer,
                                           const GistingImportOptions& options = {});

}  // namespace precis
