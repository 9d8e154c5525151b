// SPDX-License-Identifier: Apache-2.0
// precis bench: measures loading, prefill, decoding and compression on this machine.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <sys/resource.h>

#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "base/pass_threads.h"
#include "cli/commands.h"
#include "cli/compression_sweep.h"
#include "cli/method_flags.h"
#include "cli/model_options.h"
#include "cli/new_compressor.h"
#include "cli/progress_bar.h"
#include "cli/timing.h"
#include "engine/random_engine.h"
#include "engine/sampler.h"
#include "io/translate_errors.h"
#include "precis/extend/decoder.h"
#include "precis/extend/shapes.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  std::string shape;    // instead of a model: random weights of this shape
  NewCompressor fresh;  // an untrained compressor for them
  std::vector<int64_t> prefill{512};
  std::vector<int64_t> sweep;  // context lengths to compress
  int64_t decode = 128;
  int64_t context = 16;  // prompt tokens before the decoded ones
  int64_t batch = 1;     // sequences decoded together, contexts compressed together
  int64_t runs = 5;
  bool json = false;
};

constexpr int64_t kLargestBatch = 1024;

// Peak resident memory of this process. getrusage() is the fallback only: its count includes what
// the parent process held before exec().
int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * int64_t{1024};
}

class Benchmark {
 public:
  explicit Benchmark(const Decoder& decoder)
      : decoder_(decoder), greedy_(GenerationOptions(), decoder.config().vocab_size, {}) {}

  // Seconds from a prompt of n tokens to the first generated token.
  double prefill(int64_t n) {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options());
    const auto start = Clock::now();
    read_prompts(n, cache).item<int64_t>();
    return seconds_since(start);
  }

  // Seconds to decode n greedy tokens in each of `batch` sequences after `context` tokens.
  double decode(int64_t n, int64_t context, int64_t batch) {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), batch);
    at::Tensor next = read_prompts(context, cache);
    DecoderInput input{{}, {}, {0}, {}};
    for (int64_t i = 0; i < batch; ++i) {
      input.cu_seqlens.push_back(i + 1);
      input.cache_sequences.push_back(i);
    }
    const auto start = Clock::now();
    for (int64_t i = 0; i < n; ++i) {
      input.embeddings = decoder_.embed(next);
      input.positions = at::full({batch}, context + i, next.options());
      next = best(decoder_.forward(input, cache));
    }
    return seconds_since(start);
  }

 private:
  at::Tensor best(const at::Tensor& hidden) {
    const std::vector<Sampler*> samplers(hidden.size(0), &greedy_);
    std::vector<int64_t> ids;
    for (const Draw& draw : sample(samplers, decoder_.logits(hidden))) {
      if (draw.error) std::rethrow_exception(draw.error);
      ids.push_back(draw.id);
    }
    return at::tensor(ids, at::kLong).to(hidden.device());
  }

  // Prefills every sequence of the cache with the same n ids and returns the first token of each,
  // [sequences] int64.
  at::Tensor read_prompts(int64_t n, KvCache& cache) {
    const auto index = at::TensorOptions(at::kLong).device(decoder_.options().device());
    const at::Tensor ids =
        (at::arange(n, index) * 7919 + 13).remainder(decoder_.config().vocab_size);
    std::vector<at::Tensor> last;
    for (int64_t sequence = 0; sequence < cache.num_sequences(); ++sequence) {
      DecoderInput input{decoder_.embed(ids), at::arange(n, index), {0, n}, {sequence}};
      input.output_indices = at::full({1}, n - 1, index);
      last.push_back(decoder_.forward(input, cache));
    }
    return best(at::cat(last, 0));
  }

  const Decoder& decoder_;
  Sampler greedy_;
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

// A model with random weights, and an untrained compressor if one is asked for.
Engine engine_of_shape(const Flags& flags) {
  std::function<std::unique_ptr<Compressor>(const Decoder&)> make_compressor;
  if (!flags.fresh.method.empty())
    make_compressor = [&](const Decoder& decoder) { return create(flags.fresh, decoder, nullptr); };
  return random_engine(model_shape(flags.shape), flags.model.options(), make_compressor);
}

void check(const Flags& flags, int64_t window) {
  const bool compresses = !flags.model.engine.compressor.empty() || !flags.fresh.method.empty();
  PRECIS_CHECK(flags.sweep.empty() != compresses,
               kInvalidArgument,
               "bench: --sweep and --compressor (or, with --shape, --method) go together");
  if (!flags.fresh.method.empty()) check_method(flags.fresh);
  PRECIS_CHECK(flags.runs >= 1, kInvalidArgument, "bench: --runs is ", flags.runs);
  PRECIS_CHECK(flags.batch >= 1 && flags.batch <= kLargestBatch,
               kInvalidArgument,
               "bench: --batch is ",
               flags.batch,
               ", expected 1 to ",
               kLargestBatch);
  PRECIS_CHECK(flags.context >= 1 && flags.context < window,
               kInvalidArgument,
               "bench: --context is ",
               flags.context,
               ", expected 1 to ",
               window - 1);
  PRECIS_CHECK(flags.decode >= 1 && flags.decode <= window - flags.context,
               kInvalidArgument,
               "bench: --decode is ",
               flags.decode,
               ", expected 1 to ",
               window - flags.context);
  for (const int64_t n : flags.prefill) {
    PRECIS_CHECK(n >= 1 && n <= window,
                 kInvalidArgument,
                 "bench: --prefill ",
                 n,
                 " is outside 1 to ",
                 window);
  }
}

nlohmann::json measure(const Flags& flags) {
  PRECIS_CHECK(!flags.model.engine.model.empty() || !flags.shape.empty(),
               kInvalidArgument,
               "bench: give --model or --shape");
  // Checked before gigabytes of random weights are drawn.
  if (!flags.shape.empty()) check(flags, model_shape(flags.shape).context_length);
  const auto start = Clock::now();
  const Engine engine = flags.shape.empty() ? flags.model.load() : engine_of_shape(flags);
  const double load_s = seconds_since(start);
  const c10::InferenceMode inference;
  const PassThreads fewer_if_busy;  // as Engine does
  check(flags, engine.decoder().config().context_length);
  nlohmann::json sweep;
  if (!flags.sweep.empty()) sweep = compression_sweep(engine, flags.sweep, flags.batch, flags.runs);
  Benchmark benchmark(engine.decoder());
  nlohmann::json result = {{"load_s", load_s}, {"prefill", nlohmann::json::object()}};
  for (const int64_t n : flags.prefill) {
    result["prefill"][std::to_string(n)] =
        tokens_per_second("prefill", n, flags.runs, [&] { return benchmark.prefill(n); });
  }
  result["decode"] = tokens_per_second("decoding", flags.decode * flags.batch, flags.runs, [&] {
    return benchmark.decode(flags.decode, flags.context, flags.batch);
  });
  result["context"] = flags.context;
  result["batch"] = flags.batch;
  result["threads"] = engine.threads();
  const std::string dtype =
      engine.decoder().options().dtype() == at::kBFloat16 ? "bfloat16" : "float32";
  result["device"] = flags.model.device;
  result["dtype"] = dtype;
  result["weights"] = flags.model.weights.empty() ? dtype : flags.model.weights;
  result["weight_bytes"] = engine.decoder().weight_bytes();
  result["peak_bytes"] = peak_bytes();
  if (!sweep.is_null()) result["sweep"] = std::move(sweep);
  return result;
}

void show(const nlohmann::json& result) {
  std::cout << "load     " << result["load_s"].get<double>() << " s\n";
  for (const auto& [n, rate] : result["prefill"].items()) {
    std::cout << "prefill  " << rate.get<double>() << " tokens/s (" << n << " tokens)\n";
  }
  std::cout << "decode   " << result["decode"].get<double>() << " tokens/s (" << result["batch"]
            << " at a time, after " << result["context"] << " tokens)\n"
            << "peak     " << result["peak_bytes"].get<int64_t>() / 1000000 << " MB (weights "
            << result["weight_bytes"].get<int64_t>() / 1000000 << " MB)" << std::endl;
  if (result.contains("sweep")) show_sweep(result["sweep"]);
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure loading, prefill, decoding and compression");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kOptional, "auto");
  CLI::Option* model = command->get_option("--model")->required(false);
  CLI::Option* shape = command
                           ->add_option("--shape",
                                        flags->shape,
                                        "instead of --model: random weights of the shape "
                                        "llama-2-7b, llama-2-13b, mistral-7b, smollm2-135m, "
                                        "qwen2.5-0.5b, or of a config.json or a model")
                           ->excludes(model)
                           ->excludes(command->get_option("--compressor"));
  command
      ->add_option("--method",
                   flags->fresh.method,
                   "with --shape: an untrained compressor, " + method_list(creation_settings))
      ->needs(shape);
  add_new_compressor_flags(*command, flags->fresh, model);
  command->add_option("--prefill", flags->prefill, "prompt lengths")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--sweep",
                   flags->sweep,
                   "lengths of contexts that --compressor or --method compresses: time to "
                   "compress, time to the first token with full context and with the memory, and "
                   "the number of uses after which compression breaks even")
      ->delimiter(',');
  command->add_option("--decode", flags->decode, "tokens to generate")->capture_default_str();
  command->add_option("--context", flags->context, "prompt tokens before the generated ones")
      ->capture_default_str();
  command
      ->add_option("--batch", flags->batch, "sequences decoded, and contexts compressed, together")
      ->capture_default_str();
  command->add_option("--runs", flags->runs, "repetitions, of which the median is reported")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags] {
    const nlohmann::json result = translate_errors([&] { return measure(*flags); });
    if (flags->json) return print(result);
    show(result);
  });
}

}  // namespace precis::cli
