// SPDX-License-Identifier: Apache-2.0
// Memories as values: concat() and sum().
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/make_memory.h"

namespace precis {
namespace {

Memory sum(const std::vector<Memory>& memories) { return Memory::sum(memories); }
Memory joined(const std::vector<Memory>& memories) { return Memory::concat(memories); }

Provenance from(const std::string& source, int64_t tokens) {
  return {"selfcp", "the model", "the compressor", source, tokens};
}

void refuse_to_add(const std::vector<Memory>& memories, const std::string& part) {
  expect_error(ErrorKind::kInvalidArgument, part, [&] { Memory::sum(memories); });
}

TEST(MemorySum, AddsTokenByToken) {
  const Memory added = sum({soft_memory({{1, 2}, {3, 4}}), soft_memory({{10, 20}, {30, 40}})});
  EXPECT_TRUE(at::equal(rows_of(added), at::tensor({11.f, 22.f, 33.f, 44.f}).view({2, 2})));
  EXPECT_EQ(added.num_tokens(), 2);
}

TEST(MemorySum, OfOneIsItself) {
  const Memory one = soft_memory({{1, -0.0f}, {1e-40f, 3e38f}});
  EXPECT_EQ(sum({one}).content_hash(), one.content_hash());
}

TEST(MemorySum, DoesNotChangeItsOperands) {
  const Memory one = soft_memory({{1, 2}}), other = soft_memory({{3, 4}});
  sum({one, other});
  EXPECT_TRUE(at::equal(rows_of(one), at::tensor({1.f, 2.f}).view({1, 2})));
  EXPECT_TRUE(at::equal(rows_of(other), at::tensor({3.f, 4.f}).view({1, 2})));
}

// 257 is not a bfloat16: a sum rounded after each addition would stay at 256.
TEST(MemorySum, IsRoundedOnce) {
  const auto narrow = [](float value) {
    return make_memory(SoftTokens{at::full({1, 1}, value, at::kBFloat16)});
  };
  const Memory added = sum({narrow(256), narrow(1), narrow(1)});
  EXPECT_EQ(rows_of(added).scalar_type(), at::kBFloat16);
  EXPECT_EQ(rows_of(added).item<float>(), 258);
}

TEST(MemorySum, HasTheWidestDtype) {
  const auto of = [](at::ScalarType dtype) {
    return make_memory(SoftTokens{at::ones({1, 1}, dtype)});
  };
  EXPECT_EQ(rows_of(sum({of(at::kHalf), of(at::kBFloat16)})).scalar_type(), at::kFloat);
  EXPECT_EQ(rows_of(sum({of(at::kFloat), of(at::kHalf)})).scalar_type(), at::kFloat);
  const at::Tensor small = at::full({1, 1}, 1e-12, at::kDouble);
  EXPECT_EQ(rows_of(sum({make_memory(SoftTokens{small}), of(at::kFloat)})).item<double>(),
            1 + 1e-12);
}

TEST(MemorySum, HasTheProvenanceOfAllTexts) {
  const Memory added =
      sum({soft_memory({{1}}, from("one text", 5)), soft_memory({{1}}, from("another", 7))});
  EXPECT_EQ(added.provenance().source_tokens, 12);
  EXPECT_EQ(added.provenance().method, "selfcp");
  EXPECT_EQ(added.provenance().model_fingerprint, "the model");
  EXPECT_EQ(added.provenance().compressor_fingerprint, "the compressor");
}

TEST(MemorySum, HasTheProvenanceOfTheConcatenation) {
  const Memory one = soft_memory({{1}}, from("one text", 5)),
               other = soft_memory({{2}}, {"icae", "the model", "its compressor", "another", 7});
  const Provenance added = sum({one, other}).provenance(),
                   concatenated = joined({one, other}).provenance(),
                   turned = sum({other, one}).provenance();
  EXPECT_EQ(added.method, "mixed");
  EXPECT_EQ(added.compressor_fingerprint, "mixed");
  EXPECT_EQ(added.source_hash, concatenated.source_hash);
  EXPECT_EQ(added.source_tokens, concatenated.source_tokens);
  EXPECT_NE(added.source_hash, turned.source_hash);
}

TEST(MemorySum, NamesTheCountsThatDiffer) {
  refuse_to_add({soft_memory({{1}, {2}}), soft_memory({{1}, {2}, {3}})},
                "3 memory tokens cannot be added to the 2 of the first one");
}

TEST(MemorySum, RefusesWhatCannotBeJoined) {
  const Memory one = soft_memory({{1, 2}});
  refuse_to_add({}, "nothing to join");
  refuse_to_add({one, cached_memory()}, "cached");
  refuse_to_add({cached_memory()}, "cached");
  refuse_to_add({one, soft_memory({{1, 2}}, {"selfcp", "another model", "", "", 1})},
                "made for model another model, the first one for the model");
  refuse_to_add({one, soft_memory({{1, 2}}, {"selfcp", "abc", "", "", 1, "llama\n"})},
                "made for model abc (\"llama?\"), the first one for the model");
  refuse_to_add({one, soft_memory({{1, 2, 3}})}, "rows of 3, the first one has rows of 2");
}

TEST(MemorySum, RefusesASumThatItsDtypeCannotHold) {
  const Memory large = make_memory(SoftTokens{at::full({1, 1}, 60000.0, at::kHalf)});
  refuse_to_add({large, large}, "out of the range of Half");
}

TEST(MemoryConcat, RefusesWhatCannotBeJoined) {
  const auto refuse = [](const std::vector<Memory>& memories, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { Memory::concat(memories); });
  };
  refuse({}, "nothing to join");
  refuse({soft_memory({{1}}), cached_memory()}, "cached");
  refuse({soft_memory({{1}}), soft_memory({{1}}, {"selfcp", "another model", "", "", 1})},
         "another model");
}

}  // namespace
}  // namespace precis
