// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/parallel.h"
#include "base/pass_threads.h"
#include "base/usable_cores.h"
#include "chat/chat_template.h"
#include "engine/compress.h"
#include "engine/prepare.h"
#include "io/translate_errors.h"
#include "precis/engine.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Threads to compute on: as many as are asked for, or ATen's number, at most `cores`.
int64_t threads_for(int64_t asked, int64_t cores);

// What an engine owns.
struct Engine::Parts {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Tokenizer> tokenizer;  // null: the model came without
  std::optional<ChatTemplate> chat;
  std::string chat_problem = "the model has no chat template";  // why there is no chat
  std::unique_ptr<Compressor> compressor;                       // null: none
  CompressorInfo info;                                          // of the compressor
  int64_t threads = 0;                                          // asked for; 0: ATen's number
  int64_t cores = usable_cores();

  // `origin` is for messages. Throws kBadWeights for a tokenizer of more ids than the decoder has.
  Parts(std::unique_ptr<Decoder> own_decoder,
        std::unique_ptr<Tokenizer> own_tokenizer,
        std::unique_ptr<Compressor> own_compressor,
        const std::string& origin);

  void use(std::unique_ptr<Compressor> own_compressor);
  // A template that Precis cannot read spoils chats only: the error waits for the first one.
  void load_chat(const std::filesystem::path& model);

  Stages stages() const;
  CompressionStage compression() const;  // throws kInvalidArgument without a compressor
  // Ids that are the compressor's own are no words of an answer.
  GenerationOptions without_reserved_ids(GenerationOptions options) const;
  // Whether a prompt ends on keys and values without a mark behind them, so that there is no row
  // whose next token could be told.
  bool leaves_nothing_to_read(const Prompt& prompt) const;
  int64_t num_threads() const { return threads_for(threads, cores); }

  // Runs the body of a public method on the engine's number of threads; only precis::Error comes
  // out.
  template <typename Work>
  auto run(const Work& work) const {
    return translate_errors([&] {
      const NumThreads own(num_threads());
      const PassThreads fewer_if_busy;
      return work();
    });
  }
};

}  // namespace precis
