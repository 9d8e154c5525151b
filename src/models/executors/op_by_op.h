// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "base/pass_threads.h"
#include "models/layer.h"
#include "precis/extend/decoder.h"

namespace precis::models {

// Runs every layer and the final norm op by op: any input, on any device, differentiable. The
// reference of the other executors. Arguments as of Decoder::forward; calls threads.adapt() after
// each layer. -> [num_tokens or num_outputs, hidden]
at::Tensor run_op_by_op(const LayerStack& stack,
                        const DecoderInput& input,
                        KvCache& cache,
                        const Adapter* adapter,
                        const LayerObserver* observer,
                        PassThreads& threads);

}  // namespace precis::models
