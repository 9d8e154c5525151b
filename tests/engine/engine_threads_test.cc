// SPDX-License-Identifier: Apache-2.0
// Calls from several threads at once have the results of single calls.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "precis/precis.h"

namespace precis {
namespace {

class EngineThreads : public testing::Test {
 protected:
  EngineThreads() : engine(load()) {}

  static Engine load() {
    EngineOptions options;
    options.model = std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";
    options.dtype = Dtype::kFloat32;
    return Engine::load(options);
  }

  // Runs work(i) for each i below `count` on a thread of its own.
  static void on_threads(int count, const std::function<void(int)>& work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
  }

  static std::string text_of(int i) {
    std::string text = "Text " + std::to_string(i) + ":";
    for (int word = 0; word < 30; ++word) text += " " + std::to_string((word * 7 + i) % 13);
    return text;
  }

  Engine engine;
};

TEST_F(EngineThreads, CompressAtOnce) {
  constexpr int kThreads = 3;
  std::vector<std::string> alone, at_once(kThreads);
  for (int i = 0; i < kThreads; ++i) alone.push_back(engine.compress(text_of(i)).content_hash());
  on_threads(kThreads, [&](int i) { at_once[i] = engine.compress(text_of(i)).content_hash(); });
  EXPECT_EQ(at_once, alone);
}

TEST_F(EngineThreads, AnswerAtOnce) {
  constexpr int kThreads = 3;
  GenerationOptions options;
  options.max_tokens = 8;
  const Memory shared = engine.compress(text_of(9));
  const auto answer = [&](int i) {
    return engine.generate(Prompt().memory(shared).keep(text_of(i)), options).ids;
  };
  std::vector<std::vector<TokenId>> alone, at_once(kThreads);
  for (int i = 0; i < kThreads; ++i) alone.push_back(answer(i));
  on_threads(kThreads, [&](int i) { at_once[i] = answer(i); });
  EXPECT_EQ(at_once, alone);
}

}  // namespace
}  // namespace precis
