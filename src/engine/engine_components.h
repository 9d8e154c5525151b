// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/parallel.h"
#include "base/pass_threads.h"
#include "base/usable_cores.h"
#include "chat/chat_template.h"
#include "engine/compress.h"
#include "engine/decode_batch.h"
#include "engine/prepare.h"
#include "engine/serving_thread.h"
#include "io/translate_errors.h"
#include "precis/engine.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Threads to compute on: `asked` or, if that is 0, ATen's number, at most `cores`.
int64_t threads_for(int64_t asked, int64_t cores);

// What an engine owns.
struct Engine::Components {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Tokenizer> tokenizer;  // null: prompts and completions are ids
  std::optional<ChatTemplate> chat;
  std::string chat_problem = "the model has no chat template";  // the error of a chat without one
  std::unique_ptr<Compressor> compressor;                       // null: none
  CompressorInfo info;                                          // of the compressor
  int64_t threads = 0;                                          // EngineOptions::threads
  int64_t cores = usable_cores();
  ServingOptions serving_options = {};

  // `origin` is for messages. Throws kBadWeights for a tokenizer of more ids than the decoder has.
  Components(std::unique_ptr<Decoder> own_decoder,
             std::unique_ptr<Tokenizer> own_tokenizer,
             std::unique_ptr<Compressor> own_compressor,
             const std::string& origin);

  void use(std::unique_ptr<Compressor> own_compressor);
  // An error in the template is kept as chat_problem, since prompts without turns do not need it.
  void load_chat(const std::filesystem::path& model);

  PromptTokenizer prompt_tokenizer() const;
  Stages stages() const;
  CompressionStage compression() const;  // throws kInvalidArgument without a compressor
  DecodeStage decoding() const { return {*decoder, tokenizer.get()}; }
  int64_t num_threads() const { return threads_for(threads, cores); }
  // Answers submitted requests. The first call starts its thread.
  ServingThread& serving() const;

  // Runs the body of a public method on the engine's number of threads. Throws precis::Error only.
  template <typename Work>
  auto run(const Work& work) const {
    return translate_errors([&] {
      const NumThreads own(num_threads());
      const PassThreads fewer_if_busy;
      return work();
    });
  }

 private:
  mutable std::mutex serving_mutex_;  // guards serving_
  // Last, so that its thread ends before what it borrows.
  mutable std::unique_ptr<ServingThread> serving_;
};

}  // namespace precis
