// SPDX-License-Identifier: Apache-2.0
// The contract of every compressor, whatever its method. A new one needs only a row in
// kCompressors.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "compressors/divide.h"
#include "mean_pooling.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/registry.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

struct CompressorCase {
  const char* name;
  std::unique_ptr<Compressor> (*make)(const Decoder&);
};

std::unique_ptr<Compressor> make_mean_pooling(const Decoder& decoder) {
  static const bool registered = (register_compressor("mean_pooling", load_mean_pooling), true);
  static_cast<void>(registered);
  return std::make_unique<MeanPooling>(decoder, 4);
}

std::unique_ptr<Compressor> make_attention_matching(const Decoder& decoder) {
  return load_compressor("attention_matching", decoder);
}

std::unique_ptr<Compressor> make_kvzip(const Decoder& decoder) {
  return load_compressor("kvzip", decoder);
}

const CompressorCase kCompressors[] = {{"selfcp", make_small_selfcp},
                                       {"icae", make_small_icae},
                                       {"ic_former", make_small_ic_former},
                                       {"gisting", make_small_gisting},
                                       {"spread_gisting", make_small_spread_gisting},
                                       {"attention_matching", make_attention_matching},
                                       {"kvzip", make_kvzip},
                                       {"mean_pooling", make_mean_pooling}};

Segment segment_of(int64_t size, int64_t first = 5) {
  Segment segment;
  for (int64_t i = 0; i < size; ++i) segment.tokens.push_back(first + (i * 37) % 80);
  return segment;
}

// The memory tokens as a matrix, one row each; ragged: a row for each token of each head.
at::Tensor rows_of(const MemoryTensors& memory) {
  if (const auto* soft = std::get_if<SoftTokens>(&memory)) return soft->embeddings;
  const auto& cached = std::get<CachedTokens>(memory);
  if (cached.is_ragged()) return at::cat({cached.keys, cached.values}, 1);
  return at::cat({cached.keys, cached.values}, 3).permute({2, 0, 1, 3}).flatten(1);
}

std::unique_ptr<Decoder> load_qwen2(at::ScalarType dtype) {
  return load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "qwen2", dtype);
}

class Contract : public testing::TestWithParam<CompressorCase> {
 protected:
  Contract() : decoder(load_qwen2(at::kFloat)), compressor(GetParam().make(*decoder)) {}

  at::Tensor logits_of_a_text() const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    const at::Tensor ids = at::arange(5, 25);
    return decoder->logits(
        decoder->forward({decoder->embed(ids), at::arange(20), {0, 20}, {0}}, cache));
  }

  std::vector<Chaining> chainings() const {
    if (!compressor->info().any_chaining) return {Chaining::kIndependent};
    return {Chaining::kIndependent, Chaining::kConcat, Chaining::kRecursive};
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(Contract, GivesOneMemoryForEachSegmentOfThePromisedSize) {
  const std::vector<Segment> segments{segment_of(3), segment_of(20), segment_of(57)};
  const auto memories = compressor->compress(segments, {});
  ASSERT_EQ(memories.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(num_memory_tokens(memories[i]),
              compressor->memory_size(std::ssize(segments[i].tokens), {}));
  }
}

TEST_P(Contract, BatchEqualsSingles) {
  const std::vector<Segment> segments{segment_of(7), segment_of(31, 9), segment_of(19, 11)};
  for (const Chaining chaining : chainings()) {
    CompressOptions options;
    options.chaining = chaining;
    const auto batch = compressor->compress(segments, options);
    for (size_t i = 0; i < segments.size(); ++i) {
      const auto single = compressor->compress({&segments[i], 1}, options);
      EXPECT_TRUE(at::allclose(rows_of(batch[i]), rows_of(single[0]), 1e-4, 1e-5)) << i;
    }
  }
}

TEST_P(Contract, SameInputGivesSameOutput) {
  const Segment segment = segment_of(30);
  const auto first = compressor->compress({&segment, 1}, {}),
             second = compressor->compress({&segment, 1}, {});
  EXPECT_TRUE(at::equal(rows_of(first[0]), rows_of(second[0])));
}

TEST_P(Contract, ARatioIsAppliedOrRefused) {
  const Segment segment = segment_of(100);
  CompressOptions options;
  options.ratio = 2 * compressor->info().ratio;
  if (!compressor->info().any_ratio) {
    expect_error(ErrorKind::kInvalidArgument, "ratio", [&] {
      compressor->compress({&segment, 1}, options);
    });
    return;
  }
  const int64_t rows = num_memory_tokens(compressor->compress({&segment, 1}, options)[0]);
  EXPECT_EQ(rows, compressor->memory_size(100, options));
  EXPECT_LT(rows, compressor->memory_size(100, {}));
}

TEST_P(Contract, KeepsDtypeAndHiddenSizeOfTheDecoder) {
  const Segment segment = segment_of(8);
  const DecoderConfig& config = decoder->config();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto other = load_qwen2(dtype);
    const MemoryTensors memory = GetParam().make(*other)->compress({&segment, 1}, {})[0];
    EXPECT_EQ(rows_of(memory).scalar_type(), dtype);
    const bool soft = std::holds_alternative<SoftTokens>(memory);
    EXPECT_EQ(
        rows_of(memory).size(1),
        soft ? config.hidden_size : 2 * config.num_layers * config.num_kv_heads * config.head_dim);
  }
}

TEST_P(Contract, LeavesTheDecoderUnchanged) {
  const at::Tensor before = logits_of_a_text();
  const Segment segment = segment_of(40);
  compressor->compress({&segment, 1}, {});
  EXPECT_TRUE(at::equal(before, logits_of_a_text()));
}

TEST_P(Contract, ALongSegmentIsTheConcatenationOfItsChunks) {
  if (!compressor->info().divides) GTEST_SKIP() << "it refuses them";
  if (compressor->info().max_segment >= 57) GTEST_SKIP() << "this one is no long one for it";
  const Segment whole = segment_of(57);
  std::vector<Segment> chunks;
  for (const TokenRange& range : divide(57, compressor->info().max_segment)) {
    chunks.push_back(
        {{whole.tokens.begin() + range.first, whole.tokens.begin() + range.first + range.size},
         nullptr});
  }
  std::vector<at::Tensor> rows;
  for (const MemoryTensors& memory : compressor->compress(chunks, {}))
    rows.push_back(rows_of(memory));
  const at::Tensor divided = rows_of(compressor->compress({&whole, 1}, {})[0]);
  EXPECT_TRUE(at::allclose(divided, at::cat(rows, 0), 1e-4, 1e-5));
}

TEST_P(Contract, RefusesASegmentThatItCannotDivide) {
  if (compressor->info().divides) GTEST_SKIP() << "it divides them";
  const Segment segment = segment_of(compressor->info().max_segment + 1);
  expect_error(ErrorKind::kInvalidArgument, "segment", [&] {
    compressor->compress({&segment, 1}, {});
  });
}

TEST_P(Contract, RefusesChainingThatItDoesNotOffer) {
  if (compressor->info().any_chaining) GTEST_SKIP() << "it offers all";
  const Segment segment = segment_of(10);
  CompressOptions options;
  options.chaining = Chaining::kRecursive;
  expect_error(ErrorKind::kInvalidArgument, "chain", [&] {
    compressor->compress({&segment, 1}, options);
  });
}

TEST_P(Contract, IgnoresOtherSegmentsOfTheBatch) {
  const std::vector<Segment> alone{segment_of(30)}, beside{segment_of(30), segment_of(12, 40)};
  EXPECT_TRUE(at::allclose(rows_of(compressor->compress(alone, {})[0]),
                           rows_of(compressor->compress(beside, {})[0]),
                           1e-4,
                           1e-5));
}

TEST_P(Contract, RefusesAnEmptySegmentAndForeignIds) {
  const Segment empty, foreign{{1, 1000000}, nullptr}, negative{{-1}, nullptr};
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] {
    compressor->compress({&empty, 1}, {});
  });
  expect_error(ErrorKind::kInvalidArgument, "1000000", [&] {
    compressor->compress({&foreign, 1}, {});
  });
  expect_error(ErrorKind::kInvalidArgument, "-1", [&] {
    compressor->compress({&negative, 1}, {});
  });
}

TEST_P(Contract, ReportsProgress) {
  const Segment segment{std::vector<TokenId>(100, 7), nullptr};
  for (const Chaining chaining : chainings()) {
    std::vector<double> reported;
    CompressOptions options;
    options.chaining = chaining;
    options.progress = [&](double done) {
      reported.push_back(done);
      return true;
    };
    compressor->compress({&segment, 1}, options);
    ASSERT_FALSE(reported.empty());
    EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
    EXPECT_DOUBLE_EQ(reported.back(), 1.0);
  }
}

TEST_P(Contract, StopsWhenCancelled) {
  const std::vector<Segment> segments{segment_of(30), segment_of(12, 40)};
  const auto before = compressor->compress(segments, {});
  for (const Chaining chaining : chainings()) {
    int calls = 0;
    CompressOptions options;
    options.chaining = chaining;
    options.progress = [&](double) { return ++calls < 1; };
    expect_error(
        ErrorKind::kCancelled, "cancelled", [&] { compressor->compress(segments, options); });
    EXPECT_EQ(calls, 1);
  }
  const auto after = compressor->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i)
    EXPECT_TRUE(at::equal(rows_of(after[i]), rows_of(before[i]))) << i;
}

TEST_P(Contract, RefusesRatiosAndSegmentsOutOfRange) {
  const Segment segment = segment_of(10);
  CompressOptions options;
  options.ratio = 0.5;
  expect_error(ErrorKind::kInvalidArgument, "ratio", [&] {
    compressor->compress({&segment, 1}, options);
  });
  options = {};
  options.segment = compressor->info().max_segment + 1;
  expect_error(ErrorKind::kInvalidArgument, "segment", [&] {
    compressor->compress({&segment, 1}, options);
  });
}

TEST_P(Contract, LoadsWhatItSaved) {
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  const auto loaded = load_compressor(directory.path(), *decoder);
  const Segment segment = segment_of(33);
  EXPECT_TRUE(at::equal(rows_of(loaded->compress({&segment, 1}, {})[0]),
                        rows_of(compressor->compress({&segment, 1}, {})[0])));
  EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
  EXPECT_EQ(loaded->info().method, compressor->info().method);
}

TEST_P(Contract, IsRefusedForAnotherModel) {
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  const auto other =
      load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "qwen3", at::kFloat);
  expect_error(ErrorKind::kBadWeights, "made for a model", [&] {
    load_compressor(directory.path(), *other);
  });
}

INSTANTIATE_TEST_SUITE_P(Compressors,
                         Contract,
                         testing::ValuesIn(kCompressors),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Divide, MakesEqualChunksRatherThanAShortLastOne) {
  const auto chunks = divide(513, 512);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].size, 257);
  EXPECT_EQ(chunks[1].first, 257);
  EXPECT_EQ(chunks[1].size, 256);
}

}  // namespace
}  // namespace precis
