// SPDX-License-Identifier: Apache-2.0
#include "prompt/fit.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace precis {
namespace {

using Treatment = Prompt::Treatment;

// Tokens that an item takes in the prompt.
int64_t size_of(const PromptItem& item, const OverflowRules& rules) {
  if (const auto* memory = std::get_if<Memory>(&item)) return memory->num_tokens();
  if (const auto* embeddings = std::get_if<Embeddings>(&item)) return embeddings->size();
  const auto& tokens = std::get<TokenSpan>(item);
  return is_to_be_compressed(item) ? rules.memory_size(tokens.size()) : tokens.size();
}

int64_t size_of(const std::vector<PromptItem>& items, const OverflowRules& rules) {
  int64_t size = 0;
  for (const PromptItem& item : items) size += size_of(item, rules);
  return size;
}

// The tokens of a context item; null for other items.
const TokenSpan* context_of(const PromptItem& item) {
  const TokenSpan* tokens = tokens_of(item);
  return tokens && tokens->treatment == Treatment::kContext ? tokens : nullptr;
}

int64_t context_size(const std::vector<PromptItem>& items) {
  int64_t size = 0;
  for (const PromptItem& item : items) {
    if (const TokenSpan* context = context_of(item)) size += context->size();
  }
  return size;
}

TokenSpan slice(const TokenSpan& tokens, int64_t first, int64_t last, Treatment treatment) {
  return {{tokens.ids.begin() + first, tokens.ids.begin() + last}, treatment};
}

// Splits the context, counted as one run of tokens, at token `border`: tokens before it get one
// treatment, those from it on the other; nullopt drops them.
std::vector<PromptItem> split_context(const std::vector<PromptItem>& items,
                                      int64_t border,
                                      std::optional<Treatment> before,
                                      std::optional<Treatment> after) {
  std::vector<PromptItem> result;
  for (const PromptItem& item : items) {
    const TokenSpan* context = context_of(item);
    if (context == nullptr) {
      result.push_back(item);
      continue;
    }
    const int64_t size = context->size();
    const int64_t first = std::clamp<int64_t>(border, 0, size);
    border -= size;
    if (before && first > 0) result.push_back(slice(*context, 0, first, *before));
    if (after && first < size) result.push_back(slice(*context, first, size, *after));
  }
  return result;
}

std::vector<PromptItem> compress_some(const std::vector<PromptItem>& items,
                                      int64_t amount,
                                      bool former) {
  const int64_t size = context_size(items);
  return former ? split_context(items, amount, Treatment::kCompress, Treatment::kContext)
                : split_context(items, size - amount, Treatment::kContext, Treatment::kCompress);
}

// Compresses the fewest context tokens that make the prompt fit; all of them if no number does.
std::vector<PromptItem> compress_enough(const std::vector<PromptItem>& items,
                                        bool former,
                                        const OverflowRules& rules) {
  const int64_t size = context_size(items);
  int64_t amount = std::min(size, size_of(items, rules) - rules.limit);
  while (amount < size) {
    const int64_t excess = size_of(compress_some(items, amount, former), rules) - rules.limit;
    if (excess <= 0) break;
    amount = std::min(size, amount + excess);
  }
  return compress_some(items, amount, former);
}

std::vector<PromptItem> drop_oldest(const std::vector<PromptItem>& items,
                                    const OverflowRules& rules) {
  const int64_t excess = std::min(context_size(items), size_of(items, rules) - rules.limit);
  return split_context(items, excess, std::nullopt, Treatment::kContext);
}

std::vector<PromptItem> resolve(const std::vector<PromptItem>& items, const OverflowRules& rules) {
  switch (rules.policy) {
    case Overflow::kRefuse:
      return items;
    case Overflow::kTruncate:
      return drop_oldest(items, rules);
    case Overflow::kCompressFormer:
      return compress_enough(items, /*former=*/true, rules);
    case Overflow::kCompressLatter:
      return compress_enough(items, /*former=*/false, rules);
    case Overflow::kCompressAll:
      return compress_some(items, context_size(items), /*former=*/true);
  }
  fail(ErrorKind::kInternal, "overflow: unknown policy");
}

const char* what_helps(const std::vector<PromptItem>& items, const OverflowRules& rules) {
  if (std::ranges::any_of(items, is_to_be_compressed)) return "; a higher ratio takes fewer";
  if (rules.policy == Overflow::kRefuse && context_size(items) > 0)
    return "; Overflow::kCompressFormer (--overflow compress-former) makes its context fit";
  return "";
}

void require_compressor(const std::vector<PromptItem>& items, const OverflowRules& rules) {
  PRECIS_CHECK(
      rules.memory_size || std::ranges::none_of(items, is_to_be_compressed),
      kInvalidArgument,
      "prompt: text is to be compressed, but the engine was assembled without a compressor");
}

}  // namespace

std::vector<PromptItem> fit(std::vector<PromptItem> items, const OverflowRules& rules) {
  require_compressor(items, rules);
  if (size_of(items, rules) > rules.limit) {
    const bool compresses = rules.policy == Overflow::kCompressFormer ||
                            rules.policy == Overflow::kCompressLatter ||
                            rules.policy == Overflow::kCompressAll;
    PRECIS_CHECK(
        !compresses || rules.memory_size,
        kInvalidArgument,
        "prompt: it is over the limit and to be compressed, but the engine was assembled without a "
        "compressor");
    items = resolve(items, rules);
    const int64_t size = size_of(items, rules);
    PRECIS_CHECK(size <= rules.limit,
                 kInvalidArgument,
                 "prompt: ",
                 size,
                 " rows are over the limit of ",
                 rules.limit,
                 " (the context window less the tokens to be generated)",
                 what_helps(items, rules));
  }
  return items;
}

}  // namespace precis
