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
#include "engine/decode.h"
#include "engine/device.h"
#include "engine/engine_parts.h"
#include "engine/prefill.h"
#include "engine/prepare.h"
#include "engine/sampler.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"
#include "models/load_decoder.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/registry.h"
#include "prompt/template_items.h"
#include "tokenizers/load_tokenizer.h"

namespace precis {

namespace {

constexpr int64_t kMostThreads = 4096;

// Tensors-only model directories are of use too: everything but text works.
std::unique_ptr<Tokenizer> load_optional_tokenizer(const std::filesystem::path& model) {
  try {
    return load_tokenizer(model);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return nullptr;
  }
}

}  // namespace

Engine::Engine(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
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
    const c10::NoGradGuard no_grad;
    const NumThreads own(threads_for(options.threads, usable_cores()));
    std::unique_ptr<Decoder> decoder =
        load_decoder(options.model, tensor_options(options), options.weights);
    auto parts = std::make_unique<Parts>(std::move(decoder),
                                         load_optional_tokenizer(options.model),
                                         nullptr,
                                         options.model.string());
    parts->threads = options.threads;
    parts->use(load_compressor(options.compressor.empty() ? kDefaultCompressor : options.compressor,
                               *parts->decoder,
                               parts->tokenizer.get()));
    parts->load_chat(options.model);
    log(LogLevel::kInfo,
        concat("loaded ",
               options.model.string(),
               ": ",
               parts->decoder->num_parameters(),
               " parameters, ",
               parts->decoder->weight_bytes(),
               " bytes"));
    return Engine(std::move(parts));
  });
}

Engine Engine::assemble(std::unique_ptr<Decoder> decoder,
                        std::unique_ptr<Compressor> compressor,
                        std::unique_ptr<Tokenizer> tokenizer) {
  return translate_errors([&] {
    PRECIS_CHECK(decoder != nullptr, kInvalidArgument, "engine: there is no decoder");
    return Engine(std::make_unique<Parts>(
        std::move(decoder), std::move(tokenizer), std::move(compressor), "engine"));
  });
}

int64_t Engine::context_length() const { return decoder().config().context_length; }

int64_t Engine::threads() const { return parts_->num_threads(); }

int64_t Engine::count_tokens(const Prompt& prompt) const {
  return parts_->run([&] { return precis::count_tokens(prompt, parts_->stages()); });
}

const Decoder& Engine::decoder() const { return *parts_->decoder; }
const Tokenizer& Engine::tokenizer() const {
  PRECIS_CHECK(
      parts_->tokenizer != nullptr, kNotFound, "engine: the model came without a tokenizer");
  return *parts_->tokenizer;
}
const Compressor* Engine::compressor() const { return parts_->compressor.get(); }

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
  return parts_->run([&] {
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
  return parts_->run([&] {
    const c10::InferenceMode inference;
    std::vector<Segment> segments;
    for (const std::vector<TokenId>& ids : texts) segments.push_back({ids, nullptr});
    return make_memories(parts_->compression(), segments, options);
  });
}

namespace {

void add_part(Prompt& prompt, const TemplateItem& part, const Decoder& decoder) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&part)) {
    prompt.ids(*ids);
  } else {
    prompt.memory(memory_of_rows(std::get<at::Tensor>(part), decoder));
  }
}

void check_options(const GenerationOptions& options, const Decoder& decoder) {
  check_sampling(options);
  check_ids(options.stop_ids, decoder, "generation options: stop_ids");
  check_ids(options.suppressed_ids, decoder, "generation options: suppressed_ids");
}

// The template of one method means nothing around the memories of another.
void check_method(std::span<const Memory> memories, const CompressorInfo& info) {
  for (const Memory& memory : memories) {
    const std::string& method = memory.provenance().method;
    PRECIS_CHECK(method == info.method || method == "mixed",
                 kInvalidArgument,
                 "memory template: a memory was made by ",
                 method,
                 ", but the compressor here is ",
                 info.method,
                 "; load the one that made it");
  }
}

void report(Completion& completion, const Prepared& prepared) {
  completion.savings = prepared.savings;
  completion.timings.compress_ms = prepared.compress_ms;
}

}  // namespace

Memory Engine::prefill(const Memory& memory) const {
  return parts_->run([&] {
    const c10::InferenceMode inference;
    check_memory(memory, decoder());
    const auto* soft = std::get_if<SoftTokens>(&memory.contents().tensors);
    if (soft == nullptr) return memory;
    return Memory(std::make_shared<const MemoryContents>(
        MemoryContents{precis::prefill(*soft, decoder()), memory.provenance()}));
  });
}

Memory Engine::rebase(const Memory& memory, int64_t new_first_position) const {
  return parts_->run([&] {
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

TemplatedPrompt Engine::apply_template(std::span<const Memory> memories,
                                       MemoryUse use,
                                       const std::string& text) const {
  return parts_->run([&] {
    for (const Memory& memory : memories) check_memory(memory, decoder());
    check_method(memories, parts_->compression().info);
    const MemoryTemplate around = parts_->compression().compressor.memory_template(use);
    Prompt prompt;
    const auto add = [&](const std::vector<TemplateItem>& parts) {
      for (const TemplateItem& part : parts) add_part(prompt, part, decoder());
    };
    add(around.before);
    for (const Memory& memory : memories) prompt.memory(memory);
    add(around.after);
    if (!text.empty()) prompt.keep(text);
    add(around.end);
    return TemplatedPrompt{std::move(prompt), around.answer_ends};
  });
}

Completion Engine::generate(const Prompt& prompt,
                            const GenerationOptions& options,
                            const TextCallback& on_text) const {
  return parts_->run([&] {
    const c10::InferenceMode inference;
    check_options(options, decoder());
    const Prepared prepared = prepare(prompt, options, parts_->stages());
    Completion completion = decode({decoder(), parts_->tokenizer.get()},
                                   {&prepared.prompt, 1},
                                   parts_->without_reserved_ids(options),
                                   on_text)
                                .front();
    if (completion.error) std::rethrow_exception(completion.error);
    report(completion, prepared);
    return completion;
  });
}

std::vector<Completion> Engine::generate_batch(std::span<const Prompt> prompts,
                                               const GenerationOptions& options) const {
  return parts_->run([&] {
    const c10::InferenceMode inference;
    check_options(options, decoder());
    std::vector<Completion> completions(prompts.size());
    std::vector<Prepared> prepared;
    std::vector<SplicedPrompt> spliced;
    std::vector<size_t> owner;
    for (size_t i = 0; i < prompts.size(); ++i) {
      try {
        translate_errors(
            [&] { prepared.push_back(prepare(prompts[i], options, parts_->stages())); });
        spliced.push_back(prepared.back().prompt);
        owner.push_back(i);
      } catch (const Error&) {
        completions[i].finish = Completion::Finish::kError;
        completions[i].error = std::current_exception();
      }
    }
    if (spliced.empty()) return completions;
    std::vector<Completion> decoded = decode(
        {decoder(), parts_->tokenizer.get()}, spliced, parts_->without_reserved_ids(options));
    for (size_t i = 0; i < owner.size(); ++i) {
      report(decoded[i], prepared[i]);
      completions[owner[i]] = std::move(decoded[i]);
    }
    return completions;
  });
}

Score Engine::score(const Prompt& context, std::string_view continuation) const {
  return score_ids(context, translate_errors([&] { return tokenizer().encode(continuation); }));
}

Score Engine::score_ids(const Prompt& context, std::span<const TokenId> continuation) const {
  return parts_->run([&] {
    const c10::InferenceMode inference;
    check_ids(continuation, decoder(), "score");
    const int64_t window = decoder().config().context_length;
    if (context.turns().empty()) {
      PRECIS_CHECK(std::ssize(continuation) >= 2,
                   kInvalidArgument,
                   "score: expected at least 2 ids, got ",
                   continuation.size());
      PRECIS_CHECK(std::ssize(continuation) <= window,
                   kInvalidArgument,
                   "score: ",
                   continuation.size(),
                   " ids are over the context limit of ",
                   window);
      return Score{precis::score(decoder(), nullptr, continuation)};
    }
    PRECIS_CHECK(!continuation.empty(), kInvalidArgument, "score: there is nothing to score");
    if (parts_->leaves_nothing_to_read(context)) {
      PRECIS_CHECK(std::ssize(continuation) >= 2,
                   kInvalidArgument,
                   "score: behind a memory of keys and values expected at least 2 ids, got ",
                   continuation.size());
      return score_ids(Prompt(context).ids({continuation.front()}), continuation.subspan(1));
    }
    GenerationOptions options;
    options.max_tokens = std::ssize(continuation);
    const Prepared prepared = prepare(context, options, parts_->stages(), Continuation::kText);
    return Score{precis::score(decoder(), &prepared.prompt, continuation)};
  });
}

double Score::mean() const {
  return nll.empty()
             ? 0.0
             : std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size());
}

}  // namespace precis
