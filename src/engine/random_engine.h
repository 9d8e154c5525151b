// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "precis/engine.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// An engine over random weights of a shape, without a tokenizer: what it costs is right, what it
// answers means nothing. Dtype, device and weight format are those of `options`; `make_compressor`,
// if any, makes a compressor over the decoder. Throws as tensor_options() and random_decoder().
Engine random_engine(
    const DecoderConfig& shape,
    const EngineOptions& options,
    const std::function<std::unique_ptr<Compressor>(const Decoder&)>& make_compressor = {});

}  // namespace precis
