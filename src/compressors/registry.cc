// SPDX-License-Identifier: Apache-2.0
#include "compressors/registry.h"

#include "base/check.h"
#include "compressors/compressor_files.h"
#include "compressors/selfcp.h"

namespace precis {
namespace {

struct Method {
  const char* name;
  std::unique_ptr<Compressor> (*load)(const CompressorFiles&, const Decoder&);
};

constexpr Method kMethods[] = {
    {"selfcp", load_selfcp},
};

std::string known_methods() {
  std::string names;
  for (const Method& method : kMethods) names += concat(names.empty() ? "" : ", ", method.name);
  return names;
}

}  // namespace

std::unique_ptr<Compressor> load_compressor(const std::filesystem::path& directory,
                                            const Decoder& decoder) {
  const CompressorFiles files = open_compressor(directory);
  const std::string name = files.config["method"];
  for (const Method& method : kMethods) {
    if (name == method.name) return method.load(files, decoder);
  }
  fail(ErrorKind::kUnsupported,
       files.origin(),
       ": method \"",
       name,
       "\" is not supported (known: ",
       known_methods(),
       ")");
}

}  // namespace precis
