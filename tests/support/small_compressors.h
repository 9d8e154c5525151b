// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "compressors/gisting/gisting.h"
#include "compressors/ic_former/ic_former.h"
#include "compressors/icae/icae.h"
#include "compressors/selfcp/selfcp.h"

namespace precis {

// Untrained compressors of each method for a tiny model, with chunks of at most 20 tokens, so that
// texts of a few dozen tokens have several; and their configurations, for tests that change them.

inline SelfCpConfig small_selfcp() {
  SelfCpConfig config;
  config.ratio = 4;
  config.max_segment = 20;
  config.separator = 3;
  return config;
}

inline IcaeConfig small_icae() {
  IcaeConfig config;
  config.slots = 4;
  config.max_segment = 20;
  config.rank = 4;
  return config;
}

inline IcFormerConfig small_ic_former() {
  IcFormerConfig config;
  config.slots = 5;
  config.max_segment = 20;
  config.num_heads = 4;
  config.ffn_size = 48;
  config.connector = true;
  return config;
}

// Does not divide texts: its gists follow the whole text.
inline GistingConfig small_gisting() {
  GistingConfig config;
  config.num_gists = 3;
  config.rank = 4;
  config.max_segment = 120;
  return config;
}

inline std::unique_ptr<Compressor> make_small_selfcp(const Decoder& decoder) {
  return create_selfcp(small_selfcp(), decoder);
}

inline std::unique_ptr<Compressor> make_small_icae(const Decoder& decoder) {
  return create_icae(small_icae(), decoder);
}

inline std::unique_ptr<Compressor> make_small_ic_former(const Decoder& decoder) {
  return create_ic_former(small_ic_former(), decoder);
}

inline std::unique_ptr<Compressor> make_small_gisting(const Decoder& decoder) {
  return create_gisting(small_gisting(), decoder);
}

inline std::unique_ptr<Compressor> make_small_spread_gisting(const Decoder& decoder) {
  GistingConfig config = small_gisting();
  config.num_gists = 1;
  config.ratio = 4;
  config.spread_positions = true;
  return create_gisting(config, decoder);
}

}  // namespace precis
