// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "compressors/gisting/gisting.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// What a published checkpoint does not say of itself.
struct GistingImportOptions {
  int64_t num_gists = 1;  // k: the published models were tuned with one
  int64_t max_segment = 512;
  // none: <GIST> of the tokenizer, else the one row that the model has more than the tokenizer ids
  std::optional<TokenId> gist_id;
  bool input = true;  // whether a text follows the memory; the authors' template has two forms
};

// The compressor of a model that was itself tuned with gists by the code of the paper's authors
// (arXiv 2304.08467, github.com/jayelm/gisting): the tuned form, without tensors of its own. Its
// ids are those of their template,
//   Instruction: {segment}\n<GIST>\nInput: {text}\nOutput:
//   Instruction: {segment}\n<GIST>\nOutput:                  without input
// as the tokenizer of that time gave them: it took the white space around <GIST> away, so that what
// stands behind begins a text anew. Throws kInvalidArgument for options out of range, kBadWeights
// where no id is left for the gist.
std::unique_ptr<Compressor> import_gisting(const Decoder& tuned,
                                           const Tokenizer& tokenizer,
                                           const GistingImportOptions& options = {});

}  // namespace precis
