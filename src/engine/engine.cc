// SPDX-License-Identifier: Apache-2.0
#include "precis/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/usable_cores.h"
#include "engine/compress.h"
#include "engine/device.h"
#include "engine/engine_components.h"
#include "engine/generate.h"
#include "engine/prefill.h"
#include "engine/prepare.h"
#include "engine/scheduled_request.h"
#include "engine/score.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/registry.h"

namespace precis {

namespace {

constexpr int64_t kMostThreads = 4096;

// Null if the model has none: prompts and completions are ids then.
std::unique_ptr<Tokenizer> load_optional_tokenizer(const std::filesystem::path& model) {
  try {
    return load_tokenizer(model);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return nullptr;
  }
}

}  // namespace

Engine::Engine(std::unique_ptr<const Components> components) : components_(std::move(components)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::load(const EngineOptions& options) {
  return translate_errors([&] {
    PRECIS_CHECK(options.threads >= 0 && options.threads <= kMostThreads,
                 kInvalidArgument,
                 "engine options: threads must be 0 (the machine's) to ",
                 kMostThreads,
                 ", got ",
                 options.threads);
    check_serving(options.serving);
    const c10::NoGradGuard no_grad;
    const NumThreads own(threads_for(options.threads, usable_cores()));
    std::unique_ptr<Decoder> decoder =
        load_decoder(options.model, tensor_options(options), options.weights);
    auto components = std::make_unique<Components>(std::move(decoder),
                                                   load_optional_tokenizer(options.model),
                                                   nullptr,
                                                   options.model.string());
    components->threads = options.threads;
    components->serving_options = options.serving;
    components->use(
        load_compressor(options.compressor.empty() ? kDefaultCompressor : options.compressor,
                        *components->decoder,
                        components->tokenizer.get()));
    components->load_chat(options.model);
    log(LogLevel::kInfo,
        concat("loaded ",
               options.model.string(),
               ": ",
               components->decoder->num_parameters(),
               " parameters, ",
               components->decoder->weight_bytes(),
               " bytes"));
    return Engine(std::move(components));
  });
}

Engine Engine::assemble(std::unique_ptr<Decoder> decoder,
                        std::unique_ptr<Compressor> compressor,
                        std::unique_ptr<Tokenizer> tokenizer,
                        const ServingOptions& serving) {
  return translate_errors([&] {
    PRECIS_CHECK(decoder != nullptr, kInvalidArgument, "engine: there is no decoder");
    check_serving(serving);
    auto components = std::make_unique<Components>(
        std::move(decoder), std::move(tokenizer), std::move(compressor), "engine");
    components->serving_options = serving;
    return Engine(std::move(components));
  });
}

int64_t Engine::context_length() const { return decoder().config().context_length; }

int64_t Engine::threads() const { return components_->num_threads(); }

int64_t Engine::count_tokens(const Prompt& prompt) const {
  return components_->run([&] { return precis::count_tokens(prompt, components_->stages()); });
}

const Decoder& Engine::decoder() const { return *components_->decoder; }
const Tokenizer& Engine::tokenizer() const {
  PRECIS_CHECK(
      components_->tokenizer != nullptr, kNotFound, "engine: the model came without a tokenizer");
  return *components_->tokenizer;
}
const Compressor* Engine::compressor() const { return components_->compressor.get(); }

bool Engine::has_chat_template() const { return components_->chat.has_value(); }

Memory Engine::compress(std::string_view text, const CompressOptions& options) const {
  const std::string owned(text);
  return compress_batch({&owned, 1}, options).front();
}

Memory Engine::compress_ids(std::span<const TokenId> ids, const CompressOptions& options) const {
  const std::vector<TokenId> owned(ids.begin(), ids.end());
  return compress_ids_batch({&owned, 1}, options).front();
}

std::vector<Memory> Engine::compress_batch(std::span<const std::string> texts,
                                           const CompressOptions& options) const {
  return components_->run([&] {
    std::vector<std::vector<TokenId>> ids;
    for (const std::string& text : texts) {
      ids.push_back(tokenizer().encode(text));
      PRECIS_CHECK(!ids.back().empty(), kInvalidArgument, "compress: the text is empty");
    }
    return compress_ids_batch(ids, options);
  });
}

std::vector<Memory> Engine::compress_ids_batch(std::span<const std::vector<TokenId>> texts,
                                               const CompressOptions& options) const {
  return components_->run([&] {
    const c10::InferenceMode inference;
    std::vector<Segment> segments;
    for (const std::vector<TokenId>& ids : texts) segments.push_back({ids, nullptr});
    return make_memories(components_->compression(), segments, options);
  });
}

Memory Engine::prefill(const Memory& memory) const {
  return components_->run([&] {
    const c10::InferenceMode inference;
    check_memory(memory, decoder());
    const auto* soft = std::get_if<SoftTokens>(&memory.contents().tensors);
    if (soft == nullptr) return memory;
    return Memory(std::make_shared<const MemoryContents>(
        MemoryContents{precis::prefill(*soft, decoder()), memory.provenance()}));
  });
}

Memory Engine::rebase(const Memory& memory, int64_t new_first_position) const {
  return components_->run([&] {
    const c10::InferenceMode inference;
    check_memory(memory, decoder());
    const auto* cached = std::get_if<CachedTokens>(&memory.contents().tensors);
    PRECIS_CHECK(cached != nullptr,
                 kInvalidArgument,
                 "rebase: a memory of input embeddings has no position");
    MemoryContents moved = memory.contents();
    moved.tensors = precis::rebase(*cached, decoder().config(), new_first_position);
    return Memory(std::make_shared<const MemoryContents>(std::move(moved)));
  });
}

Completion Engine::generate(const Prompt& prompt,
                            const GenerationOptions& options,
                            const TextCallback& on_text) const {
  const Request request{prompt, options, on_text};
  Completion completion = generate_batch({&request, 1}).front();
  if (completion.error) std::rethrow_exception(completion.error);
  return completion;
}

std::vector<Completion> Engine::generate_batch(std::span<const Prompt> prompts,
                                               const GenerationOptions& options) const {
  translate_errors([&] { check_options(options, components_->stages()); });
  std::vector<Request> requests;
  for (const Prompt& prompt : prompts) requests.push_back({prompt, options, {}});
  return generate_batch(requests);
}

std::vector<Completion> Engine::generate_batch(std::span<const Request> requests) const {
  return components_->run([&] {
    const c10::InferenceMode inference;
    return precis::generate(
        requests, components_->stages(), components_->decoding(), components_->info.reserved_ids);
  });
}

RequestHandle Engine::submit(const Prompt& prompt,
                             const GenerationOptions& options,
                             const SubmitOptions& submission) const {
  return components_->run([&] {
    const c10::InferenceMode inference;
    const Stages stages = components_->stages();
    ScheduledRequest request =
        schedule({prompt, options, {}}, submission, stages, components_->info.reserved_ids);
    request.most_blocks = most_blocks(request.plan, stages);
    const RequestHandle handle(request.record);
    components_->serving().submit(std::move(request));
    return handle;
  });
}

Score Engine::score(const Prompt& context, std::string_view continuation) const {
  return score_ids(context, translate_errors([&] { return tokenizer().encode(continuation); }));
}

namespace {

// The prompt before the ids that are scored.
SplicedPrompt scored_context(const Prompt& context, int64_t num_ids, const Stages& stages) {
  if (!context.turns().empty()) {
    const GenerationOptions options{.max_tokens = num_ids};
    return prepare(context, options, stages, Continuation::kText).prompt;
  }
  const int64_t window = stages.decoder.config().context_length;
  PRECIS_CHECK(num_ids <= window,
               kInvalidArgument,
               "score: ",
               num_ids,
               " ids are over the context limit of ",
               window);
  return empty_prompt(stages.decoder);
}

}  // namespace

Score Engine::score_ids(const Prompt& context, std::span<const TokenId> continuation) const {
  return components_->run([&] {
    const c10::InferenceMode inference;
    check_ids(continuation, decoder(), "score");
    PRECIS_CHECK(!continuation.empty(), kInvalidArgument, "score: there is nothing to score");
    const SplicedPrompt prompt =
        scored_context(context, std::ssize(continuation), components_->stages());
    PRECIS_CHECK(std::ssize(continuation) > prompt.first_scored(),
                 kInvalidArgument,
                 "score: after an empty prompt, or keys and values alone, expected at least 2 ids, "
                 "got ",
                 continuation.size());
    return Score{precis::score(decoder(), prompt, continuation)};
  });
}

double Score::mean() const {
  return nll.empty()
             ? 0.0
             : std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size());
}

}  // namespace precis
