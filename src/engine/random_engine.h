// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "precis/engine.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// An engine with random weights of a shape, without a tokenizer, to measure time and memory. Dtype,
// device and weight format are those of `options`. `make_compressor`, if any, makes a compressor
// for the decoder. Throws as tensor_options() and random_decoder().
Engine random_engine(
    const DecoderConfig& shape,
    const EngineOptions& options,
    const std::function<std::unique_ptr<Compressor>(const Decoder&)>& make_compressor = {});

}  // namespace precis
