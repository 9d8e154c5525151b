// SPDX-License-Identifier: Apache-2.0
// precis convert: writes a compressor's weights in another dtype.
#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "compressors/compressor_files.h"
#include "io/json_file.h"
#include "io/lock_file.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"

namespace precis::cli {
namespace {

struct Flags {
  std::filesystem::path compressor, out;
  std::string dtype = "bfloat16";
};

c10::ScalarType dtype_of(const std::string& name) {
  const std::map<std::string, c10::ScalarType> known{
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};
  const auto found = known.find(name);
  PRECIS_CHECK(found != known.end(),
               kInvalidArgument,
               "convert: --dtype is \"",
               name,
               "\", expected float32, bfloat16 or float16");
  return found->second;
}

// Refuses numbers that would overflow in the dtype.
at::Tensor converted(const StoredTensor& stored, c10::ScalarType dtype) {
  const at::Tensor values = to_tensor(stored);
  if (!values.is_floating_point()) return values;
  const at::Tensor result = values.to(dtype).contiguous();
  PRECIS_CHECK(result.isfinite().all().item<bool>(),
               kInvalidArgument,
               "convert: ",
               stored.name,
               " has values that are out of range for the dtype");
  return result;
}

void run(const Flags& flags) {
  const c10::ScalarType dtype = dtype_of(flags.dtype);
  const CompressorFiles files = open_compressor(flags.compressor);
  PRECIS_CHECK(!std::filesystem::exists(flags.out / "compressor.json"),
               kInvalidArgument,
               flags.out.string(),
               ": holds a compressor already");
  const auto source = SafetensorsFile::open(flags.compressor / "compressor.safetensors");
  std::vector<at::Tensor> values;
  for (const StoredTensor& stored : source.tensors()) values.push_back(converted(stored, dtype));
  std::vector<StoredTensor> tensors;
  int64_t bytes = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    tensors.push_back(to_stored(source.tensors()[i].name, values[i]));
    bytes += static_cast<int64_t>(values[i].nbytes());
  }
  const LockFile lock = lock_directory(flags.out);
  write_safetensors(flags.out / "compressor.safetensors", tensors, source.metadata());
  write_text_file(flags.out / "compressor.json", files.config.dump(2) + "\n");
  print({{"compressor", flags.out.string()}, {"bytes", bytes}});
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("convert", "Write a compressor's weights in another dtype");
  auto flags = std::make_shared<Flags>();
  command->add_option("--compressor", flags->compressor, "compressor directory")->required();
  command->add_option("--dtype", flags->dtype, "float32, bfloat16 or float16")
      ->capture_default_str();
  command->add_option("--out", flags->out, "directory for the converted compressor")->required();
  command->callback([flags] { translate_errors([&] { run(*flags); }); });
}

}  // namespace precis::cli
