// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precis/completion.h"
#include "precis/memory.h"
#include "precis/options.h"
#include "precis/prompt.h"

namespace precis {

class Compressor;
class Decoder;
class Tokenizer;

// A prompt and what ends its answer, for GenerationOptions::stop_ids.
struct TemplatedPrompt {
  Prompt prompt = {};
  std::vector<TokenId> stop_ids = {};
};

// Receives text as it is generated, whole characters at a time; returning false cancels.
using TextCallback = std::function<bool(std::string_view text)>;

// A frozen model, its tokenizer and a compressor, which is the built-in "attention_matching" where
// none is asked for. Methods are const and may be called from several threads. Every failure is a
// precis::Error.
class Engine {
 public:
  // Throws kNotFound, kBadWeights or kUnsupported, naming the file; kUnsupported for a device that
  // is not there; kInvalidArgument for a number of threads out of range.
  static Engine load(const EngineOptions& options);
  // Of parts made elsewhere, for those who extend Precis: a decoder, a compressor over that very
  // decoder (null: none), a tokenizer (null: prompts and answers are ids). There is no chat
  // template. Throws kInvalidArgument without a decoder, kBadWeights for a tokenizer of more ids
  // than the decoder has.
  static Engine assemble(std::unique_ptr<Decoder> decoder,
                         std::unique_ptr<Compressor> compressor = nullptr,
                         std::unique_ptr<Tokenizer> tokenizer = nullptr);

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // A text as memory. Throws kInvalidArgument for an empty text, invalid UTF-8, or if the engine
  // was assembled without a compressor, kCancelled if options.progress returns false.
  Memory compress(std::string_view text, const CompressOptions& options = {}) const;
  // The same for token ids, and for many texts at once, batched. Throws as compress.
  Memory compress_ids(std::span<const TokenId> ids, const CompressOptions& options = {}) const;
  std::vector<Memory> compress_batch(std::span<const std::string> texts,
                                     const CompressOptions& options = {}) const;
  std::vector<Memory> compress_ids_batch(std::span<const std::vector<TokenId>> texts,
                                         const CompressOptions& options = {}) const;

  // A memory of input embeddings as keys and values: what the model makes of its rows when it reads
  // them first. Prompts then take these as they are, so that a question about a stored document
  // waits for its own tokens only; they are larger than embeddings (by 2 * layers * kv_heads *
  // head_dim / hidden) and can stand where cached memories can. At the beginning of a prompt the
  // answer is that of the embeddings, up to rounding; behind kept text its rows have not read that
  // text. A memory that is cached already is returned as it is. Throws kInvalidArgument for a
  // memory of another model and one that does not fit its window, kBadWeights for one that is
  // damaged.
  Memory prefill(const Memory& memory) const;

  // The same memory of cached keys and values with its first memory token at another position: keys
  // are turned by the difference of the positions, values stay (RoPE, arXiv 2104.09864). For a text
  // that is to be read further on in an existing cache, or a gist that was made behind another
  // text. The result is, up to rounding, what the model would have computed there. Throws
  // kInvalidArgument for a memory of input embeddings, which has no position, one of another model,
  // and positions outside the model's window.
  Memory rebase(const Memory& memory, int64_t new_first_position) const;

  // What the loaded compressor was trained to see around memories: to say the text again, to go on
  // with it, or to answer `text` about it. Throws kUnsupported for a use that it was not made for,
  // kInvalidArgument for memories of another method and if there is no compressor.
  TemplatedPrompt apply_template(std::span<const Memory> memories,
                                 MemoryUse use,
                                 const std::string& text = {}) const;

  // Answers a prompt. Throws kInvalidArgument for an empty prompt, one that does not fit as
  // options.overflow demands, a memory of another model, or options out of range.
  Completion generate(const Prompt& prompt,
                      const GenerationOptions& options = {},
                      const TextCallback& on_text = {}) const;
  // Answers many prompts in one batch, each as generate() would; sums are taken in another order,
  // so that two ids whose logits are equal up to rounding may change places. A request that fails
  // carries its error.
  std::vector<Completion> generate_batch(std::span<const Prompt> prompts,
                                         const GenerationOptions& options = {}) const;

  // How likely the model finds `continuation` after `context`, in nats for each id. Directly after
  // a memory, the compressor's continuation mark is read first. With an empty context the first id
  // is not scored, nor is it directly after keys and values without such a mark. Throws
  // kInvalidArgument for nothing to score, ids outside the vocabulary, or more than the context
  // window holds.
  Score score(const Prompt& context, std::string_view continuation) const;
  Score score_ids(const Prompt& context, std::span<const TokenId> continuation) const;

  // Tokens of prompt and answer that the model's window holds.
  int64_t context_length() const;
  // Threads that a call from this thread computes on, at most (EngineOptions::threads).
  int64_t threads() const;
  // Tokens of a prompt before compression, chat template included; a memory counts as many as its
  // text has. The same number as Savings::prompt_tokens, without running the model. Throws
  // kInvalidArgument for an empty prompt and one that the tokenizer or the template refuses.
  int64_t count_tokens(const Prompt& prompt) const;

  // The parts, for those who extend Precis (precis/decoder.h, tokenizer.h, compressor.h).
  const Decoder& decoder() const;
  const Tokenizer& tokenizer() const;    // throws kNotFound if the model came without
  const Compressor* compressor() const;  // null: assembled without one

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace precis
