// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "compressors/compressor_files.h"
#include "precis/extend/registry.h"
#include "precis/extend/shapes.h"

namespace precis {

CompressorShape read_compressor_shape(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const std::string name = files.config["method"];
  const CompressorMethod* method = find_compressor_method(name);
  PRECIS_CHECK(method != nullptr && method->sizing,
               kUnsupported,
               files.origin(),
               ": what compressors of method \"",
               name,
               "\" compute is not known");
  return {name, method->sizing->read(directory)};
}

}  // namespace precis
