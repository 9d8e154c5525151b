// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/cost.h"

#include "base/check.h"
#include "compressors/divided_cost.h"
#include "compressors/pass_flops.h"
#include "precis/extend/registry.h"

namespace precis {
namespace {

// Counts are doubles up to here, since doubles do not wrap around and are exact below 2^53.
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

ContextCost context_cost_of(const DecoderConfig& model, double tokens, int64_t element_bytes) {
  const ModelSizes sizes(model);
  ContextCost cost;
  cost.prefill_flops = pass_flops(model, tokens, tokens);
  cost.decode_flops = pass_flops(model, 1, tokens + 1) + 2 * sizes.hidden * sizes.vocabulary;
  cost.kv_bytes =
      whole(tokens * kv_elements(model) * static_cast<double>(element_bytes), "kv_bytes");
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

const CompressorSizing& sizing_of(const std::string& name) {
  const CompressorMethod* method = find_compressor_method(name);
  PRECIS_CHECK(method != nullptr && method->sizing,
               kUnsupported,
               "cost: what compressors of method \"",
               name,
               "\" compute is not known");
  return *method->sizing;
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
  const CompressorSizing& sizing = sizing_of(compressor.method);
  check(model, num_tokens, element_bytes);
  const MethodCost text = sizing.count(compressor.sizes, model, num_tokens);
  const double elements = text.cached ? kv_elements(model) : ModelSizes(model).hidden;
  CompressionCost cost;
  cost.parameters = whole(text.parameters, "parameters");
  cost.compress_flops = text.compress_flops;
  cost.adapter_flops = text.adapter_flops;
  cost.memory_tokens = whole(text.memory_tokens, "memory_tokens");
  cost.memory_bytes =
      whole(text.memory_tokens * elements * static_cast<double>(element_bytes), "memory_bytes");
  cost.full = context_cost_of(model, static_cast<double>(num_tokens), element_bytes);
  cost.memory = context_cost_of(model, text.memory_tokens, element_bytes);
  if (text.cached) cost.memory.prefill_flops = 0;
  return cost;
}

}  // namespace precis
