// SPDX-License-Identifier: Apache-2.0
#include "compressors/selection_cost.h"

#include <algorithm>

#include "base/check.h"
#include "compressors/divide.h"
#include "compressors/divided_cost.h"
#include "compressors/setting_table.h"

namespace precis {
namespace {

SettingTable settings_of(SelectionSizes& sizes) {
  using enum Setting::Limit;
  return {{"ratio", &sizes.ratio, kAtLeast1, "text tokens per memory token"},
          {"max_segment",
           &sizes.max_segment,
           kAtLeast0,
           "text tokens in one pass",
           "",
           "what the model's window holds"},
          {"rows_before", &sizes.rows_before, kAtLeast0},
          {"repeat_rows", &sizes.repeat_rows, kAtLeast0}};
}

SettingTable flags(SelectionSizes& sizes) {
  return pick(settings_of(sizes), {"ratio", "max_segment"});
}

SelectionSizes checked(const CompressorSettings& settings, const std::string& origin) {
  SelectionSizes sizes;
  read_settings(settings, settings_of(sizes), origin);
  check_limits(settings_of(sizes), ErrorKind::kInvalidArgument, origin);
  return sizes;
}

CompressorSettings read(const std::filesystem::path& directory) {
  std::vector<TokenId> bos, repeat;
  read_settings(open_compressor(directory), {{"bos", &bos}, {"repeat", &repeat}});
  return {{"rows_before", std::ssize(bos)}, {"repeat_rows", std::ssize(repeat)}};
}

PlannedCompressor plan(const SelectionMethod& selection,
                       const CompressorSettings& settings,
                       const DecoderConfig& model,
                       const Tokenizer* tokenizer) {
  const SelectionPrompts prompts = selection_prompts(tokenizer);
  PlannedCompressor result;
  result.sizes = {{"rows_before", std::ssize(prompts.bos)},
                  {"repeat_rows", std::ssize(prompts.repeat)}};
  for (const auto& [name, value] : settings) result.sizes[name] = value;
  const SelectionSizes sizes = checked(result.sizes, selection.name);
  PRECIS_CHECK(!settings.contains("max_segment") || sizes.max_segment >= 1,
               kInvalidArgument,
               selection.name,
               ": max_segment is ",
               sizes.max_segment,
               ", expected at least 1");
  result.max_segment = longest_chunk(selection, sizes, model);
  result.sizes["max_segment"] = result.max_segment;
  result.description = {{"ratio", sizes.ratio}, {"max_segment", result.max_segment}};
  return result;
}

// The same rule as SelectingCompressor::memory_size().
SelectionCounts counts_of(const SelectionSizes& sizes, int64_t num_tokens) {
  const int64_t read = sizes.rows_before + num_tokens;
  const int64_t kept = std::max<int64_t>(1, sizes.rows_before);
  const int64_t wanted = tokens_at_ratio(num_tokens, sizes.ratio);
  const bool all = wanted == num_tokens;
  return {read, kept, all ? read : std::min(read, std::max(wanted, kept + 1))};
}

MethodCost chunk_cost(const SelectionMethod& selection,
                      const SelectionSizes& sizes,
                      const DecoderConfig& model,
                      int64_t num_tokens) {
  const SelectionCounts counts = counts_of(sizes, num_tokens);
  const auto read = static_cast<double>(counts.read);
  MethodCost cost;
  cost.cached = true;
  cost.memory_tokens = static_cast<double>(counts.memory);
  cost.compress_flops = pass_flops(model, read, read);
  if (counts.memory < counts.read)
    cost.compress_flops += selection.selection_flops(counts, sizes, model);
  return cost;
}

MethodCost count(const SelectionMethod& selection,
                 const CompressorSettings& settings,
                 const DecoderConfig& model,
                 int64_t num_tokens) {
  const SelectionSizes sizes = checked(settings, "cost");
  check_can_be_read("rows_before", sizes.rows_before);
  check_can_be_read("repeat_rows", sizes.repeat_rows);
  return divided_cost(num_tokens, longest_chunk(selection, sizes, model), [&](int64_t chunk) {
    return chunk_cost(selection, sizes, model, chunk);
  });
}

}  // namespace

int64_t longest_chunk(const SelectionMethod& selection,
                      const SelectionSizes& sizes,
                      const DecoderConfig& model) {
  if (sizes.max_segment > 0) return sizes.max_segment;
  const int64_t longest =
      selection.longest_text(model.context_length, sizes.repeat_rows) - sizes.rows_before;
  PRECIS_CHECK(longest >= 1,
               kInvalidArgument,
               "the model's window of ",
               model.context_length,
               " holds no text beside ",
               sizes.rows_before,
               " tokens before it and ",
               sizes.repeat_rows,
               " that ask for it");
  return longest;
}

CompressorSizing selection_sizing(const SelectionMethod& selection) {
  return {flags_of(flags),
          read,
          [selection](const auto& settings, const auto& model, const Tokenizer* tokenizer) {
            return plan(selection, settings, model, tokenizer);
          },
          [selection](const auto& sizes, const auto& model, int64_t num_tokens) {
            return count(selection, sizes, model, num_tokens);
          }};
}

}  // namespace precis
