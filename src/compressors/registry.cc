// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/registry.h"

#include <algorithm>
#include <deque>
#include <mutex>

#include "base/check.h"
#include "base/nearest.h"
#include "compressors/attention_matching/attention_matching_method.h"
#include "compressors/compressor_files.h"
#include "compressors/gisting/gisting_method.h"
#include "compressors/ic_former/ic_former_method.h"
#include "compressors/icae/icae_method.h"
#include "compressors/kvzip/kvzip_method.h"
#include "compressors/selfcp/selfcp_method.h"

namespace precis {
namespace {

// The library's methods, one row each. Of those without weights the default comes first.
std::deque<CompressorMethod> own_methods() {
  return {selfcp_method(),
          icae_method(),
          gisting_method(),
          ic_former_method(),
          attention_matching_method(),
          kvzip_method()};
}

// The registered methods, the library's only global state. Methods are added, never changed or
// removed, and a deque keeps references to them valid.
class Registry {
 public:
  static Registry& instance() {
    static Registry registry;
    return registry;
  }

  void add(CompressorMethod method) {
    PRECIS_CHECK(!method.name.empty() && method.load,
                 kInvalidArgument,
                 "register_compressor: a name and a factory are needed");
    const std::lock_guard lock(mutex_);
    PRECIS_CHECK(find_locked(method.name) == nullptr,
                 kInvalidArgument,
                 "register_compressor: \"",
                 method.name,
                 "\" is registered already");
    methods_.push_back(std::move(method));
  }

  const CompressorMethod* find(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    return find_locked(name);
  }

  std::vector<const CompressorMethod*> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<const CompressorMethod*> all;
    for (const CompressorMethod& method : methods_) all.push_back(&method);
    return all;
  }

 private:
  const CompressorMethod* find_locked(const std::string& name) const {
    const auto found = std::ranges::find(methods_, name, &CompressorMethod::name);
    return found == methods_.end() ? nullptr : &*found;
  }

  mutable std::mutex mutex_;
  std::deque<CompressorMethod> methods_ = own_methods();
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += concat(text.empty() ? "" : ", ", name);
  return text;
}

std::string known_methods() {
  std::vector<std::string> names;
  for (const CompressorMethod* method : compressor_methods()) names.push_back(method->name);
  return joined(names);
}

std::unique_ptr<Compressor> open_directory(const std::filesystem::path& directory,
                                           const Decoder& decoder) {
  const CompressorFiles files = open_compressor(directory);
  const std::string name = files.config["method"];
  const CompressorMethod* method = find_compressor_method(name);
  PRECIS_CHECK(method != nullptr,
               kUnsupported,
               files.origin(),
               ": method \"",
               name,
               "\" is not supported (known: ",
               known_methods(),
               ")");
  if (files.config.contains("base")) check_base(files, decoder);
  std::unique_ptr<Compressor> compressor = method->load(directory, decoder);
  PRECIS_CHECK(compressor != nullptr,
               kInvalidArgument,
               files.origin(),
               ": what is registered as \"",
               name,
               "\" made no compressor");
  return compressor;
}

std::unique_ptr<Compressor> make_built_in(const std::string& name,
                                          const Decoder& decoder,
                                          const Tokenizer* tokenizer) {
  const CompressorMethod* method = find_compressor_method(name);
  PRECIS_CHECK(method != nullptr && method->make_built_in,
               kNotFound,
               name,
               ": no such directory, and no built-in compressor has this name (built in: ",
               joined(built_in_compressors()),
               "; a directory with compressor.json works too)",
               did_you_mean(name, built_in_compressors()));
  return method->make_built_in(decoder, tokenizer);
}

}  // namespace

void register_compressor(CompressorMethod method) { Registry::instance().add(std::move(method)); }

void register_compressor(const std::string& name, CompressorFactory load) {
  CompressorMethod method;
  method.name = name;
  method.load = std::move(load);
  register_compressor(std::move(method));
}

std::vector<const CompressorMethod*> compressor_methods() { return Registry::instance().all(); }

const CompressorMethod* find_compressor_method(const std::string& name) {
  return Registry::instance().find(name);
}

std::vector<std::string> built_in_compressors() {
  std::vector<std::string> names;
  for (const CompressorMethod* method : compressor_methods())
    if (method->make_built_in) names.push_back(method->name);
  return names;
}

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
