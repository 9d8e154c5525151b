// SPDX-License-Identifier: Apache-2.0
#include "cli/info_shapes.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/check.h"
#include "cli/method_flags.h"
#include "precis/extend/load_tokenizer.h"

namespace precis::cli {
namespace {

bool has_files(const std::filesystem::path& model) {
  std::error_code ignored;
  return std::filesystem::is_directory(model, ignored) || model.extension() == ".gguf";
}

// Null: there is none.
std::unique_ptr<Tokenizer> tokenizer_of(const std::filesystem::path& model) {
  if (!has_files(model)) return nullptr;
  try {
    return load_tokenizer(model);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return nullptr;
  }
}

}  // namespace

void add_shape_flags(CLI::App& command, ShapeFlags& flags, CLI::Option* shape) {
  CLI::Option* method =
      command.add_option("--method", flags.method, method_list(sizing_settings))->needs(shape);
  for (CLI::Option* option : add_method_flags(command, sizing_settings, flags.settings))
    option->needs(method);
}

const CompressorMethod& checked_method(const ShapeFlags& flags) {
  const CompressorMethod& method =
      known_method(flags.method, sizing_settings, ErrorKind::kInvalidArgument, "info: method");
  const auto foreign = foreign_flag(flags.settings, method, sizing_settings);
  PRECIS_CHECK(!foreign, kInvalidArgument, "info: ", *foreign, " says nothing of ", flags.method);
  return method;
}

PlannedCompressor plan_compressor(const ShapeFlags& flags,
                                  const std::string& model_name,
                                  const DecoderConfig& model) {
  const CompressorMethod& method = checked_method(flags);
  // A tokenizer is read only for methods that have prompts of their own.
  const auto tokenizer = method.make_built_in ? tokenizer_of(model_name) : nullptr;
  return method.sizing->plan(flags.settings, model, tokenizer.get());
}

nlohmann::json describe_plan(const CompressorMethod& method, const PlannedCompressor& plan) {
  nlohmann::json result = {{"method", method.name}};
  for (const auto& [name, value] : plan.description)
    std::visit([&](const auto& own) { result[name] = own; }, value);
  return result;
}

}  // namespace precis::cli
