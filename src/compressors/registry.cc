// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/registry.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/check.h"
#include "base/nearest.h"
#include "compressors/compressor_files.h"
#include "compressors/gisting/gisting.h"
#include "compressors/ic_former/ic_former.h"
#include "compressors/icae/icae.h"
#include "compressors/selecting_compressor.h"
#include "compressors/selfcp/selfcp.h"

namespace precis {
namespace {

template <typename Load>
CompressorFactory built_in(const Load& load) {
  return [load](const std::filesystem::path& directory, const Decoder& decoder) {
    return load(open_compressor(directory), decoder);
  };
}

// The only state of the library: names, never behaviour of a call that is under way.
class Registry {
 public:
  static Registry& instance() {
    static Registry registry;
    return registry;
  }

  void add(const std::string& method, CompressorFactory factory) {
    const std::lock_guard lock(mutex_);
    PRECIS_CHECK(!method.empty() && factory,
                 kInvalidArgument,
                 "register_compressor: a name and a factory are needed");
    const bool added = factories_.emplace(method, std::move(factory)).second;
    PRECIS_CHECK(
        added, kInvalidArgument, "register_compressor: \"", method, "\" is registered already");
  }

  // Empty for an unknown method.
  CompressorFactory find(const std::string& method) const {
    const std::lock_guard lock(mutex_);
    const auto found = factories_.find(method);
    return found == factories_.end() ? CompressorFactory() : found->second;
  }

  std::string known() const {
    const std::lock_guard lock(mutex_);
    std::string names;
    for (const auto& [name, factory] : factories_) names += concat(names.empty() ? "" : ", ", name);
    return names;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, CompressorFactory> factories_{
      {"selfcp", built_in(load_selfcp)},
      {"icae", built_in(load_icae)},
      {"gisting", built_in(load_gisting)},
      {"ic_former", built_in(load_ic_former)},
      {kDefaultCompressor, built_in(load_selecting_compressor)},
      {"kvzip", built_in(load_selecting_compressor)},
  };
};

std::unique_ptr<Compressor> open_directory(const std::filesystem::path& directory,
                                           const Decoder& decoder) {
  const CompressorFiles files = open_compressor(directory);
  const std::string method = files.config["method"];
  const CompressorFactory factory = Registry::instance().find(method);
  PRECIS_CHECK(factory,
               kUnsupported,
               files.origin(),
               ": method \"",
               method,
               "\" is not supported (known: ",
               Registry::instance().known(),
               ")");
  if (files.config.contains("base")) check_base(files, decoder);
  std::unique_ptr<Compressor> compressor = factory(directory, decoder);
  PRECIS_CHECK(compressor != nullptr,
               kInvalidArgument,
               files.origin(),
               ": what is registered as \"",
               method,
               "\" made no compressor");
  return compressor;
}

std::string names_of_built_ins() {
  std::string names;
  for (const std::string& one : built_in_compressors())
    names += concat(names.empty() ? "" : ", ", one);
  return names;
}

std::unique_ptr<Compressor> make_built_in(const std::string& name,
                                          const Decoder& decoder,
                                          const Tokenizer* tokenizer) {
  PRECIS_CHECK(std::ranges::count(built_in_compressors(), name) > 0,
               kNotFound,
               name,
               ": no such directory, and no built-in compressor has this name (built in: ",
               names_of_built_ins(),
               "; a directory with compressor.json works too)",
               did_you_mean(name, built_in_compressors()));
  return make_selecting_compressor(name, selection_prompts(tokenizer), decoder);
}

}  // namespace

void register_compressor(const std::string& method, CompressorFactory factory) {
  Registry::instance().add(method, std::move(factory));
}

std::vector<std::string> built_in_compressors() { return {kDefaultCompressor, "kvzip"}; }

std::unique_ptr<Compressor> load_compressor(const std::filesystem::path& directory_or_name,
                                            const Decoder& decoder,
                                            const Tokenizer* tokenizer) {
  // A directory of the same name is "./kvzip".
  const bool is_name = std::ranges::count(built_in_compressors(), directory_or_name.string()) > 0 ||
                       !std::filesystem::exists(directory_or_name);
  return is_name ? make_built_in(directory_or_name.string(), decoder, tokenizer)
                 : open_directory(directory_or_name, decoder);
}

}  // namespace precis
