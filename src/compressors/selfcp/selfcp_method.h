// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/compressor_method.h"

namespace precis {

// SelfCP's entry in the registry.
CompressorMethod selfcp_method();

// Its sizes and cost. Sizes: ratio = 12, max_segment = 512, separator = true (a token is
// read before each chunk), layer_norm = true (in the connector).
CompressorSizing selfcp_sizing();

}  // namespace precis
