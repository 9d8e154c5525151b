// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "precis/engine.h"

namespace precis::cli {

// What memories of contexts of `lengths` tokens cost and save, medians of `runs`. An array with,
// for each length: tokens, rows, compress_s (of `batch` such contexts together), first_token_full_s
// and first_token_memory_s (a question of 32 tokens behind the context, until the first token is
// known), kv_bytes_full and kv_bytes_memory (of keys and values that the model holds of the
// context), and break_even_uses: after how many questions compressing once and asking the memory
// has taken less time than asking the full context each time; absent if it never does. Throws
// kInvalidArgument for lengths that, with question and answer, do not fit the model's window.
nlohmann::json compression_sweep(const Engine& engine,
                                 const std::vector<int64_t>& lengths,
                                 int64_t batch,
                                 int64_t runs);

// The same as a table on standard output.
void show_sweep(const nlohmann::json& sweep);

}  // namespace precis::cli
