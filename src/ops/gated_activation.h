// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis::ops {

// activation(gate) * up, where gate_up: [n, 2 * ffn] holds gate in its first half and up in its
// second. -> [n, ffn]
at::Tensor gated_activation(const at::Tensor& gate_up, DecoderConfig::Activation activation);

namespace reference {
at::Tensor gated_activation(const at::Tensor& gate_up, DecoderConfig::Activation activation);
}

}  // namespace precis::ops
