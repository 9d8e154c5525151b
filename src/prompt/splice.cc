// SPDX-License-Identifier: Apache-2.0
#include "prompt/splice.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

const CachedTokens* cached_of(const PromptPart& part) {
  return part.memory ? std::get_if<CachedTokens>(&part.memory->contents().tensors) : nullptr;
}

// What the decoder reads, in the terms of Decoder::embed_spliced().
class Rows {
 public:
  bool empty() const { return ids_.empty(); }

  void add(std::span<const TokenId> tokens) {
    ids_.insert(ids_.end(), tokens.begin(), tokens.end());
  }

  void add(const at::Tensor& memory) {
    for (int64_t i = 0; i < memory.size(0); ++i) ids_.push_back(-1 - of_memories_++);
    memories_.push_back(memory);
  }

  at::Tensor embedded(const Decoder& decoder) const {
    const at::Tensor ids = at::tensor(ids_, at::kLong).to(decoder.options().device());
    if (memories_.empty()) return decoder.embed(ids);
    return decoder.embed_spliced(ids, memories_.size() == 1 ? memories_[0] : at::cat(memories_, 0));
  }

 private:
  std::vector<int64_t> ids_;
  std::vector<at::Tensor> memories_;
  int64_t of_memories_ = 0;
};

at::Tensor memory_rows(const Memory& memory, const Decoder& decoder) {
  const auto* soft = std::get_if<SoftTokens>(&memory.contents().tensors);
  PRECIS_CHECK(soft != nullptr,
               kInvalidArgument,
               "prompt: behind other memories, and behind text that follows a memory, no cached "
               "memory can stand");
  PRECIS_CHECK(soft->embeddings.size(1) == decoder.config().hidden_size,
               kInvalidArgument,
               "prompt: a memory has rows of ",
               soft->embeddings.size(1),
               ", the model ",
               decoder.config().hidden_size);
  return soft->embeddings.to(decoder.options());
}

void check_cached(const CachedTokens& cached, const DecoderConfig& config) {
  const KvShape shape = config.kv_shape();
  PRECIS_CHECK(cached.keys.size(0) == shape.num_layers &&
                   cached.keys.size(1) == shape.num_kv_heads &&
                   cached.keys.size(3) == shape.head_dim,
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

// The tokens in front of a cached memory, as a prefix; null: there is no cached memory, or nothing
// in front of it.
std::shared_ptr<const SharedPrefix> prefix_of_cached(std::span<const PromptPart> parts) {
  std::vector<TokenId> tokens;
  for (const PromptPart& part : parts) {
    if (part.memory) {
      if (tokens.empty() || cached_of(part) == nullptr) return nullptr;
      return std::make_shared<SharedPrefix>(std::move(tokens));
    }
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
  }
  return nullptr;
}

// Whether a memory takes more positions than it has rows.
bool is_spread(const CachedTokens& memory) {
  return memory.next_position - memory.first_position > memory.keys.size(2);
}

const char* what_helps(std::span<const CachedTokens> memories) {
  if (std::ranges::any_of(memories, is_spread))
    return "; a memory in it keeps the positions of its text: made with those of its rows "
           "(CompressOptions::positions, --positions rows) it takes fewer";
  return memories.empty() ? "" : "; a memory with a higher ratio takes fewer";
}

// A memory behind other rows.
CachedTokens placed_behind(const CachedTokens& memory, const DecoderConfig& config, int64_t start) {
  const int64_t covered = memory.next_position - memory.first_position;
  PRECIS_CHECK(covered <= config.context_length - start,
               kInvalidArgument,
               "prompt: a memory of ",
               covered,
               " positions behind ",
               start,
               " others does not fit the model's window of ",
               config.context_length,
               what_helps({&memory, 1}));
  CachedTokens moved = rebase(memory, config, start);
  const int64_t sinks = memory.num_sinks, rows = memory.keys.size(2) - sinks;
  if (sinks == 0 || rows == 0) return moved;
  moved.keys = moved.keys.narrow(2, sinks, rows);
  moved.values = moved.values.narrow(2, sinks, rows);
  moved.num_sinks = 0;
  return moved;
}

}  // namespace

int64_t SplicedPrompt::num_rows_read() const {
  return embeddings.size(0) + (prefix ? prefix->size() : 0);
}

int64_t SplicedPrompt::num_rows() const {
  int64_t rows = num_rows_read();
  for (const CachedTokens& memory : cached) rows += memory.keys.size(2);
  return rows;
}

SplicedPrompt splice(std::span<const PromptPart> parts,
                     const Decoder& decoder,
                     std::shared_ptr<const SharedPrefix> prefix,
                     int64_t to_follow) {
  SplicedPrompt spliced;
  Rows rows;
  int64_t start = 0;  // position of the first row
  spliced.prefix = std::move(prefix);
  if (auto longer = prefix_of_cached(parts);
      longer && (!spliced.prefix || spliced.prefix->size() < longer->size()))
    spliced.prefix = std::move(longer);
  int64_t covered = spliced.prefix ? spliced.prefix->size() : 0;
  if (spliced.prefix) start = covered;
  for (const PromptPart& part : parts) {
    const CachedTokens* cached = rows.empty() ? cached_of(part) : nullptr;
    if (cached != nullptr) {
      check_cached(*cached, decoder.config());
      const bool stands_first = !spliced.prefix && spliced.cached.empty();
      spliced.cached.push_back(stands_first ? *cached
                                            : placed_behind(*cached, decoder.config(), start));
      start = spliced.cached.back().next_position;
    } else if (part.memory) {
      rows.add(memory_rows(*part.memory, decoder));
    } else {
      const std::vector<TokenId>& ids = part.tokens;
      spliced.tokens.insert(spliced.tokens.end(), ids.begin(), ids.end());
      const int64_t skipped = std::min<int64_t>(covered, std::ssize(ids));
      covered -= skipped;
      rows.add(std::span(ids).subspan(skipped));
    }
  }
  PRECIS_CHECK(!rows.empty(),
               kInvalidArgument,
               "prompt: nothing follows the memory, so that there is nothing to answer");
  spliced.embeddings = rows.embedded(decoder);
  const int64_t window = decoder.config().context_length;
  const int64_t needed = spliced.embeddings.size(0) + to_follow;
  PRECIS_CHECK(start >= 0 && start <= window && needed <= window - start,
               kInvalidArgument,
               "prompt: ",
               needed,
               " rows (with those to be generated) from position ",
               start,
               " on do not fit the model's window of ",
               window,
               what_helps(spliced.cached));
  spliced.start = start;
  spliced.positions = at::arange(start,
                                 start + spliced.embeddings.size(0),
                                 at::TensorOptions(at::kLong).device(decoder.options().device()));
  return spliced;
}

void preload(const SplicedPrompt& prompt,
             const Decoder& decoder,
             KvCache& cache,
             int64_t sequence) {
  if (prompt.prefix) cache.copy_sequence(prompt.prefix->keys_and_values(decoder), 0, sequence);
  for (const CachedTokens& memory : prompt.cached) {
    // Taken apart at once, so that the backward pass is one stack.
    const auto keys = memory.keys.to(decoder.options()).unbind(0);
    const auto values = memory.values.to(decoder.options()).unbind(0);
    for (size_t layer = 0; layer < keys.size(); ++layer)
      cache.append(static_cast<int64_t>(layer), sequence, keys[layer], values[layer]);
  }
}

}  // namespace precis
