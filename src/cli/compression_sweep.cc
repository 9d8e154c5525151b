// SPDX-License-Identifier: Apache-2.0
#include "cli/compression_sweep.h"

#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "cli/progress_bar.h"
#include "cli/timing.h"
#include "precis/extend/decoder.h"

namespace precis::cli {
namespace {

constexpr int64_t kQuestion = 32;  // tokens

// The same for every run and machine. Times do not depend on the ids.
std::vector<TokenId> some_ids(int64_t count, int64_t vocabulary) {
  std::vector<TokenId> ids(count);
  for (int64_t i = 0; i < count; ++i) ids[i] = static_cast<TokenId>((i * 7919 + 13) % vocabulary);
  return ids;
}

template <typename Work>
double median_seconds(int64_t runs, const Work& work) {
  work();  // warms caches and allocators
  std::vector<double> seconds;
  for (int64_t i = 0; i < runs; ++i) {
    const auto start = Clock::now();
    work();
    seconds.push_back(seconds_since(start));
  }
  return median(std::move(seconds));
}

void check(const std::vector<int64_t>& lengths, int64_t window) {
  for (const int64_t length : lengths) {
    PRECIS_CHECK(length >= 1 && length < window - kQuestion,
                 kInvalidArgument,
                 "bench: --sweep ",
                 length,
                 " is outside 1 to ",
                 window - kQuestion - 1,
                 ": a question of ",
                 kQuestion,
                 " tokens follows, and the model's window is ",
                 window);
  }
}

nlohmann::json measure(const Engine& engine, int64_t length, int64_t batch, int64_t runs) {
  const DecoderConfig& config = engine.decoder().config();
  const std::vector<TokenId> context = some_ids(length, config.vocab_size);
  const std::vector<std::vector<TokenId>> contexts(batch, context);
  const std::vector<TokenId> question = some_ids(kQuestion, config.vocab_size);
  GenerationOptions one;
  one.max_tokens = 1;
  const Memory memory = engine.compress_ids(context);
  const double compress = median_seconds(runs, [&] { engine.compress_ids_batch(contexts); });
  const double full =
      median_seconds(runs, [&] { engine.generate(Prompt().ids(context).ids(question), one); });
  const auto first_token = [&](const Memory& own) {
    return median_seconds(runs, [&] { engine.generate(Prompt().memory(own).ids(question), one); });
  };
  const double from_memory = first_token(memory);
  const double from_prefilled = first_token(engine.prefill(memory));
  const int64_t row_bytes = config.kv_shape().bytes_per_token(
      static_cast<int64_t>(engine.decoder().options().dtype().itemsize()));
  nlohmann::json result = {{"tokens", length},
                           {"batch", batch},
                           {"rows", memory.num_tokens()},
                           {"compress_s", compress},
                           {"first_token_full_s", full},
                           {"first_token_memory_s", from_memory},
                           {"first_token_prefilled_s", from_prefilled},
                           {"kv_bytes_full", length * row_bytes},
                           {"kv_bytes_memory", memory.num_tokens() * row_bytes}};
  if (full > from_memory)
    result["break_even_uses"] =
        static_cast<int64_t>(std::floor(compress / batch / (full - from_memory))) + 1;
  return result;
}

}  // namespace

nlohmann::json compression_sweep(const Engine& engine,
                                 const std::vector<int64_t>& lengths,
                                 int64_t batch,
                                 int64_t runs) {
  check(lengths, engine.decoder().config().context_length);
  ProgressBar bar("measuring compression");
  nlohmann::json sweep = nlohmann::json::array();
  for (const int64_t length : lengths) {
    sweep.push_back(measure(engine, length, batch, runs));
    bar.update(static_cast<double>(sweep.size()) / static_cast<double>(lengths.size()));
  }
  return sweep;
}

void show_sweep(const nlohmann::json& sweep) {
  if (const int64_t batch = sweep.at(0).at("batch"); batch > 1)
    std::cout << "compress: " << batch << " contexts together\n";
  std::cout << "tokens    rows  compress  first token: full  from memory  prefilled  KV cache: "
               "full   memory  "
               "pays after\n";
  for (const nlohmann::json& own : sweep) {
    char line[160];
    const auto number = [&](const char* name) { return own.at(name).get<double>(); };
    std::snprintf(line,
                  sizeof line,
                  "%6.0f  %6.0f  %6.0f ms  %14.0f ms  %8.1f ms  %6.1f ms  %11.1f MB  %4.1f MB  ",
                  number("tokens"),
                  number("rows"),
                  1e3 * number("compress_s"),
                  1e3 * number("first_token_full_s"),
                  1e3 * number("first_token_memory_s"),
                  1e3 * number("first_token_prefilled_s"),
                  number("kv_bytes_full") / 1e6,
                  number("kv_bytes_memory") / 1e6);
    const int64_t uses = own.value("break_even_uses", int64_t{0});
    std::cout << line
              << (uses == 0   ? std::string("never")
                  : uses == 1 ? std::string("1 use")
                              : std::to_string(uses) + " uses")
              << "\n";
  }
  std::cout << std::flush;
}

}  // namespace precis::cli
