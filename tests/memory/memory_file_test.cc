// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <cstring>
#include <limits>
#include <set>

#include "io/file_fixture.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "memory/memory_contents.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

const Provenance kProvenance{"selfcp", "the model", "the compressor", "the text", 57};

Memory memory_of(MemoryTensors tensors) {
  return Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), kProvenance}));
}

at::Tensor waves(at::IntArrayRef shape, double step = 0.7) {
  int64_t size = 1;
  for (const int64_t dimension : shape) size *= dimension;
  return at::arange(size, at::kFloat).mul(step).sin().view(shape);
}

Memory soft_memory() { return memory_of(SoftTokens{waves({4, 8})}); }
Memory cached_memory(int64_t num_sinks = 0) {
  return memory_of(CachedTokens{waves({2, 3, 4, 8}), waves({2, 3, 4, 8}, 1.3), 11, 15, num_sinks});
}

// Two layers of two heads that keep 3, 1, 2 and 4 tokens.
Memory ragged_memory(int64_t num_sinks = 1) {
  return memory_of(CachedTokens{waves({10, 8}),
                                waves({10, 8}, 1.3),
                                11,
                                40,
                                num_sinks,
                                at::tensor({3, 1, 2, 4}, at::kLong).view({2, 2})});
}

std::string bits_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous();
  return {static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()};
}

void expect_same_bits(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.scalar_type(), expected.scalar_type());
  EXPECT_EQ(actual.sizes(), expected.sizes());
  EXPECT_EQ(bits_of(actual), bits_of(expected));
}

const at::Tensor& rows_of(const Memory& memory) {
  return std::get<SoftTokens>(memory.contents().tensors).embeddings;
}

class MemoryFile : public FileTest {
 protected:
  Memory saved_and_loaded(const Memory& memory) const {
    memory.save(path);
    return Memory::load(path);
  }

  void refuse(std::string_view message, ErrorKind kind = ErrorKind::kBadWeights) const {
    expect_error(kind, message, [&] { Memory::load(path); });
    expect_error(kind, path.string(), [&] { Memory::load(path); });
  }

  template <typename Damage>
  void refuse_damaged(const Memory& memory, const Damage& damage, std::string_view message) const {
    memory.save(path);
    damage_tensors(path, damage);
    refuse(message);
  }

  void refuse_metadata(const Memory& memory,
                       const std::string& key,
                       const std::string& value,
                       std::string_view message) const {
    refuse_damaged(
        memory, [&](TensorFile& file) { file.metadata[key] = value; }, message);
  }

  const std::filesystem::path path = folder() / "memory.safetensors";
};

// Saving and loading

TEST_F(MemoryFile, EmbeddingsAreKeptBitForBit) {
  at::Tensor rows = waves({4, 8});
  rows[0][0] = -0.0f;
  rows[0][1] = std::numeric_limits<float>::denorm_min();
  rows[0][2] = std::numeric_limits<float>::max();
  expect_same_bits(rows_of(saved_and_loaded(memory_of(SoftTokens{rows}))), rows);
}

TEST_F(MemoryFile, EmbeddingsKeepTheirDtype) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    const at::Tensor rows = waves({4, 8}).to(dtype);
    expect_same_bits(rows_of(saved_and_loaded(memory_of(SoftTokens{rows}))), rows);
  }
}

TEST_F(MemoryFile, NonContiguousEmbeddingsAreSavedInOrder) {
  const at::Tensor rows = waves({8, 4}).t();
  ASSERT_FALSE(rows.is_contiguous());
  expect_same_bits(rows_of(saved_and_loaded(memory_of(SoftTokens{rows}))), rows);
}

TEST_F(MemoryFile, ProvenanceIsKept) {
  const Memory memory = soft_memory(), loaded = saved_and_loaded(memory);
  EXPECT_EQ(loaded.provenance().method, "selfcp");
  EXPECT_EQ(loaded.provenance().model_fingerprint, "the model");
  EXPECT_EQ(loaded.provenance().compressor_fingerprint, "the compressor");
  EXPECT_EQ(loaded.provenance().source_hash, "the text");
  EXPECT_EQ(loaded.provenance().source_tokens, 57);
  EXPECT_EQ(loaded.content_hash(), memory.content_hash());
  EXPECT_EQ(loaded.num_tokens(), 4);
  EXPECT_EQ(loaded.hidden_size(), 8);
  EXPECT_EQ(loaded.bytes(), 4 * 8 * 4);
}

TEST_F(MemoryFile, TheNameOfItsModelIsKeptIfThereIsOne) {
  EXPECT_EQ(saved_and_loaded(soft_memory()).provenance().model_name, "");
  MemoryContents contents = soft_memory().contents();
  contents.provenance.model_name = "SmolLM2-135M \xC3\xA9";
  const Memory named(std::make_shared<MemoryContents>(contents));
  const Memory loaded = saved_and_loaded(named);
  EXPECT_EQ(loaded.provenance().model_name, "SmolLM2-135M \xC3\xA9");
  EXPECT_EQ(loaded.content_hash(), soft_memory().content_hash());
}

TEST_F(MemoryFile, KeysValuesAndPositionsAreKeptBitForBit) {
  const Memory memory = cached_memory(), loaded = saved_and_loaded(memory);
  const auto& before = std::get<CachedTokens>(memory.contents().tensors);
  const auto& after = std::get<CachedTokens>(loaded.contents().tensors);
  expect_same_bits(after.keys, before.keys);
  expect_same_bits(after.values, before.values);
  EXPECT_EQ(after.first_position, 11);
  EXPECT_EQ(after.next_position, 15);
  EXPECT_EQ(loaded.content_hash(), memory.content_hash());
  EXPECT_EQ(loaded.num_tokens(), 4);
  EXPECT_EQ(loaded.bytes(), 2 * 2 * 3 * 4 * 8 * 4);
}

TEST_F(MemoryFile, SinksAreKept) {
  for (const int64_t num_sinks : {0, 1, 4}) {
    const Memory memory = cached_memory(num_sinks), loaded = saved_and_loaded(memory);
    EXPECT_EQ(std::get<CachedTokens>(loaded.contents().tensors).num_sinks, num_sinks);
    EXPECT_EQ(loaded.content_hash(), memory.content_hash());
  }
}

// Files of earlier versions.
TEST_F(MemoryFile, WithoutLengthsAndSinksIsLoadedWithTheSameHash) {
  cached_memory().save(path);
  damage_tensors(path, [](TensorFile& file) {
    file.remove("lengths");
    file.metadata.erase("num_sinks");
  });
  const Memory loaded = Memory::load(path);
  EXPECT_EQ(std::get<CachedTokens>(loaded.contents().tensors).num_sinks, 0);
  EXPECT_EQ(loaded.content_hash(), cached_memory().content_hash());
}

// Their hash covered only tensors and positions.
TEST_F(MemoryFile, OfAnEarlierVersionIsLoaded) {
  for (const Memory& memory : {soft_memory(), cached_memory(), cached_memory(2)}) {
    memory.save(path);
    const std::string old = rows_hash(memory.contents().tensors);
    damage_tensors(path, [&](TensorFile& file) { file.metadata["content_hash"] = old; });
    EXPECT_EQ(Memory::load(path).content_hash(), memory.content_hash());
  }
}

TEST_F(MemoryFile, HasTheDocumentedTensorsAndMetadata) {
  soft_memory().save(path);
  const auto soft = SafetensorsFile::open(path);
  ASSERT_EQ(soft.tensors().size(), 1u);
  EXPECT_EQ(soft.find("embeddings")->shape, (std::vector<int64_t>{4, 8}));
  cached_memory().save(path);
  const auto cached = SafetensorsFile::open(path);
  ASSERT_EQ(cached.tensors().size(), 3u);
  EXPECT_EQ(cached.find("keys")->shape, (std::vector<int64_t>{2, 3, 4, 8}));
  EXPECT_EQ(cached.find("values")->shape, (std::vector<int64_t>{2, 3, 4, 8}));
  EXPECT_EQ(cached.metadata().at("next_position"), "15");
  EXPECT_EQ(cached.metadata().at("num_sinks"), "0");
}

// At present all heads of a memory have the same length.
TEST_F(MemoryFile, LengthsCountTheTokensOfEachLayerAndHead) {
  cached_memory().save(path);
  const auto file = SafetensorsFile::open(path);
  const StoredTensor& lengths = *file.find("lengths");
  EXPECT_EQ(lengths.dtype, "I64");
  EXPECT_EQ(lengths.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(at::equal(to_tensor(lengths), at::full({2, 3}, 4, at::kLong)));
}

TEST_F(MemoryFile, TheHashDependsOnTensors) {
  const at::Tensor rows = waves({4, 8});
  at::Tensor other = rows.clone();
  other[3][7] += 1e-6;
  EXPECT_NE(memory_of(SoftTokens{other}).content_hash(), soft_memory().content_hash());
  EXPECT_EQ(memory_of(SoftTokens{rows.clone()}).content_hash(), soft_memory().content_hash());
  EXPECT_NE(cached_memory(1).content_hash(), cached_memory().content_hash());
  EXPECT_NE(cached_memory(1).content_hash(), cached_memory(2).content_hash());
}

TEST_F(MemoryFile, TheHashDependsOnProvenance) {
  const auto hash_of = [](const Provenance& provenance) {
    return Memory(std::make_shared<MemoryContents>(
                      MemoryContents{SoftTokens{waves({4, 8})}, provenance}))
        .content_hash();
  };
  std::set<std::string> hashes{hash_of(kProvenance)};
  const auto expect_other = [&](const auto& change) {
    Provenance provenance = kProvenance;
    change(provenance);
    EXPECT_TRUE(hashes.insert(hash_of(provenance)).second);
  };
  expect_other([](Provenance& from) { from.method = "icae"; });
  expect_other([](Provenance& from) { from.model_fingerprint = "another model"; });
  expect_other([](Provenance& from) { from.compressor_fingerprint = "another compressor"; });
  expect_other([](Provenance& from) { from.source_hash = "another text"; });
  expect_other([](Provenance& from) { from.source_tokens = 58; });
  Provenance renamed = kProvenance;
  renamed.model_name = "moved elsewhere";
  EXPECT_EQ(hash_of(renamed), hash_of(kProvenance));
}

TEST_F(MemoryFile, LeavesNothingBehindWhenItCannotBeSaved) {
  expect_error(ErrorKind::kInvalidArgument, "cannot be written", [&] {
    soft_memory().save(folder() / "nowhere" / "memory");
  });
  EXPECT_EQ(num_files(), 0u);
}

// Damaged files

TEST_F(MemoryFile, RefusesAMissingFile) { refuse("cannot be read", ErrorKind::kNotFound); }

TEST_F(MemoryFile, RefusesATruncatedFile) {
  cached_memory().save(path);
  const std::string whole = read_file(path);
  for (size_t size = 0; size < whole.size(); size += 1 + size / 50) {
    expect_error(ErrorKind::kBadWeights, folder().string(), [&] {
      Memory::load(file_of(std::string_view(whole).substr(0, size)));
    });
  }
}

TEST_F(MemoryFile, SurvivesDamage) {
  const auto load = [](const auto& file) { Memory::load(file); };
  memory_of(SoftTokens{waves({2, 2})}).save(path);
  expect_survives_damage(read_file(path), load);
  memory_of(CachedTokens{waves({1, 1, 1, 2}), waves({1, 1, 1, 2}), 0, 1}).save(path);
  expect_survives_damage(read_file(path), load);
}

TEST_F(MemoryFile, RefusesOtherSafetensors) {
  refuse_metadata(soft_memory(), "format", "pt", "not a memory of Precis (format \"pt\")");
  refuse_damaged(
      soft_memory(), [](TensorFile& file) { file.metadata.clear(); }, "not a memory");
}

TEST_F(MemoryFile, NamesMissingMetadata) {
  const auto without = [&](const Memory& memory, const std::string& key, std::string_view message) {
    refuse_damaged(
        memory, [&](TensorFile& file) { file.metadata.erase(key); }, message);
  };
  without(soft_memory(), "source_tokens", "metadata source_tokens");
  without(soft_memory(), "content_hash", "do not match their hash");
  without(cached_memory(), "first_position", "metadata first_position");
  without(cached_memory(), "next_position", "metadata next_position");
}

TEST_F(MemoryFile, NamesInvalidNumbers) {
  for (const char* text : {"", "many", "12x", " 12", "-1", "1e3", "99999999999999999999"}) {
    refuse_metadata(soft_memory(), "source_tokens", text, "metadata source_tokens");
    refuse_metadata(cached_memory(), "first_position", text, "metadata first_position");
    refuse_metadata(cached_memory(), "next_position", text, "metadata next_position");
  }
  for (const char* text : {"many", "-1", "1x"})
    refuse_metadata(cached_memory(), "num_sinks", text, "metadata num_sinks");
}

TEST_F(MemoryFile, RefusesMoreSinksThanTokens) {
  refuse_metadata(cached_memory(), "num_sinks", "5", "num_sinks is 5, there are 4 rows");
}

// next_position cannot lie inside the memory.
TEST_F(MemoryFile, RefusesPositionsThatRunBackwards) {
  refuse_metadata(cached_memory(), "next_position", "14", "next_position");
  refuse_metadata(cached_memory(), "first_position", "12", "next_position");
}

TEST_F(MemoryFile, NamesAMissingTensor) {
  refuse_damaged(
      soft_memory(),
      [](TensorFile& file) { file.at("embeddings").name = "rows"; },
      "tensor embeddings is missing");
  refuse_damaged(
      cached_memory(), [](TensorFile& file) { file.remove("values"); }, "values is missing");
  refuse_damaged(
      cached_memory(), [](TensorFile& file) { file.remove("keys"); }, "is missing");
}

TEST_F(MemoryFile, NamesASurplusTensor) {
  refuse_damaged(
      soft_memory(),
      [](TensorFile& file) {
        file.add({"extra", "F32", {1}, "four"});
      },
      "extra");
  refuse_damaged(
      cached_memory(),
      [](TensorFile& file) {
        file.add({"embeddings", "F32", {1, 1}, "four"});
      },
      "embeddings");
  refuse_damaged(
      soft_memory(),
      [](TensorFile& file) {
        file.add({"lengths", "I64", {1, 1}, "12345678"});
      },
      "lengths");
}

TEST_F(MemoryFile, RefusesAnotherNumberOfDimensions) {
  const auto reshaped = [&](const Memory& memory,
                            const std::string& name,
                            const std::vector<int64_t>& shape,
                            std::string_view message) {
    refuse_damaged(
        memory, [&](TensorFile& file) { file.at(name).shape = shape; }, message);
  };
  reshaped(soft_memory(), "embeddings", {32}, "expected 2 dimensions");
  reshaped(soft_memory(), "embeddings", {1, 4, 8}, "expected 2 dimensions");
  reshaped(cached_memory(), "keys", {6, 4, 8}, "expected 4 dimensions");
  reshaped(cached_memory(), "values", {1, 2, 3, 4, 8}, "expected 4 dimensions");
  reshaped(cached_memory(), "values", {2, 3, 8, 4}, "values [");
}

TEST_F(MemoryFile, RefusesLengthsThatDoNotFitTheTensors) {
  const auto changed = [&](const auto& change, std::string_view message) {
    refuse_damaged(
        cached_memory(), [&](TensorFile& file) { change(file.at("lengths")); }, message);
  };
  const auto reshaped = [&](const std::vector<int64_t>& shape, std::string_view message) {
    changed([&](TensorFile::Tensor& lengths) { lengths.shape = shape; }, message);
  };
  reshaped({6}, "expected 2 dimensions");
  reshaped({2, 3, 1}, "expected 2 dimensions");
  reshaped({3, 2}, "lengths are not 4 in each layer and head");
  changed(
      [](TensorFile::Tensor& lengths) {
        lengths = {"lengths", "I64", {1, 3}, lengths.bytes.substr(0, 24)};
      },
      "lengths are not 4 in each layer and head");
  for (const char* dtype : {"U64", "F64"}) {
    changed([&](TensorFile::Tensor& lengths) { lengths.dtype = dtype; },
            std::string("lengths is of ") + dtype + ", expected I64");
  }
  // One head shorter, one longer than the others.
  for (const char length : {'\3', '\5'}) {
    changed([&](TensorFile::Tensor& lengths) { lengths.bytes[8] = length; },
            "lengths are not 4 in each layer and head");
  }
}

TEST_F(MemoryFile, RefusesAMemoryWithoutTokens) {
  refuse_damaged(
      soft_memory(),
      [](TensorFile& file) {
        file.at("embeddings") = {"embeddings", "F32", {0, 8}, ""};
      },
      "embeddings");
}

TEST_F(MemoryFile, NamesADtypeThatIsNotFloating) {
  for (const std::string dtype : {"I32", "U32"}) {
    refuse_damaged(
        soft_memory(), [&](TensorFile& file) { file.at("embeddings").dtype = dtype; }, dtype);
    refuse_damaged(
        cached_memory(), [&](TensorFile& file) { file.at("values").dtype = dtype; }, dtype);
  }
}

TEST_F(MemoryFile, RefusesValuesThatAreNotFinite) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const auto spoil = [&](std::string& bytes) { std::memcpy(&bytes[12], &value, sizeof value); };
    refuse_damaged(
        soft_memory(), [&](TensorFile& file) { spoil(file.at("embeddings").bytes); }, "not finite");
    refuse_damaged(
        cached_memory(), [&](TensorFile& file) { spoil(file.at("values").bytes); }, "not finite");
  }
}

TEST_F(MemoryFile, RefusesChangedValues) {
  const auto flip = [](TensorFile::Tensor& tensor) { tensor.bytes[0] ^= 1; };
  refuse_damaged(
      soft_memory(), [&](TensorFile& file) { flip(file.at("embeddings")); }, "their hash");
  refuse_damaged(
      cached_memory(), [&](TensorFile& file) { flip(file.at("keys")); }, "their hash");
  refuse_damaged(
      cached_memory(), [&](TensorFile& file) { flip(file.at("values")); }, "their hash");
  refuse_metadata(soft_memory(), "content_hash", "0123456789abcdef", "their hash");
  refuse_damaged(
      cached_memory(),
      [](TensorFile& file) { std::swap(file.at("keys").bytes, file.at("values").bytes); },
      "their hash");
}

TEST_F(MemoryFile, RefusesTheSameBytesInAnotherShapeOrDtype) {
  refuse_damaged(
      soft_memory(),
      [](TensorFile& file) {
        file.at("embeddings").shape = {8, 4};
      },
      "their hash");
  refuse_damaged(
      cached_memory(),
      [](TensorFile& file) {
        file.at("keys").shape = file.at("values").shape = {3, 2, 4, 8};
        file.at("lengths").shape = {3, 2};
      },
      "their hash");
  refuse_damaged(
      memory_of(SoftTokens{waves({4, 8}).to(at::kHalf)}),
      [](TensorFile& file) { file.at("embeddings").dtype = "BF16"; },
      "their hash");
}

TEST_F(MemoryFile, RefusesChangedProvenance) {
  for (const Memory& memory : {soft_memory(), cached_memory()}) {
    refuse_metadata(memory, "source_tokens", "5", "their hash");
    for (const char* key : {"method", "model_fingerprint", "compressor_fingerprint", "source_hash"})
      refuse_metadata(memory, key, "another", "their hash");
  }
}

TEST_F(MemoryFile, RefusesChangedPositions) {
  refuse_metadata(cached_memory(), "next_position", "16", "their hash");
  refuse_metadata(cached_memory(), "first_position", "10", "their hash");
  refuse_metadata(cached_memory(), "num_sinks", "1", "their hash");
}

// Ragged memories

TEST_F(MemoryFile, RaggedMemoriesAreKeptBitForBitWithoutPadding) {
  const Memory memory = ragged_memory(), loaded = saved_and_loaded(memory);
  const auto& wanted = std::get<CachedTokens>(memory.contents().tensors);
  const auto& cached = std::get<CachedTokens>(loaded.contents().tensors);
  expect_same_bits(cached.keys, wanted.keys);
  expect_same_bits(cached.values, wanted.values);
  EXPECT_TRUE(at::equal(cached.lengths, wanted.lengths));
  EXPECT_EQ(cached.first_position, 11);
  EXPECT_EQ(cached.next_position, 40);
  EXPECT_EQ(cached.num_sinks, 1);
  EXPECT_EQ(loaded.num_tokens(), 3);  // 10 rows of 4 heads
  EXPECT_EQ(loaded.hidden_size(), 2 * 8);
  EXPECT_EQ(loaded.bytes(), 2 * 10 * 8 * 4);
  EXPECT_EQ(loaded.content_hash(), memory.content_hash());
}

TEST_F(MemoryFile, TheHashOfARaggedMemoryCoversItsLengths) {
  MemoryContents contents = ragged_memory().contents();
  std::get<CachedTokens>(contents.tensors).lengths =
      at::tensor({1, 3, 2, 4}, at::kLong).view({2, 2});
  const Memory other(std::make_shared<MemoryContents>(contents));
  EXPECT_NE(other.content_hash(), ragged_memory().content_hash());
}

TEST_F(MemoryFile, LengthsThatDoNotFitARaggedMemoryAreRefused) {
  const auto refuse_lengths = [&](std::vector<int64_t> values, std::vector<int64_t> shape) {
    std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * 8);
    refuse_damaged(
        ragged_memory(),
        [&](TensorFile& file) {
          file.at("lengths") = {"lengths", "I64", shape, bytes};
        },
        "lengths");
  };
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  refuse_lengths({3, 1, 2, 3}, {2, 2});
  refuse_lengths({3, -1, 4, 4}, {2, 2});
  refuse_lengths({3, 0, 3, 4}, {2, 2});  // fewer than the sinks
  refuse_lengths({kLargest, kLargest, 8, 4}, {2, 2});
  refuse_lengths({3, 1, 2, 4}, {4});
  refuse_lengths({3, 1, 2, 4}, {1, 2, 2});
  refuse_lengths({}, {0, 2});
  refuse_damaged(
      ragged_memory(), [](TensorFile& file) { file.remove("lengths"); }, "lengths is missing");
}

}  // namespace
}  // namespace precis
