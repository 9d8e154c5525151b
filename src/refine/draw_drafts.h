// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/segment.h"
#include "refine/refine_prompts.h"

namespace precis {

// A sample that the model draws at temperature 1 behind the full text.
struct Draft {
  const SharedPrefix* full_text = nullptr;
  std::vector<TokenId> prompt = {};  // read behind the text; may be empty
  std::vector<TokenId> ids = {};     // drawn, the stop id included
  bool stopped = false;              // by a stop id, the last of ids
};

struct DrawOptions {
  const RefinePrompts& prompts;  // which ids are drawn, and which stop
  int64_t max_tokens = 0;        // of a draft
  uint64_t seed = 0;
};

// Draws all drafts in one batch, until each has stopped or has max_tokens, or until goes_on(),
// which is asked after every token, returns false. What has been drawn by then stays. Throws
// kBadWeights for logits that are not finite. REQUIRES: gradients off.
void draw_drafts(std::span<Draft> drafts,
                 const DrawOptions& options,
                 const Decoder& decoder,
                 const std::function<bool()>& goes_on);

}  // namespace precis
