// SPDX-License-Identifier: Apache-2.0
#include "memory/memory_bytes.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "io/file_fixture.h"
#include "io/json_file.h"
#include "support/make_memory.h"

namespace precis {
namespace {

// Heads of 1, 3, 2 and 2 tokens.
Memory ragged_memory() {
  CachedTokens tensors{at::arange(32, at::kFloat).view({8, 4}), at::ones({8, 4}), 5, 20, 1};
  tensors.lengths = at::tensor({1, 3, 2, 2}, at::kLong).view({2, 2});
  return make_memory(tensors);
}

std::vector<Memory> memories() {
  MemoryContents named = cached_memory().contents();
  named.provenance.model_name = "SmolLM2-135M \xC3\xA9";
  return {soft_memory({{1, 2}, {3, 4}}),
          make_memory(SoftTokens{at::ones({2, 3}, at::kBFloat16)}),
          make_memory(SoftTokens{at::arange(8, at::kFloat).view({2, 4}).t()}),
          cached_memory(),
          ragged_memory(),
          Memory(std::make_shared<MemoryContents>(named))};
}

class MemoryBytes : public FileTest {
 protected:
  static void refuse(const std::string& bytes, std::string_view message = "memory buffer") {
    expect_error(ErrorKind::kBadWeights, message, [&] { Memory::deserialize(bytes); });
  }
};

TEST_F(MemoryBytes, AreThoseOfTheFile) {
  for (const Memory& memory : memories()) {
    memory.save(folder() / "file");
    EXPECT_EQ(memory.serialize(), read_file(folder() / "file"));
  }
}

TEST_F(MemoryBytes, BecomeTheSameMemory) {
  for (const Memory& memory : memories()) {
    const Memory again = Memory::deserialize(memory.serialize());
    EXPECT_EQ(again.content_hash(), memory.content_hash());
    EXPECT_EQ(again.provenance().model_name, memory.provenance().model_name);
    EXPECT_EQ(again.num_tokens(), memory.num_tokens());
    EXPECT_EQ(again.serialize(), memory.serialize());
  }
}

// The bytes may be gone when the memory is used, and may begin at any address.
TEST_F(MemoryBytes, AreCopied) {
  std::string bytes = "x" + soft_memory({{1, 2}, {3, 4}}).serialize();
  const Memory memory = Memory::deserialize(std::string_view(bytes).substr(1));
  std::ranges::fill(bytes, 'x');
  EXPECT_TRUE(at::equal(rows_of(memory), at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({2, 2})));
}

TEST_F(MemoryBytes, OfAFileAreRead) {
  cached_memory().save(folder() / "file");
  const Memory memory = Memory::deserialize(read_file(folder() / "file"));
  EXPECT_EQ(memory.content_hash(), cached_memory().content_hash());
}

TEST_F(MemoryBytes, ThatAreTruncatedAreRefused) {
  for (const Memory& memory : memories()) {
    const std::string bytes = memory.serialize();
    for (size_t size = 0; size < bytes.size(); ++size) refuse(bytes.substr(0, size));
    refuse(bytes + '\0');
  }
}

TEST_F(MemoryBytes, OfSomethingElseAreRefused) {
  refuse("");
  refuse("garbage, which is longer than eight bytes");
  refuse(std::string(1000, '\0'));
  refuse(std::string(1000, '\xFF'));
  refuse(std::string("\x02\0\0\0\0\0\0\0{}", 10), "memory buffer: not a memory of Precis");
  // Headers that promise more than there is.
  refuse(std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}", 10));
  refuse(std::string("\x00\xE1\xF5\x05\0\0\0\0{}", 10));
}

TEST_F(MemoryBytes, SurviveDamage) {
  for (const Memory& memory : {soft_memory({{1, 2}}), ragged_memory()})
    expect_survives_damage(memory.serialize(),
                           [](const auto& file) { Memory::deserialize(read_file(file)); });
}

TEST_F(MemoryBytes, WithFurtherMetadataAreTheSameMemory) {
  const Memory memory = cached_memory();
  auto metadata = memory_metadata(memory);
  EXPECT_EQ(memory_bytes(memory, metadata), memory.serialize());
  metadata["of_the_caller"] = "anything";
  const std::string bytes = memory_bytes(memory, metadata);
  EXPECT_NE(bytes.find("of_the_caller"), std::string::npos);
  EXPECT_EQ(Memory::deserialize(bytes).serialize(), memory.serialize());
}

}  // namespace
}  // namespace precis
