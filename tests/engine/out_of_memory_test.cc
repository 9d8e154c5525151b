// SPDX-License-Identifier: Apache-2.0
// Running out of memory is ErrorKind::kOutOfMemory, wherever it happens. The engine links
// libsentencepiece, one of whose variables would overlap libtorch's flag for aborting.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <new>

#include "base/parallel.h"
#include "io/translate_errors.h"
#include "precis/precis.h"
#include "support/expect_error.h"

namespace precis {
namespace {

const std::filesystem::path kModel = std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models/llama";

TEST(OutOfMemory, LibtorchDoesNotAbort) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the program themselves";
#endif
  constexpr int64_t kMoreThanThereIs = int64_t{1} << 50;
  const auto allocate = [] { return at::empty({kMoreThanThereIs}, at::kByte); };
  expect_error(ErrorKind::kOutOfMemory, "out of memory: can't allocate", [&] {
    translate_errors(allocate);
  });
  expect_error(ErrorKind::kOutOfMemory, std::to_string(kMoreThanThereIs), [&] {
    translate_errors(allocate);
  });
}

TEST(OutOfMemory, OfAThreadIsTheCallers) {
  const auto work = [](int64_t first, int64_t) {
    if (first > 0) throw std::bad_alloc();
  };
  expect_error(ErrorKind::kOutOfMemory, "out of memory", [&] {
    translate_errors([&] {
      for_ranges(64, 1, work);
      work(1, 2);  // one thread takes it all in one range
    });
  });
}

TEST(OutOfMemory, OfACallbackLeavesTheEngineAsItWas) {
  EngineOptions options;
  options.model = kModel;
  options.dtype = Dtype::kFloat32;
  const Engine engine = Engine::load(options);
  GenerationOptions generation;
  generation.max_tokens = 12;
  const Prompt prompt = Prompt().keep("a");
  const std::vector<TokenId> wanted = engine.generate(prompt, generation).ids;
  expect_error(ErrorKind::kOutOfMemory, "out of memory", [&] {
    static_cast<void>(engine.generate(
        prompt, generation, [](std::string_view) -> bool { throw std::bad_alloc(); }));
  });
  EXPECT_EQ(engine.generate(prompt, generation).ids, wanted);
}

}  // namespace
}  // namespace precis
