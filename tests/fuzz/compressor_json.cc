// SPDX-License-Identifier: Apache-2.0
// compressor.json beside the weights of a small compressor of the method that it names, and the
// compression of a text with what it describes.
#include <c10/core/GradMode.h>

#include <string_view>

#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "fuzz/small_parts.h"
#include "io/translate_errors.h"
#include "precis/extend/registry.h"

namespace precis::fuzz {
namespace {

constexpr const char* kMethods[] = {
    "ic_former", "icae", "gisting", "attention_matching", "kvzip", "selfcp"};

class Directories {
 public:
  Directories() {
    const c10::NoGradGuard no_grad;
    const Decoder& decoder = small_decoder();
    make_small_selfcp(decoder)->save(of("selfcp"));
    make_small_icae(decoder)->save(of("icae"));
    make_small_ic_former(decoder)->save(of("ic_former"));
    make_small_gisting(decoder)->save(of("gisting"));
    for (const std::string& name : built_in_compressors())
      load_compressor(name, decoder)->save(of(name));
  }

  std::filesystem::path of(const std::string& method) const { return directory_ / method; }

  void write(const std::string& method, const uint8_t* data, size_t size) const {
    directory_.write(method + "/compressor.json", data, size);
  }

 private:
  InputDirectory directory_;
};

// The first one that the input has in it.
std::string method_of(std::string_view input) {
  for (const char* method : kMethods) {
    if (input.find(method) != std::string_view::npos) return method;
  }
  return "selfcp";
}

void compress_with(const std::filesystem::path& directory) {
  const auto compressor = load_compressor(directory, small_decoder());
  compressor->info();
  Segment segment;
  for (TokenId id = 5; id < 35; ++id) segment.tokens.push_back(id);
  const std::vector<Segment> segments{segment};
  translate_errors([&] {
    compressor->memory_size(30, {});
    compressor->compress(segments, {});
  });
}

}  // namespace
}  // namespace precis::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::Directories directories;
  const c10::NoGradGuard no_grad;
  const std::string method = fuzz::method_of({reinterpret_cast<const char*>(data), size});
  directories.write(method, data, size);
  fuzz::expect_result_or_error([&] { fuzz::compress_with(directories.of(method)); });
  return 0;
}
