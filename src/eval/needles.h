// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "eval/evaluation_items.h"

namespace precis {

// The texts of a JSON Lines file. Throws as read_json_lines(), and kInvalidArgument naming file and
// line where "text" is not a non-empty string.
std::vector<std::string> read_needle_texts(const std::filesystem::path& path,
                                           const std::function<void(double)>& progress = {});

// Questions about invented facts that stand between the sentences of the texts, at depths that are
// drawn uniformly. The texts are joined, in order and each used once, to contexts of at most
// `num_tokens` tokens, facts included, and at least that less a sentence; sentences that are longer
// than a context are left out. At most `limit` questions; fewer where the texts end. Facts and
// depths depend on the seed alone, so that contexts of other lengths ask the same questions.
// room: tokens of a context that fit beside a question.
// Throws kInvalidArgument if the texts do not fill two contexts, since the control reads another.
QuestionItems make_needles(std::span<const std::string> texts,
                           const Tokenizer& tokenizer,
                           const NeedleOptions& options,
                           int64_t num_tokens,
                           int64_t limit,
                           int64_t room);

}  // namespace precis
