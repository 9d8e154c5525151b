// SPDX-License-Identifier: Apache-2.0
#include "cli/compressor_advice.h"

#include "base/check.h"

namespace precis::cli {

std::vector<std::string> which_compressor(const DecoderConfig& model, int64_t element_bytes) {
  const int64_t embedding = model.hidden_size * element_bytes;
  const int64_t cached = 2 * model.num_layers * model.num_kv_heads * model.head_dim * element_bytes;
  return {
      "attention_matching (the default) is the first choice: no training, any model, one pass over "
      "the text",
      "start at --ratio 2 for questions about the text and at --ratio 4 (the default) for its "
      "continuation",
      "kvzip (--compressor kvzip) needs no training either and is worth a try for facts out of "
      "long documents; it is slower, because the model reads the text twice",
      "trained compressors (gisting, selfcp, icae, ic-former) serve one model each: use one only "
      "if you have it for exactly this model",
      concat("selfcp, icae and ic-former make embeddings, which can stand anywhere in a prompt and "
             "take ",
             embedding,
             " bytes a memory token on disk; keys and values (attention_matching, kvzip, gisting) "
             "take ",
             cached)};
}

}  // namespace precis::cli
