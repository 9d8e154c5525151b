// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "failures/sweep.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "precis/extend/registry.h"
#include "precis/precis.h"
#include "support/make_memory.h"
#include "support/small_compressors.h"
#include "support/temporary_directory.h"
#include "train/trainer.h"

namespace precis::failures {

// A tiny model, and what is done with it.
class FailuresTest : public testing::Test {
 protected:
  FailuresTest() { at::set_num_threads(1); }

  static std::filesystem::path model() {
    return std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";
  }

  static Engine load() {
    EngineOptions options;
    options.model = model();
    options.dtype = Dtype::kFloat32;
    return Engine::load(options);
  }

  static std::string text() {
    std::string text = "The river rose for three days.";
    for (int i = 0; i < 6; ++i) text += " On day " + std::to_string(i) + " it carried trees.";
    return text;
  }

  static Completion answer(const Engine& engine) {
    GenerationOptions options;
    options.max_tokens = 4;
    return engine.generate(Prompt().compress(text()).keep(" What then?"), options);
  }

  std::filesystem::path data() const {
    const std::filesystem::path path = directory_ / "data.jsonl";
    if (std::filesystem::exists(path)) return path;
    std::ofstream out(path);
    for (int i = 0; i < 4; ++i)
      out << nlohmann::json{{"text", std::to_string(i) + text() + text()}}.dump() << "\n";
    return path;
  }

  // Saves a memory over another one: afterwards one of the two is there, and no draft.
  void sweep_a_replaced_memory(Layer layer) const {
    const Engine engine = load();
    const Memory before = engine.compress("The first text, which is short.");
    const Memory after = engine.compress(text());
    const auto path = directory_ / "memory.safetensors";
    before.save(path);
    sweep(
        layer,
        [&] {
          after.save(path);
          Memory::load(path);
        },
        [&] {
          const std::string found = Memory::load(path).content_hash();
          EXPECT_TRUE(found == before.content_hash() || found == after.content_hash());
          expect_no_drafts(directory_.path());
          before.save(path);
        });
  }

  // Two steps, or what is left of them where `out` has a checkpoint.
  static void train_two_steps(const Decoder& decoder,
                              const TokenDataset& dataset,
                              const std::filesystem::path& out) {
    std::unique_ptr<Compressor> compressor;
    {
      const c10::NoGradGuard no_grad;
      compressor = make_small_selfcp(decoder);
    }
    TrainerOptions options;
    options.steps = 2;
    options.batch = 2;
    options.examples.lengths = {8, 16, 8};
    options.warmup_steps = 1;
    options.checkpoint_every = 1;
    train(*compressor, decoder, {dataset}, options, out);
  }

  TemporaryDirectory directory_;
};

}  // namespace precis::failures
