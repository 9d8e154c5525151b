// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "compressors/attention_matching/attention_matching_method.h"
#include "compressors/kvzip/kvzip_method.h"
#include "compressors/selecting_compressor.h"

namespace precis {

// A built-in compressor by name, with the given prompts.
inline std::unique_ptr<Compressor> make_built_in(const std::string& name,
                                                 SelectionPrompts prompts,
                                                 const Decoder& decoder) {
  const SelectionMethod method =
      name == "kvzip" ? kvzip_selection() : attention_matching_selection();
  return make_selecting_compressor(method, std::move(prompts), decoder);
}

}  // namespace precis
