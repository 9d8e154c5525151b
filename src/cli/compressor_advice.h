// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "precis/extend/decoder.h"

namespace precis::cli {

// Which compressor to use with a model, in five lines. `element_bytes`: of the model's dtype.
std::vector<std::string> which_compressor(const DecoderConfig& model, int64_t element_bytes);

}  // namespace precis::cli
