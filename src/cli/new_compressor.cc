// SPDX-License-Identifier: Apache-2.0
#include "cli/new_compressor.h"

#include "base/check.h"
#include "cli/method_flags.h"

namespace precis::cli {
namespace {

const CompressorMethod& method_of(const NewCompressor& flags) {
  return known_method(flags.method, creation_settings, ErrorKind::kUnsupported, "method");
}

}  // namespace

void add_new_compressor_flags(CLI::App& command, NewCompressor& flags, CLI::Option* other) {
  for (CLI::Option* option : add_method_flags(command, creation_settings, flags.settings))
    option->excludes(other);
}

void check_method(const NewCompressor& flags) { method_of(flags); }

std::unique_ptr<Compressor> create(const NewCompressor& flags,
                                   const Decoder& decoder,
                                   const Tokenizer* tokenizer) {
  const CompressorMethod& method = method_of(flags);
  const auto foreign = foreign_flag(flags.settings, method, creation_settings);
  PRECIS_CHECK(!foreign, kInvalidArgument, *foreign, " means nothing to method ", flags.method);
  return method.creation->create(flags.settings, decoder, tokenizer, flags.seed);
}

}  // namespace precis::cli
