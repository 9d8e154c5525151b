// SPDX-License-Identifier: Apache-2.0
#include "prompt/splice.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "memory/ragged.h"

namespace precis {
namespace {

void check_hidden_size(const at::Tensor& embeddings, const DecoderConfig& config) {
  PRECIS_CHECK(embeddings.size(1) == config.hidden_size,
               kInvalidArgument,
               "prompt: a memory has rows of ",
               embeddings.size(1),
               ", the model ",
               config.hidden_size);
}

void check_cached(const CachedTokens& cached, const DecoderConfig& config) {
  const KvShape shape = config.kv_shape();
  PRECIS_CHECK(kv_shape_of(cached) == shape,
               kInvalidArgument,
               "prompt: a cached memory has keys [",
               cached.keys.sizes(),
               "], the model ",
               shape.num_layers,
               " layers of ",
               shape.num_kv_heads,
               " key heads of ",
               shape.head_dim);
}

bool same_prefix(const SharedPrefix* a, const SharedPrefix* b) {
  return a == b || (a != nullptr && b != nullptr && a->tokens() == b->tokens());
}

bool same_tensor(const at::Tensor& a, const at::Tensor& b) {
  return a.const_data_ptr() == b.const_data_ptr() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

bool same_memory(const PlacedMemory& a, const PlacedMemory& b) {
  return same_tensor(a.memory.keys, b.memory.keys) &&
         same_tensor(a.memory.values, b.memory.values) && a.first_position == b.first_position &&
         a.next_position() == b.next_position() && a.num_left_out == b.num_left_out;
}

// [num_inputs, hidden]
at::Tensor input_embeddings(const PromptLayout& layout, const Decoder& decoder) {
  if (layout.num_inputs() == 0)
    return at::empty({0, decoder.config().hidden_size}, decoder.options());
  const c10::Device device = decoder.options().device();
  const at::Tensor ids = at::tensor(layout.input_ids, at::kLong).to(device);
  if (layout.input_embeddings.empty()) return decoder.embed(ids);
  std::vector<at::Tensor> embeddings;
  for (const at::Tensor& own : layout.input_embeddings) {
    check_hidden_size(own, decoder.config());
    embeddings.push_back(own.to(decoder.options()));
  }
  return decoder.embed_spliced(ids,
                               embeddings.size() == 1 ? embeddings[0] : at::cat(embeddings, 0),
                               at::tensor(layout.source_indices, at::kLong).to(device));
}

}  // namespace

int64_t SplicedPrompt::num_computed_tokens() const {
  return embeddings.size(0) + (prefix ? prefix->size() : 0);
}

int64_t SplicedPrompt::cache_length() const {
  int64_t length = num_computed_tokens();
  for (const PlacedMemory& placed : cached)
    length += placed.memory.num_tokens() - placed.num_left_out;
  return length;
}

SplicedPrompt splice(const PromptLayout& layout, const Decoder& decoder) {
  SplicedPrompt spliced;
  for (const PlacedMemory& placed : layout.cached) check_cached(placed.memory, decoder.config());
  spliced.cached = layout.cached;
  spliced.embeddings = input_embeddings(layout, decoder);
  spliced.positions = at::arange(layout.start,
                                 layout.start + layout.num_inputs(),
                                 at::TensorOptions(at::kLong).device(decoder.options().device()));
  spliced.start = layout.start;
  spliced.prefix = layout.prefix;
  spliced.tokens = layout.ids;
  return spliced;
}

void check_has_inputs(const PromptLayout& layout) {
  PRECIS_CHECK(layout.num_inputs() > 0,
               kInvalidArgument,
               "prompt: nothing follows the memory, so that there is nothing to answer");
}

SplicedPrompt splice(std::span<const PromptItem> items,
                     const Decoder& decoder,
                     std::shared_ptr<const SharedPrefix> prefix,
                     int64_t to_follow) {
  const PromptLayout layout = lay_out(items, decoder.config(), std::move(prefix), to_follow);
  check_has_inputs(layout);
  return splice(layout, decoder);
}

CachedTokens placed_tokens(const PlacedMemory& placed, const DecoderConfig& config) {
  if (!placed.rebased) return placed.memory;
  const CachedTokens moved = rebase(placed.memory, config, placed.first_position);
  return placed.num_left_out == 0 ? moved : without_first(moved, placed.num_left_out);
}

bool starts_with(const SplicedPrompt& prompt,
                 const SharedPrefix* prefix,
                 std::span<const PlacedMemory> cached) {
  return same_prefix(prompt.prefix.get(), prefix) &&
         std::ranges::equal(prompt.cached, cached, same_memory);
}

void preload(const SplicedPrompt& prompt,
             const Decoder& decoder,
             KvCache& cache,
             int64_t sequence) {
  if (prompt.prefix) cache.copy_sequence(prompt.prefix->keys_and_values(decoder), 0, sequence);
  for (const PlacedMemory& placed : prompt.cached) {
    const CachedTokens memory = placed_tokens(placed, decoder.config());
    if (memory.is_ragged()) {
      cache.add_ragged(sequence,
                       std::make_shared<RaggedKv>(to_ragged_kv(memory, decoder.options())));
      continue;
    }
    // One unbind(), whose backward pass is one stack().
    const auto keys = memory.keys.to(decoder.options()).unbind(0);
    const auto values = memory.values.to(decoder.options()).unbind(0);
    for (size_t layer = 0; layer < keys.size(); ++layer)
      cache.append(static_cast<int64_t>(layer), sequence, keys[layer], values[layer]);
  }
}

}  // namespace precis
