// SPDX-License-Identifier: Apache-2.0
#include "compressors/selection_cost.h"

#include <algorithm>

#include "base/check.h"
#include "compressors/compressor_files.h"
#include "compressors/compressor_settings.h"
#include "compressors/divide.h"
#include "compressors/divided_cost.h"
#include "compressors/settings_reader.h"

namespace precis {
namespace {

SelectionSizes checked(const CompressorSettings& settings,
                       ErrorKind kind,
                       const std::string& origin) {
  SettingsReader reader(settings, kind, origin);
  SelectionSizes sizes;
  reader.read_ratio("ratio", sizes.ratio);
  reader.read_at_least(0, "max_segment", sizes.max_segment);
  reader.read_at_least(0, "rows_before", sizes.rows_before);
  reader.read_at_least(0, "repeat_rows", sizes.repeat_rows);
  reader.check_all_read();
  return sizes;
}

CompressorSettings read(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const Settings config(files);
  return {{"rows_before", std::ssize(config.ids("bos"))},
          {"repeat_rows", std::ssize(config.ids("repeat"))}};
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
  const SelectionSizes sizes = checked(result.sizes, ErrorKind::kInvalidArgument, selection.name);
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
  const SelectionSizes sizes = checked(settings, ErrorKind::kInvalidArgument, "cost");
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
  using Type = SettingFlag::Type;
  return {
      {{"ratio", Type::kNumber, "text tokens per memory token", "4"},
       {"max_segment", Type::kInteger, "text tokens in one pass", "what the model's window holds"}},
      read,
      [selection](const auto& settings, const auto& model, const Tokenizer* tokenizer) {
        return plan(selection, settings, model, tokenizer);
      },
      [selection](const auto& sizes, const auto& model, int64_t num_tokens) {
        return count(selection, sizes, model, num_tokens);
      }};
}

}  // namespace precis
