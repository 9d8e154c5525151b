// SPDX-License-Identifier: Apache-2.0
// Spread positions of IC-Former's digests. For ICAE see icae_golden_test.cc.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/spread_position.h"
#include "compressors/parameters.h"
#include "precis/extend/load_decoder.h"
#include "support/small_compressors.h"
#include "support/structured_embeddings.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using Ids = std::vector<TokenId>;

std::unique_ptr<Decoder> load_frozen() {
  const c10::NoGradGuard no_grad;
  return load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                      at::kDouble);
}

Segment segment_of(int64_t size) {
  Segment segment;
  for (int64_t i = 0; i < size; ++i) segment.tokens.push_back(5 + (i * 37) % 300);
  return segment;
}

at::Tensor rows_of(const Compressor& compressor, const Segment& segment) {
  const auto memories = compressor.compress({&segment, 1}, {});
  return std::get<SoftTokens>(memories.front()).embeddings;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

void want_gradients(Compressor& compressor, bool wanted) {
  for (const NamedTensor& named : compressor.parameters()) named.tensor.requires_grad_(wanted);
}

TEST(SpreadPosition, IsTheMiddleOfAShare) {
  EXPECT_EQ(spread_position(0, 1, 1), 0);
  EXPECT_EQ(spread_position(0, 1, 9), 4);
  EXPECT_EQ(spread_position(0, 4, 16), 2);
  EXPECT_EQ(spread_position(3, 4, 16), 14);
  EXPECT_EQ(spread_position(15, 16, 3), 2);  // more memory tokens than text
}

class SpreadIcFormer : public testing::Test {
 protected:
  SpreadIcFormer() : inner(load_frozen()), decoder(*inner) {
    config = small_ic_former();
    config.slots = 4;
    config.num_heads = 1;  // head_dim 32: enough rotary frequencies to distinguish 20 positions
    config.spread_positions = true;
    spread = create_ic_former(config, decoder);
  }

  // The initial memory: embeddings of the tokens at `positions` after the connector's LayerNorm.
  at::Tensor embeddings_of(const Segment& segment, const Ids& positions) const {
    Ids ids;
    for (const int64_t position : positions) ids.push_back(segment.tokens[position]);
    const at::Tensor rows = decoder.embed(at::tensor(ids, at::kLong));
    return at::layer_norm(rows, {rows.size(1)}) * embedding_statistics(decoder).rms;
  }

  std::unique_ptr<Decoder> inner;
  StructuredEmbeddings decoder;
  IcFormerConfig config;
  std::unique_ptr<Compressor> spread;
};

// This also tests the positions of the digests.
TEST_F(SpreadIcFormer, MemoriesStartAsTheEmbeddingsAtTheirPositions) {
  const c10::NoGradGuard no_grad;
  const auto expect_positions = [&](int64_t size, const Ids& positions) {
    const Segment segment = segment_of(size);
    const at::Tensor rows = rows_of(*spread, segment), wanted = embeddings_of(segment, positions);
    const at::Tensor other = embeddings_of(segment_of(size + 1), {size, size, size, size});
    for (int64_t row = 0; row < 4; ++row) {
      const double own = (rows[row] - wanted[row]).norm().item<double>();
      EXPECT_LT(own, 0.5 * wanted[row].norm().item<double>()) << size << " " << row;
      EXPECT_LT(own, 0.5 * (rows[row] - other[row]).norm().item<double>()) << size << " " << row;
    }
  };
  expect_positions(20, {2, 7, 12, 17});
  expect_positions(16, {2, 6, 10, 14});
  expect_positions(4, {0, 1, 2, 3});
}

TEST_F(SpreadIcFormer, AllCodePathsAgree) {
  for (const bool token_table : {false, true}) {
    config.token_table = token_table;
    const auto compressor = create_ic_former(config, decoder);
    const std::vector<Segment> segments{segment_of(7), segment_of(20), segment_of(50)};
    want_gradients(*compressor, true);
    const auto reference = compressor->compress(segments, {});
    want_gradients(*compressor, false);
    const c10::NoGradGuard no_grad;
    const auto prepared = compressor->compress(segments, {});
    for (size_t i = 0; i < segments.size(); ++i) {
      const at::Tensor wanted = std::get<SoftTokens>(reference[i]).embeddings.detach();
      EXPECT_LT(largest_difference(std::get<SoftTokens>(prepared[i]).embeddings, wanted), 1e-9);
      EXPECT_LT(largest_difference(rows_of(*compressor, segments[i]), wanted), 1e-9);
    }
  }
}

TEST_F(SpreadIcFormer, TrainingReachesEveryTensor) {
  want_gradients(*spread, true);
  const at::Tensor rows = rows_of(*spread, segment_of(20));
  (rows * at::randn_like(rows)).sum().backward();
  for (const NamedTensor& named : spread->parameters()) {
    const bool in_frames_only =
        named.name == "autoencode_embedding" || named.name == "instruct_embedding";
    ASSERT_NE(named.tensor.grad().defined(), in_frames_only) << named.name;
    if (!in_frames_only) {
      EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
    }
  }
}

TEST_F(SpreadIcFormer, LoadsWhatItSaved) {
  const c10::NoGradGuard no_grad;
  const TemporaryDirectory directory;
  spread->save(directory.path());
  const auto loaded = load_ic_former(open_compressor(directory.path()), decoder);
  EXPECT_EQ(loaded->info().fingerprint, spread->info().fingerprint);
  EXPECT_LT(largest_difference(rows_of(*loaded, segment_of(30)), rows_of(*spread, segment_of(30))),
            1e-6);  // written as float32
}

}  // namespace
}  // namespace precis
