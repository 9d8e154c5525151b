// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "precis/engine.h"

namespace precis::cli {

// Measures what memories of contexts of `lengths` tokens cost and save, as medians of `runs`. The
// result is an array with, for each length: tokens, rows (memory tokens), compress_s (`batch`
// contexts compressed together), first_token_full_s, first_token_memory_s and
// first_token_prefilled_s (time to the first token of the answer to a question of 32 tokens after
// the context, the memory, or the memory as keys and values), kv_bytes_full and kv_bytes_memory
// (keys and values of the context in the cache), and break_even_uses: the number of questions after
// which compressing once takes less time than reading the full context for each; absent if it never
// does. Throws kInvalidArgument for lengths that, with question and answer, do not fit the context
// window.
nlohmann::json compression_sweep(const Engine& engine,
                                 const std::vector<int64_t>& lengths,
                                 int64_t batch,
                                 int64_t runs);

// Prints the result as a table on standard output.
void show_sweep(const nlohmann::json& sweep);

}  // namespace precis::cli
