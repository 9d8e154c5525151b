// SPDX-License-Identifier: Apache-2.0
// precis bench: how fast a model is read into and out of, on this machine.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "io/translate_errors.h"
#include "precis/decoder.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  std::vector<int64_t> prefill{512};
  int64_t decode = 128;
  int64_t runs = 5;
  bool json = false;
};

constexpr int64_t kDecodePrompt = 16;  // tokens read before those that are decoded

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * int64_t{1024};
}

class Benchmark {
 public:
  explicit Benchmark(const Decoder& decoder) : decoder_(decoder) {}

  // Seconds until the first token is known after a prompt of n tokens.
  double prefill(int64_t n) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options());
    const auto start = Clock::now();
    read_prompt(n, cache).item<int64_t>();
    return seconds_since(start);
  }

  // Seconds for n greedy tokens after a short prompt.
  double decode(int64_t n) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options());
    at::Tensor next = read_prompt(kDecodePrompt, cache);
    const auto start = Clock::now();
    for (int64_t i = 0; i < n; ++i) {
      const at::Tensor position = at::full({1}, kDecodePrompt + i, next.options());
      next = best(decoder_.forward({decoder_.embed(next), position, {0, 1}, {0}}, cache));
      next.item<int64_t>();  // as a sampler would, so that a GPU cannot run ahead
    }
    return seconds_since(start);
  }

 private:
  at::Tensor best(const at::Tensor& hidden) const { return decoder_.logits(hidden).argmax(-1); }

  at::Tensor read_prompt(int64_t n, KvCache& cache) const {
    const auto index = at::TensorOptions(at::kLong).device(decoder_.options().device());
    const at::Tensor ids =
        (at::arange(n, index) * 7919 + 13).remainder(decoder_.config().vocab_size);
    const at::Tensor hidden =
        decoder_.forward({decoder_.embed(ids), at::arange(n, index), {0, n}, {0}}, cache);
    return best(hidden.narrow(0, n - 1, 1));
  }

  const Decoder& decoder_;
};

template <typename Work>
double tokens_per_second(const char* title, int64_t tokens, int64_t runs, const Work& work) {
  ProgressBar bar(concat("measuring ", title));
  work();  // warms caches and allocators
  std::vector<double> seconds;
  for (int64_t i = 0; i < runs; ++i) {
    seconds.push_back(work());
    bar.update(static_cast<double>(i + 1) / static_cast<double>(runs));
  }
  return static_cast<double>(tokens) / median(seconds);
}

void check(const Flags& flags, int64_t context) {
  PRECIS_CHECK(flags.runs >= 1, kInvalidArgument, "bench: --runs is ", flags.runs);
  PRECIS_CHECK(flags.decode >= 1 && flags.decode <= context - kDecodePrompt,
               kInvalidArgument,
               "bench: --decode is ",
               flags.decode,
               ", expected 1 to ",
               context - kDecodePrompt);
  for (const int64_t n : flags.prefill) {
    PRECIS_CHECK(n >= 1 && n <= context,
                 kInvalidArgument,
                 "bench: --prefill ",
                 n,
                 " is outside 1 to ",
                 context);
  }
}

nlohmann::json measure(const Flags& flags) {
  const auto start = Clock::now();
  const Engine engine = flags.model.load();
  const double load_s = seconds_since(start);
  const c10::InferenceMode inference;
  check(flags, engine.decoder().config().context_length);
  const Benchmark benchmark(engine.decoder());
  nlohmann::json result = {{"load_s", load_s}, {"prefill", nlohmann::json::object()}};
  for (const int64_t n : flags.prefill) {
    result["prefill"][std::to_string(n)] =
        tokens_per_second("prefill", n, flags.runs, [&] { return benchmark.prefill(n); });
  }
  result["decode"] = tokens_per_second(
      "decoding", flags.decode, flags.runs, [&] { return benchmark.decode(flags.decode); });
  result["weight_bytes"] = engine.decoder().weight_bytes();
  result["peak_bytes"] = peak_bytes();
  return result;
}

void show(const nlohmann::json& result) {
  std::cout << "load     " << result["load_s"].get<double>() << " s\n";
  for (const auto& [n, rate] : result["prefill"].items()) {
    std::cout << "prefill  " << rate.get<double>() << " tokens/s (" << n << " tokens)\n";
  }
  std::cout << "decode   " << result["decode"].get<double>() << " tokens/s\n"
            << "peak     " << result["peak_bytes"].get<int64_t>() / 1000000 << " MB (weights "
            << result["weight_bytes"].get<int64_t>() / 1000000 << " MB)" << std::endl;
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "Measure loading, prefill and decoding");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command->add_option("--prefill", flags->prefill, "prompt lengths")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--decode", flags->decode, "tokens to generate")->capture_default_str();
  command->add_option("--runs", flags->runs, "of which the median counts")->capture_default_str();
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags] {
    const nlohmann::json result = translate_errors([&] { return measure(*flags); });
    if (flags->json) return print(result);
    show(result);
  });
}

}  // namespace precis::cli
