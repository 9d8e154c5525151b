// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
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
#include "precis/serving.h"

namespace precis {

class Compressor;
class Decoder;
class Tokenizer;

// A prompt in a compressor's template, and the ids that end its answer, which go into
// GenerationOptions::stop_ids.
struct TemplatedPrompt {
  Prompt prompt = {};
  std::vector<TokenId> stop_ids = {};
};

// Receives text as it is generated, on the thread of the call, whole characters at a time.
// Returning false cancels.
using TextCallback = std::function<bool(std::string_view text)>;

// One request of a batch.
struct Request {
  Prompt prompt = {};
  GenerationOptions options = {};
  TextCallback on_text = {};  // none: the text is in the completion only
};

// A frozen model with its tokenizer and a compressor. Methods are const and may be called from
// several threads at once. Every failure is a precis::Error; methods that take a memory throw
// kInvalidArgument for one that was made for another model.
class Engine {
 public:
  // Loads a model and a compressor. Throws kNotFound, kBadWeights or kUnsupported, naming the file;
  // kUnsupported for a device that does not exist; kInvalidArgument for a number of threads out of
  // range.
  static Engine load(const EngineOptions& options);
  // Builds an engine from existing components: a decoder, a compressor made for that decoder (null:
  // none), a tokenizer (null: prompts and completions are ids). It has no chat template. The
  // caller needs the complete types (precis/extend/). Throws kInvalidArgument
  // without a decoder and for serving options out of range, kBadWeights for a tokenizer of more
  // ids than the decoder has.
  static Engine assemble(std::unique_ptr<Decoder> decoder,
                         std::unique_ptr<Compressor> compressor = nullptr,
                         std::unique_ptr<Tokenizer> tokenizer = nullptr,
                         const ServingOptions& serving = {});

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  // Ends submitted requests with an error (kCancelled). Not to be called from their callbacks.
  ~Engine();

  // Compresses a text into a memory. Throws kInvalidArgument for an empty text, for invalid UTF-8,
  // for options that the compressor does not support, and if the engine has no compressor;
  // kCancelled if options.progress returns false.
  Memory compress(std::string_view text, const CompressOptions& options = {}) const;
  // Compresses token ids. Throws as compress(), and kInvalidArgument for ids outside the
  // vocabulary.
  Memory compress_ids(std::span<const TokenId> ids, const CompressOptions& options = {}) const;
  // Compress many texts in one batch: one memory each, in order. Throw as above; one bad text fails
  // the call.
  std::vector<Memory> compress_batch(std::span<const std::string> texts,
                                     const CompressOptions& options = {}) const;
  std::vector<Memory> compress_ids_batch(std::span<const std::vector<TokenId>> texts,
                                         const CompressOptions& options = {}) const;

  // Turns a memory of input embeddings into keys and values: those that the model computes when it
  // reads the embeddings from position 0 on. A prompt with this memory does not compute them again,
  // so that a question about a stored document costs its own tokens only. The memory becomes larger
  // (by 2 * num_layers * num_kv_heads * head_dim / hidden_size) and may stand where cached memories
  // may. At the beginning of a prompt the answer is that of the embeddings, up to rounding; after
  // other tokens the memory has not attended to them. A memory of keys and values is returned as it
  // is. Throws kInvalidArgument for a memory that does not fit the context window, kBadWeights for
  // one that is damaged.
  Memory prefill(const Memory& memory) const;

  // Moves a memory of keys and values so that its first token is at position `new_first_position`:
  // keys are rotated by the difference of the positions, values stay (RoPE, arXiv 2104.09864). The
  // result is, up to rounding, what the model would have computed there. Throws kInvalidArgument
  // for a memory of input embeddings, which has no position, and for positions outside the context
  // window.
  Memory rebase(const Memory& memory, int64_t new_first_position) const;

  // Builds a prompt in the template that the compressor was trained with: to reproduce the text of
  // the memories, to continue it, or to answer `text` about it. Throws kUnsupported for a use that
  // the compressor was not trained for, kInvalidArgument for memories of another method and if the
  // engine has no compressor.
  TemplatedPrompt apply_template(std::span<const Memory> memories,
                                 MemoryUse use,
                                 const std::string& text = {}) const;

  // Answers a prompt. Throws kInvalidArgument for an empty prompt, one that does not fit as
  // options.overflow demands, and options out of range; kCancelled if
  // options.compression.progress returns false; kInternal for what `on_text` throws, unless that is
  // a precis::Error.
  Completion generate(const Prompt& prompt,
                      const GenerationOptions& options = {},
                      const TextCallback& on_text = {}) const;
  // Answers many requests in one batch: one completion each, in order. Each has its own options and
  // is answered as generate() would; sums are taken in another order, so that two ids whose logits
  // are equal up to rounding may change places. The texts of all prompts that have equal
  // CompressOptions are compressed together, equal texts once. A request that fails carries its
  // error in its completion, and the others are answered.
  std::vector<Completion> generate_batch(std::span<const Request> requests) const;
  // The same with equal options for all prompts. Throws kInvalidArgument for options out of range.
  std::vector<Completion> generate_batch(std::span<const Prompt> prompts,
                                         const GenerationOptions& options = {}) const;

  // Accepts a request and returns at once. Requests are answered together on one thread of the
  // engine, which the first of them starts: they join and leave between tokens, long prompts are
  // read in pieces between the tokens of others, and texts that several requests compress with
  // equal options at the same time are compressed once. Callbacks, also
  // options.compression.progress, are called on that thread. Throws, as generate() does, for a
  // prompt or options that cannot be met, kInvalidArgument also for a request that
  // ServingOptions::cache_bytes never has room for, and kBusy beyond ServingOptions::max_queued.
  RequestHandle submit(const Prompt& prompt,
                       const GenerationOptions& options = {},
                       const SubmitOptions& submission = {}) const;

  // Negative log-likelihood of each token of `continuation` after `context`, in nats. Directly
  // after a memory, the compressor's continuation mark is read first. Not scored is the first token
  // after an empty context, and after a memory of keys and values without such a mark, which has no
  // hidden state to predict it from. Throws kInvalidArgument if no token is left to score, for ids
  // outside the vocabulary, and if context and continuation do not fit the context window.
  Score score(const Prompt& context, std::string_view continuation) const;
  Score score_ids(const Prompt& context, std::span<const TokenId> continuation) const;

  // The context window of the model: tokens of prompt and answer together.
  int64_t context_length() const;
  // The most threads that a call from this thread computes on (EngineOptions::threads).
  int64_t threads() const;
  // Number of tokens of a prompt before compression, chat template included; a memory counts as
  // many as its text has. Equals Savings::prompt_tokens. Nothing is computed by the model. Throws
  // kInvalidArgument for an empty prompt and one that the tokenizer or the chat template refuses.
  int64_t count_tokens(const Prompt& prompt) const;
  // Whether prompts may have turns: the model has a chat template that Precis can read.
  bool has_chat_template() const;

  // The components; see precis/extend/{decoder,tokenizer,compressor}.h.
  const Decoder& decoder() const;
  const Tokenizer& tokenizer() const;    // throws kNotFound if the engine has none
  const Compressor* compressor() const;  // null: the engine has none

 private:
  struct Components;
  explicit Engine(std::unique_ptr<const Components> components);

  std::unique_ptr<const Components> components_;
};

}  // namespace precis
