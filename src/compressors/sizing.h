// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <variant>

#include "compressors/compressor_files.h"
#include "compressors/setting_table.h"
#include "precis/extend/compressor_method.h"

namespace precis {

// The sizes of a method as a struct, which starts with the published ones.
template <typename Sizes>
struct SizesOf {
  const char* method;
  SettingTable (*all)(Sizes& sizes);    // CompressorShape::sizes, "max_segment" among them
  SettingTable (*flags)(Sizes& sizes);  // those that users choose
  void (*read)(const CompressorFiles& files, Sizes& sizes);
  MethodCost (*count)(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens);
  // Sets what is chosen by the model where users do not choose it; null: nothing.
  void (*fit_to)(const DecoderConfig& model, Sizes& sizes) = nullptr;
};

template <typename Sizes>
CompressorSettings read_sizes(const SizesOf<Sizes>& own, const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  Sizes sizes;
  own.read(files, sizes);
  check_limits(own.all(sizes), ErrorKind::kBadWeights, files.origin());
  return values_of(own.all(sizes));
}

template <typename Sizes>
PlannedCompressor plan_sizes(const SizesOf<Sizes>& own,
                             const CompressorSettings& settings,
                             const DecoderConfig& model) {
  Sizes sizes;
  if (own.fit_to != nullptr) own.fit_to(model, sizes);
  read_settings(settings, own.flags(sizes), own.method);
  check_limits(own.all(sizes), ErrorKind::kInvalidArgument, own.method);
  PlannedCompressor plan{values_of(own.all(sizes)), values_of(own.flags(sizes))};
  plan.max_segment = std::get<int64_t>(plan.sizes.at("max_segment"));
  return plan;
}

template <typename Sizes>
MethodCost count_sizes(const SizesOf<Sizes>& own,
                       const CompressorSettings& settings,
                       const DecoderConfig& model,
                       int64_t num_tokens) {
  Sizes sizes;
  read_settings(settings, own.all(sizes), "cost");
  check_limits(own.all(sizes), ErrorKind::kInvalidArgument, "cost");
  return own.count(sizes, model, num_tokens);
}

// Reads, plans and counts with these functions.
template <typename Sizes>
CompressorSizing make_sizing(const SizesOf<Sizes>& own) {
  return {flags_of(own.flags),
          [own](const auto& directory) { return read_sizes(own, directory); },
          [own](const auto& settings, const auto& model, const Tokenizer*) {
            return plan_sizes(own, settings, model);
          },
          [own](const auto& settings, const auto& model, int64_t num_tokens) {
            return count_sizes(own, settings, model, num_tokens);
          }};
}

}  // namespace precis
