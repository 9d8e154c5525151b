// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/cost.h"

#include <variant>

#include "base/check.h"
#include "compressors/compressor_shape.h"
#include "compressors/divide.h"
#include "compressors/pass_flops.h"
#include "compressors/selection_cost.h"

namespace precis {
namespace {

// Bounds the list of parts that a text is divided into.
constexpr int64_t kLongestText = int64_t{1} << 24;

// Counts are doubles until they are given out: these do not wrap around, and they are exact as long
// as the result is below 2^53.
int64_t whole(double count, const char* name) {
  PRECIS_CHECK(count < 9007199254740992.0,
               kInvalidArgument,
               "cost: ",
               name,
               " would be ",
               count,
               ", which is more than can be counted");
  return static_cast<int64_t>(count);
}

double kv_elements(const DecoderConfig& model) {
  const ModelSizes sizes(model);
  return 2 * sizes.layers * sizes.key;
}

ContextCost context_cost_of(const DecoderConfig& model, double rows, int64_t element_bytes) {
  const ModelSizes sizes(model);
  ContextCost cost;
  cost.prefill_flops = pass_flops(model, rows, rows);
  cost.decode_flops = pass_flops(model, 1, rows + 1) + 2 * sizes.hidden * sizes.vocabulary;
  cost.kv_bytes = whole(rows * kv_elements(model) * static_cast<double>(element_bytes), "kv_bytes");
  return cost;
}

void check(const DecoderConfig& model, int64_t num_tokens, int64_t element_bytes) {
  PRECIS_CHECK(num_tokens >= 1 && num_tokens <= kLongestText,
               kInvalidArgument,
               "cost: the length is ",
               num_tokens,
               " tokens, expected 1 to ",
               kLongestText);
  PRECIS_CHECK(element_bytes >= 1,
               kInvalidArgument,
               "cost: elements are ",
               element_bytes,
               " bytes, expected at least 1");
  PRECIS_CHECK(model.num_layers >= 1 && model.hidden_size >= 1 && model.num_kv_heads >= 1 &&
                   model.num_heads >= model.num_kv_heads,
               kInvalidArgument,
               "cost: the model has ",
               model.num_layers,
               " layers of width ",
               model.hidden_size,
               ", ",
               model.num_heads,
               " heads over ",
               model.num_kv_heads);
}

// W, b and a LayerNorm.
double connector_parameters(const ModelSizes& m, bool layer_norm) {
  return m.hidden * m.hidden + m.hidden + (layer_norm ? 2 * m.hidden : 0);
}

double connector_flops(const ModelSizes& m, double rows) { return 2 * rows * m.hidden * m.hidden; }

// The two matrices beside one projection of the hidden state.
double lora_parameters(const ModelSizes& m, int64_t rank, double outputs) {
  return static_cast<double>(rank) * (m.hidden + outputs);
}

double lora_parameters(const IcaeShape& shape, const ModelSizes& m) {
  return m.layers *
         (lora_parameters(m, shape.rank, m.query) + lora_parameters(m, shape.rank, m.key));
}

// The last layer's queries have none: nobody reads what the gists find there.
double lora_parameters(const GistingShape& shape, const ModelSizes& m) {
  if (shape.tuned) return 0;
  return (m.layers - 1) * lora_parameters(m, shape.rank, m.query) +
         m.layers * 2 * lora_parameters(m, shape.rank, m.key);
}

// What becomes of one part of `tokens` tokens, for each method.
struct PartCost {
  double compress_flops = 0;
  double adapter_flops = 0;
  double memory_tokens = 0;
};

double memory_tokens(double tokens, double ratio) {
  return static_cast<double>(tokens_at_ratio(static_cast<int64_t>(tokens), ratio));
}

PartCost part_cost(const SelfCpShape& shape, const DecoderConfig& model, double tokens) {
  const double tags = memory_tokens(tokens, shape.ratio);
  const double rows = (shape.separator ? 1 : 0) + tokens + tags;
  return {pass_flops(model, rows, rows) + connector_flops(ModelSizes(model), tags), 0, tags};
}

PartCost part_cost(const IcaeShape& shape, const DecoderConfig& model, double tokens) {
  const ModelSizes sizes(model);
  const auto slots = static_cast<double>(shape.slots);
  const double rows = tokens + slots;
  const double connector = shape.connector ? connector_flops(sizes, slots) : 0;
  return {
      pass_flops(model, rows, rows) + connector, 2 * rows * lora_parameters(shape, sizes), slots};
}

PartCost part_cost(const GistingShape& shape, const DecoderConfig& model, double tokens) {
  const double gists =
      shape.ratio ? memory_tokens(tokens, *shape.ratio) : static_cast<double>(shape.num_gists);
  const double rows = static_cast<double>(shape.rows_before) + tokens + gists;
  const bool first_row = shape.spread && (shape.rows_before > 0 || tokens >= 2 * gists);
  return {pass_flops(model, rows, rows),
          2 * gists * lora_parameters(shape, ModelSizes(model)),
          gists + (first_row ? 1 : 0)};
}

double key_width(const IcFormerShape& shape, const ModelSizes& m) {
  return m.hidden / static_cast<double>(shape.query_heads_per_key);
}

// Queries, outputs and the MLP are of the digests only, keys and values of all rows.
PartCost part_cost(const IcFormerShape& shape, const DecoderConfig& model, double tokens) {
  const ModelSizes sizes(model);
  const auto slots = static_cast<double>(shape.slots);
  const double hidden = sizes.hidden, keys = key_width(shape, sizes), rows = tokens + slots;
  const double layer = 4 * slots * hidden * hidden + 4 * hidden * rows * (keys + slots) +
                       6 * slots * hidden * static_cast<double>(shape.ffn_size);
  const double connector = shape.connector ? connector_flops(sizes, slots) : 0;
  return {static_cast<double>(shape.num_layers) * layer + connector, 0, slots};
}

PartCost part_cost(const SelectionShape& shape, const DecoderConfig& model, double tokens) {
  const auto whole_tokens = static_cast<int64_t>(tokens);
  return {selection_flops(shape, model, whole_tokens),
          0,
          static_cast<double>(selected_rows(shape, whole_tokens))};
}

double parameters(const SelfCpShape& shape, const ModelSizes& m) {
  return connector_parameters(m, shape.layer_norm) + m.hidden;
}

// AE, LM and FT stand beside the memory tokens.
double parameters(const IcaeShape& shape, const ModelSizes& m) {
  return lora_parameters(shape, m) + (static_cast<double>(shape.slots) + 3) * m.hidden +
         (shape.connector ? connector_parameters(m, true) : 0);
}

double parameters(const GistingShape& shape, const ModelSizes& m) {
  if (shape.tuned) return 0;
  return lora_parameters(shape, m) + static_cast<double>(shape.num_gists) * m.hidden;
}

// Queries, outputs, keys, values, the MLP and three gains a layer; one more gain behind the last.
double parameters(const IcFormerShape& shape, const ModelSizes& m) {
  const double layer = 2 * m.hidden * (m.hidden + key_width(shape, m)) +
                       3 * m.hidden * static_cast<double>(shape.ffn_size) + 3 * m.hidden;
  const double rows = static_cast<double>(shape.slots) + static_cast<double>(shape.num_marks);
  return static_cast<double>(shape.num_layers) * layer + m.hidden + rows * m.hidden +
         (shape.connector ? connector_parameters(m, true) : 0);
}

double parameters(const SelectionShape&, const ModelSizes&) { return 0; }

void check_can_be_read(const char* name, int64_t rows) {
  PRECIS_CHECK(rows <= kLongestText,
               kInvalidArgument,
               "cost: ",
               name,
               " is ",
               rows,
               ", expected at most ",
               kLongestText);
}

// What is divided into parts, for a text of `num_tokens`.
template <typename Shape>
int64_t tokens_to_divide(const Shape&, int64_t num_tokens) {
  return num_tokens;
}

int64_t tokens_to_divide(const IcaeShape& shape, int64_t num_tokens) {
  check_can_be_read("rows_before", shape.rows_before);
  return shape.rows_before + num_tokens;
}

int64_t tokens_to_divide(const SelectionShape& shape, int64_t num_tokens) {
  check_can_be_read("rows_before", shape.rows_before);
  check_can_be_read("repeat_rows", shape.repeat_rows);
  return num_tokens;
}

template <typename Shape>
int64_t tokens_of_part(const Shape& shape, const DecoderConfig&) {
  return shape.max_segment;
}

int64_t tokens_of_part(const SelectionShape& shape, const DecoderConfig& model) {
  return longest_part(shape, model);
}

// A text in its parts: all but the last are of one size.
template <typename Shape>
PartCost text_cost(const Shape& shape, const DecoderConfig& model, int64_t num_tokens) {
  const int64_t tokens = tokens_to_divide(shape, num_tokens);
  const auto parts = divide(tokens, tokens_of_part(shape, model));
  const auto of = [&](const TokenRange& part) {
    return part_cost(shape, model, static_cast<double>(part.size));
  };
  const PartCost first = of(parts.front()), last = of(parts.back());
  const auto others = static_cast<double>(parts.size() - 1);
  return {others * first.compress_flops + last.compress_flops,
          others * first.adapter_flops + last.adapter_flops,
          others * first.memory_tokens + last.memory_tokens};
}

// Whether its memories are keys and values.
bool makes_cached(const CompressorShape& compressor) {
  return std::holds_alternative<GistingShape>(compressor) ||
         std::holds_alternative<SelectionShape>(compressor);
}

void check_divides(const CompressorShape& compressor, int64_t num_tokens) {
  const auto* gisting = std::get_if<GistingShape>(&compressor);
  PRECIS_CHECK(gisting == nullptr || gisting->spread || num_tokens <= gisting->max_segment,
               kInvalidArgument,
               "cost: gisting with gists behind the text does not divide it, and ",
               num_tokens,
               " tokens are over its limit of ",
               gisting->max_segment);
}

}  // namespace

int64_t count_parameters(const DecoderConfig& model) {
  const ModelSizes m(model);
  const auto if_any = [](bool any, double count) { return any ? count : 0; };
  const double attention = 2 * m.hidden * (m.query + m.key) +
                           if_any(model.qkv_bias, m.query + 2 * m.key) +
                           if_any(model.output_bias, m.hidden) + if_any(model.qk_norm, 2 * m.head);
  const double mlp = 3 * m.hidden * m.ffn + if_any(model.mlp_bias, 2 * m.ffn + m.hidden);
  const double norms = (model.sandwich_norms ? 4 : 2) * m.hidden;
  const double tables = (model.tied_head ? 1 : 2) * m.vocabulary * m.hidden;
  return whole(m.layers * (attention + mlp + norms) + m.hidden + tables, "parameters");
}

ContextCost context_cost(const DecoderConfig& model, int64_t num_tokens, int64_t element_bytes) {
  check(model, num_tokens, element_bytes);
  return context_cost_of(model, static_cast<double>(num_tokens), element_bytes);
}

CompressionCost compression_cost(const DecoderConfig& model,
                                 const CompressorShape& compressor,
                                 int64_t num_tokens,
                                 int64_t element_bytes) {
  check_compressor_shape(compressor, ErrorKind::kInvalidArgument, "cost");
  check(model, num_tokens, element_bytes);
  check_divides(compressor, num_tokens);
  const ModelSizes sizes(model);
  const bool cached = makes_cached(compressor);
  const PartCost text = std::visit(
      [&](const auto& shape) { return text_cost(shape, model, num_tokens); }, compressor);
  const double row = cached ? kv_elements(model) : sizes.hidden;
  CompressionCost cost;
  cost.parameters =
      whole(std::visit([&](const auto& shape) { return parameters(shape, sizes); }, compressor),
            "parameters");
  cost.compress_flops = text.compress_flops;
  cost.adapter_flops = text.adapter_flops;
  cost.memory_tokens = whole(text.memory_tokens, "memory_tokens");
  cost.memory_bytes =
      whole(text.memory_tokens * row * static_cast<double>(element_bytes), "memory_bytes");
  cost.full = context_cost_of(model, static_cast<double>(num_tokens), element_bytes);
  cost.memory = context_cost_of(model, text.memory_tokens, element_bytes);
  if (cached) cost.memory.prefill_flops = 0;
  return cost;
}

}  // namespace precis
