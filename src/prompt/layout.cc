// SPDX-License-Identifier: Apache-2.0
#include "prompt/layout.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "memory/memory_contents.h"
#include "prompt/embeddings.h"

namespace precis {
namespace {

const CachedTokens* cached_of(const PromptItem& item) {
  const auto* memory = std::get_if<Memory>(&item);
  return memory ? std::get_if<CachedTokens>(&memory->contents().tensors) : nullptr;
}

const at::Tensor& values_of(const PromptItem& item) {
  if (const auto* embeddings = std::get_if<Embeddings>(&item)) return embeddings->contents().values;
  return std::get<SoftTokens>(std::get<Memory>(item).contents().tensors).embeddings;
}

// The token ids of the items from `begin` to `end` as a prefix; null if there are none.
template <typename Iterator>
std::shared_ptr<const SharedPrefix> prefix_of(Iterator first, Iterator end) {
  std::vector<TokenId> ids;
  for (; first != end; ++first) std::ranges::copy(tokens_of(*first)->ids, std::back_inserter(ids));
  return ids.empty() ? nullptr : std::make_shared<SharedPrefix>(std::move(ids));
}

// Tokens before the first cached memory; null if there is none, or nothing before it.
std::shared_ptr<const SharedPrefix> prefix_of_cached(std::span<const PromptItem> items) {
  const auto first_other = std::ranges::find_if_not(items, tokens_of);
  if (first_other == items.end() || !cached_of(*first_other)) return nullptr;
  return prefix_of(items.begin(), first_other);
}

// Whether a memory takes more positions than it has tokens.
bool is_spread(const CachedTokens& memory) {
  return memory.next_position - memory.first_position > memory.num_tokens();
}

const char* what_helps(std::span<const PlacedMemory> cached) {
  if (std::ranges::any_of(cached, is_spread, &PlacedMemory::memory))
    return "; a memory in it keeps the positions of its text: made with those of its rows "
           "(CompressOptions::positions, --positions rows) it takes fewer";
  return cached.empty() ? "" : "; a memory with a higher ratio takes fewer";
}

PlacedMemory placed_after(const CachedTokens& memory, int64_t position, int64_t context_length) {
  const int64_t covered = memory.next_position - memory.first_position;
  const bool only_sinks = memory.num_sinks >= memory.num_tokens();
  PlacedMemory placed{memory, true, position, only_sinks ? 0 : memory.num_sinks};
  PRECIS_CHECK(covered <= context_length - position,
               kInvalidArgument,
               "prompt: a memory of ",
               covered,
               " positions behind ",
               position,
               " others does not fit the model's window of ",
               context_length,
               what_helps({&placed, 1}));
  return placed;
}

// Places one item after the other.
class LayoutBuilder {
 public:
  LayoutBuilder(std::shared_ptr<const SharedPrefix> prefix, int64_t context_length)
      : context_length_(context_length) {
    layout_.prefix = std::move(prefix);
    if (layout_.prefix) layout_.start = remaining_prefix_ = layout_.prefix->size();
  }

  void add(const PromptItem& item) {
    if (const TokenSpan* tokens = tokens_of(item))
      add_tokens(tokens->ids);
    else if (const CachedTokens* cached = cached_of(item))
      add_cached(*cached);
    else
      add_embeddings(values_of(item));
  }

  PromptLayout finish() && {
    const int64_t num_ids = std::ssize(layout_.input_ids);
    for (const int64_t i : embedding_inputs_) layout_.source_indices[i] += num_ids;
    return std::move(layout_);
  }

 private:
  void add_tokens(std::span<const TokenId> ids) {
    layout_.ids.insert(layout_.ids.end(), ids.begin(), ids.end());
    const int64_t skipped = std::min<int64_t>(remaining_prefix_, std::ssize(ids));
    remaining_prefix_ -= skipped;
    for (const TokenId id : ids.subspan(skipped)) {
      layout_.source_indices.push_back(std::ssize(layout_.input_ids));
      layout_.input_ids.push_back(id);
    }
  }

  void add_embeddings(const at::Tensor& embeddings) {
    for (int64_t i = 0; i < embeddings.size(0); ++i) {
      layout_.source_indices.push_back(std::ssize(embedding_inputs_));
      embedding_inputs_.push_back(layout_.num_inputs() - 1);
    }
    layout_.input_embeddings.push_back(embeddings);
  }

  void add_cached(const CachedTokens& memory) {
    PRECIS_CHECK(layout_.num_inputs() == 0,
                 kInvalidArgument,
                 "prompt: behind other memories, and behind text that follows a memory, no cached "
                 "memory can stand");
    const bool is_first = !layout_.prefix && layout_.cached.empty();
    layout_.cached.push_back(is_first ? PlacedMemory{memory, false, memory.first_position, 0}
                                      : placed_after(memory, layout_.start, context_length_));
    layout_.start = layout_.cached.back().next_position();
  }

  int64_t context_length_;
  int64_t remaining_prefix_ = 0;           // tokens of the prefix not passed yet
  std::vector<int64_t> embedding_inputs_;  // indices of inputs that are embeddings
  PromptLayout layout_;
};

void check_positions(const PromptLayout& layout, int64_t context_length, int64_t to_follow) {
  const int64_t needed = layout.num_inputs() + to_follow;
  PRECIS_CHECK(layout.start >= 0 && layout.start <= context_length &&
                   needed <= context_length - layout.start,
               kInvalidArgument,
               "prompt: ",
               needed,
               " rows (with those to be generated) from position ",
               layout.start,
               " on do not fit the model's window of ",
               context_length,
               what_helps(layout.cached));
}

}  // namespace

bool takes_bos(const Prompt::Piece& first, bool cached_memories) {
  const auto* text = std::get_if<Prompt::Text>(&first);
  if (text == nullptr) return false;
  return !cached_memories || text->treatment != Prompt::Treatment::kCompress;
}

void remove_bos_before_cached(std::vector<PromptItem>& items, bool cached_memories) {
  if (!cached_memories || items.size() < 2 || !is_to_be_compressed(items[1])) return;
  const TokenSpan* first = tokens_of(items.front());
  if (first != nullptr && first->implied_bos) items.erase(items.begin());
}

void check_cached_places(std::span<const PromptItem> items, const CompressorInfo& info) {
  if (!info.cached) return;
  const auto is_read = [](const PromptItem& item) {
    return tokens_of(item) && !is_to_be_compressed(item);
  };
  const auto is_cached = [](const PromptItem& item) {
    return is_to_be_compressed(item) || cached_of(item);
  };
  const auto first = std::ranges::find_if_not(items, is_read);
  const auto behind = std::find_if_not(first, items.end(), is_cached);
  PRECIS_CHECK(
      std::none_of(behind, items.end(), is_to_be_compressed),
      kInvalidArgument,
      "prompt: ",
      info.method,
      " makes cached memories, and these have to stand before everything but kept text and "
      "each other; text in several places, as in the turns of a chat, needs a compressor "
      "that makes rows");
}

std::shared_ptr<const SharedPrefix> kept_prefix(std::span<const PromptItem> items) {
  const auto is_kept = [](const PromptItem& item) {
    const TokenSpan* tokens = tokens_of(item);
    return tokens != nullptr && tokens->treatment == Prompt::Treatment::kKeep;
  };
  return prefix_of(items.begin(), std::ranges::find_if_not(items, is_kept));
}

bool ends_on_memory(std::span<const PromptItem> items) {
  return std::holds_alternative<Memory>(items.back()) || is_to_be_compressed(items.back());
}

PromptLayout lay_out(std::span<const PromptItem> items,
                     const DecoderConfig& config,
                     std::shared_ptr<const SharedPrefix> prefix,
                     int64_t to_follow) {
  if (auto longer = prefix_of_cached(items); longer && (!prefix || prefix->size() < longer->size()))
    prefix = std::move(longer);
  LayoutBuilder builder(std::move(prefix), config.context_length);
  for (const PromptItem& item : items) builder.add(item);
  PromptLayout layout = std::move(builder).finish();
  check_positions(layout, config.context_length, to_follow);
  return layout;
}

}  // namespace precis
