// SPDX-License-Identifier: Apache-2.0
#include "prompt/overflow.h"

#include <algorithm>

#include "base/check.h"

namespace precis {
namespace {

using Treatment = Prompt::Treatment;

int64_t rows_of(const PromptPart& part, const OverflowRules& rules) {
  if (part.memory) return part.memory->num_tokens();
  return part.treatment == Treatment::kCompress ? rules.memory_size(part.num_tokens())
                                                : part.num_tokens();
}

int64_t rows_of(const std::vector<PromptPart>& parts, const OverflowRules& rules) {
  int64_t rows = 0;
  for (const PromptPart& part : parts) rows += rows_of(part, rules);
  return rows;
}

int64_t context_size(const std::vector<PromptPart>& parts) {
  int64_t size = 0;
  for (const PromptPart& part : parts)
    size += part.treatment == Treatment::kContext ? part.num_tokens() : 0;
  return size;
}

PromptPart slice(const PromptPart& part, int64_t first, int64_t last, Treatment treatment) {
  return {{part.tokens.begin() + first, part.tokens.begin() + last}, treatment, std::nullopt};
}

// Splits the context, taken as one run of tokens, at `border`: what lies before it gets one
// treatment, what lies behind the other; without a treatment it is left out.
std::vector<PromptPart> split_context(const std::vector<PromptPart>& parts,
                                      int64_t border,
                                      std::optional<Treatment> before,
                                      std::optional<Treatment> behind) {
  std::vector<PromptPart> result;
  for (const PromptPart& part : parts) {
    if (part.treatment != Treatment::kContext) {
      result.push_back(part);
      continue;
    }
    const int64_t first = std::clamp<int64_t>(border, 0, part.num_tokens());
    border -= part.num_tokens();
    if (before && first > 0) result.push_back(slice(part, 0, first, *before));
    if (behind && first < part.num_tokens())
      result.push_back(slice(part, first, part.num_tokens(), *behind));
  }
  return result;
}

std::vector<PromptPart> compress_some(const std::vector<PromptPart>& parts,
                                      int64_t amount,
                                      bool former) {
  const int64_t size = context_size(parts);
  return former ? split_context(parts, amount, Treatment::kCompress, Treatment::kContext)
                : split_context(parts, size - amount, Treatment::kContext, Treatment::kCompress);
}

// The smallest amount that makes the prompt fit; all of the context if none does.
std::vector<PromptPart> compress_enough(const std::vector<PromptPart>& parts,
                                        bool former,
                                        const OverflowRules& rules) {
  const int64_t size = context_size(parts);
  int64_t amount = std::min(size, rows_of(parts, rules) - rules.limit);
  while (amount < size) {
    const int64_t excess = rows_of(compress_some(parts, amount, former), rules) - rules.limit;
    if (excess <= 0) break;
    amount = std::min(size, amount + excess);
  }
  return compress_some(parts, amount, former);
}

std::vector<PromptPart> drop_oldest(const std::vector<PromptPart>& parts,
                                    const OverflowRules& rules) {
  const int64_t excess = std::min(context_size(parts), rows_of(parts, rules) - rules.limit);
  return split_context(parts, excess, std::nullopt, Treatment::kContext);
}

std::vector<PromptPart> resolve(const std::vector<PromptPart>& parts, const OverflowRules& rules) {
  switch (rules.policy) {
    case Overflow::kRefuse:
      return parts;
    case Overflow::kTruncate:
      return drop_oldest(parts, rules);
    case Overflow::kCompressFormer:
      return compress_enough(parts, /*former=*/true, rules);
    case Overflow::kCompressLatter:
      return compress_enough(parts, /*former=*/false, rules);
    case Overflow::kCompressAll:
      return compress_some(parts, context_size(parts), /*former=*/true);
  }
  fail(ErrorKind::kInternal, "overflow: unknown policy");
}

const char* what_helps(const std::vector<PromptPart>& parts, const OverflowRules& rules) {
  const bool compresses = std::ranges::any_of(
      parts, [](const PromptPart& part) { return part.treatment == Treatment::kCompress; });
  if (compresses) return "; a higher ratio takes fewer";
  if (rules.policy == Overflow::kRefuse && context_size(parts) > 0)
    return "; Overflow::kCompressFormer (--overflow compress-former) makes its context fit";
  return "";
}

void require_compressor(const std::vector<PromptPart>& parts, const OverflowRules& rules) {
  const bool wanted = std::any_of(parts.begin(), parts.end(), [](const PromptPart& part) {
    return part.treatment == Treatment::kCompress;
  });
  PRECIS_CHECK(
      !wanted || rules.memory_size,
      kInvalidArgument,
      "prompt: text is to be compressed, but the engine was assembled without a compressor");
}

}  // namespace

std::vector<PromptPart> fit(std::vector<PromptPart> parts, const OverflowRules& rules) {
  require_compressor(parts, rules);
  if (rows_of(parts, rules) > rules.limit) {
    const bool compresses = rules.policy == Overflow::kCompressFormer ||
                            rules.policy == Overflow::kCompressLatter ||
                            rules.policy == Overflow::kCompressAll;
    PRECIS_CHECK(
        !compresses || rules.memory_size,
        kInvalidArgument,
        "prompt: it is over the limit and to be compressed, but the engine was assembled without a "
        "compressor");
    parts = resolve(parts, rules);
    const int64_t rows = rows_of(parts, rules);
    PRECIS_CHECK(rows <= rules.limit,
                 kInvalidArgument,
                 "prompt: ",
                 rows,
                 " rows are over the limit of ",
                 rules.limit,
                 " (the context window less the tokens to be generated)",
                 what_helps(parts, rules));
  }
  return parts;
}

}  // namespace precis
