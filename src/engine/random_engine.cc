// SPDX-License-Identifier: Apache-2.0
#include "engine/random_engine.h"

#include <ATen/core/grad_mode.h>

#include "engine/device.h"
#include "io/translate_errors.h"
#include "models/random_decoder.h"

namespace precis {

Engine random_engine(
    const DecoderConfig& shape,
    const EngineOptions& options,
    const std::function<std::unique_ptr<Compressor>(const Decoder&)>& make_compressor) {
  return translate_errors([&] {
    const c10::NoGradGuard no_grad;
    std::unique_ptr<Decoder> decoder =
        random_decoder(shape, tensor_options(options), options.weights);
    std::unique_ptr<Compressor> compressor;
    if (make_compressor) compressor = make_compressor(*decoder);
    return Engine::assemble(std::move(decoder), std::move(compressor), nullptr, options.serving);
  });
}

}  // namespace precis
