// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "compressors/gisting.h"
#include "compressors/ic_former.h"
#include "compressors/icae.h"
#include "compressors/selfcp.h"

namespace precis {

// One of each method over a tiny model, untrained, with parts of 20 tokens so that texts of a few
// dozen have several.

inline std::unique_ptr<Compressor> make_small_selfcp(const Decoder& decoder) {
  SelfCpConfig config;
  config.ratio = 4;
  config.max_segment = 20;
  config.separator = 3;
  return create_selfcp(config, decoder);
}

inline std::unique_ptr<Compressor> make_small_icae(const Decoder& decoder) {
  IcaeConfig config;
  config.slots = 4;
  config.max_segment = 20;
  config.rank = 4;
  return create_icae(config, decoder);
}

inline std::unique_ptr<Compressor> make_small_ic_former(const Decoder& decoder) {
  IcFormerConfig config;
  config.slots = 5;
  config.max_segment = 20;
  config.num_heads = 4;
  config.ffn_size = 48;
  config.connector = true;
  return create_ic_former(config, decoder);
}

// Takes whole texts: a cached memory cannot be made of parts.
inline std::unique_ptr<Compressor> make_small_gisting(const Decoder& decoder) {
  GistingConfig config;
  config.num_gists = 3;
  config.rank = 4;
  config.max_segment = 120;
  return create_gisting(config, decoder);
}

}  // namespace precis
