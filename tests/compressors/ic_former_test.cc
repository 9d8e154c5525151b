// SPDX-License-Identifier: Apache-2.0
// IC-Former as a Compressor: batches, options, files, templates and errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "compressors/divide.h"
#include "compressors/ic_former_fixture.h"
#include "precis/extend/cost.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using Ids = std::vector<TokenId>;

Ids text_of(int64_t size, int64_t first = 5) {
  Ids ids;
  for (int64_t i = 0; i < size; ++i) ids.push_back(first + (i * 37) % 300);
  return ids;
}

class IcFormer : public testing::Test {
 protected:
  void load(c10::ScalarType dtype, IcFormerConfig with = ic_former_config()) {
    config = with;
    decoder = ic_former_decoder(dtype);
    const bool wide = dtype == at::kDouble;
    compressor =
        make_ic_former(config, ic_former_weights(wide ? at::kDouble : at::kFloat), *decoder);
  }

  void expect_batch_equals_singles() const {
    std::vector<Segment> segments;
    for (const int64_t size : {7, 1, 40, 16, 7, 33})
      segments.push_back({text_of(size, 4), nullptr});
    const auto batch = compressor->compress(segments, {});
    ASSERT_EQ(batch.size(), segments.size());
    for (size_t i = 0; i < segments.size(); ++i) {
      const at::Tensor single = memory_of(*compressor, segments[i].tokens);
      EXPECT_LT(relative_difference(std::get<SoftTokens>(batch[i]).embeddings, single), 1e-12) << i;
    }
  }

  IcFormerConfig config;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_F(IcFormer, HasAsManyParametersAsItsCostSays) {
  load(at::kFloat);
  const CompressorShape shape{
      "ic_former",
      {{"slots", int64_t{5}}, {"ffn_size", int64_t{24}}, {"num_marks", int64_t{2}}}};  // AE and FT
  EXPECT_EQ(compressor->info().num_parameters,
            compression_cost(decoder->config(), shape, 10, 4).parameters);
}

TEST_F(IcFormer, ARaggedBatchEqualsSingles) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  expect_batch_equals_singles();
}

TEST_F(IcFormer, ARaggedBatchWithGradientsEqualsSingles) {
  load(at::kDouble);
  require_gradients(*compressor);
  expect_batch_equals_singles();
}

TEST_F(IcFormer, ManyChunksTakeSeveralPasses) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  const Segment segment{text_of(5000), nullptr};
  std::vector<double> reported;
  CompressOptions options;
  options.progress = [&](double done) {
    reported.push_back(done);
    return true;
  };
  const auto memory = compressor->compress({&segment, 1}, options);
  const at::Tensor slots = std::get<SoftTokens>(memory.front()).embeddings;
  EXPECT_GT(reported.size(), 1u);
  EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
  EXPECT_DOUBLE_EQ(reported.back(), 1.0);
  int64_t row = 0;
  for (const TokenRange& chunk : divide(5000, config.max_segment)) {
    const Ids ids{segment.tokens.begin() + chunk.first,
                  segment.tokens.begin() + chunk.first + chunk.size};
    const at::Tensor own = memory_of(*compressor, ids);
    ASSERT_LT(relative_difference(slots.narrow(0, row, 5), own), 1e-12) << row;
    row += 5;
  }
  EXPECT_EQ(row, slots.size(0));
  EXPECT_EQ(row, compressor->memory_size(5000, {}));
}

TEST_F(IcFormer, BFloat16StaysCloseToFloat32) {
  const c10::NoGradGuard no_grad;
  for (const bool token_table : {false, true}) {
    IcFormerConfig with = ic_former_config();
    with.token_table = token_table;
    load(at::kFloat, with);
    const at::Tensor wide = memory_of(*compressor, text_of(29));
    load(at::kBFloat16, with);
    const at::Tensor narrow = memory_of(*compressor, text_of(29));
    EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
    const at::Tensor error = (narrow.to(at::kFloat) - wide).norm() / wide.norm();
    EXPECT_LT(error.item<double>(), 0.04) << token_table;
  }
}

// The cached encoder for inference is rebuilt after a training step.
TEST_F(IcFormer, ChangedWeightsTakeEffect) {
  for (const bool token_table : {false, true}) {
    IcFormerConfig with = ic_former_config();
    with.token_table = token_table;
    load(at::kDouble, with);
    const c10::NoGradGuard no_grad;
    const Ids text = text_of(20);
    const at::Tensor before = memory_of(*compressor, text);
    const std::string fingerprint = compressor->info().fingerprint;
    for (const NamedTensor& named : compressor->parameters()) named.tensor.mul_(1.25);
    const at::Tensor after = memory_of(*compressor, text);
    EXPECT_GT(relative_difference(after, before), 1e-3);
    IcFormerWeights changed = ic_former_weights(at::kDouble);
    const auto fresh = make_ic_former(with, changed, *decoder);
    for (const NamedTensor& named : fresh->parameters()) named.tensor.mul_(1.25);
    EXPECT_TRUE(at::equal(after, memory_of(*fresh, text)));
    EXPECT_NE(compressor->info().fingerprint, fingerprint);
    EXPECT_EQ(compressor->info().fingerprint, fresh->info().fingerprint);
  }
}

TEST_F(IcFormer, TheFingerprintDependsOnTheRopeBase) {
  load(at::kFloat);
  const std::string own = compressor->info().fingerprint;
  IcFormerConfig other = ic_former_config();
  other.rope_base = 501;
  load(at::kFloat, other);
  EXPECT_NE(compressor->info().fingerprint, own);
}

TEST_F(IcFormer, SavesAndLoadsUnchanged) {
  const c10::NoGradGuard no_grad;
  IcFormerConfig with = ic_former_config();
  with.connector = true;
  with.token_table = true;
  load(at::kFloat, with);
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  const auto loaded = load_ic_former(open_compressor(directory.path()), *decoder);
  EXPECT_TRUE(at::equal(memory_of(*loaded, text_of(33)), memory_of(*compressor, text_of(33))));
  EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
  EXPECT_EQ(loaded->info().max_segment, config.max_segment);
  const MemoryTemplate around = loaded->memory_template(MemoryUse::kInstruct);
  EXPECT_EQ(std::get<Ids>(around.before.at(0)), config.instruct.before);
  EXPECT_EQ(std::get<Ids>(around.after.at(1)), config.instruct.after);
  EXPECT_EQ(std::get<Ids>(around.end.at(0)), config.instruct.end);
}

TEST_F(IcFormer, TemplatesAreThoseOfTraining) {
  load(at::kFloat);
  const IcFormerWeights weights = ic_former_weights(at::kFloat);
  const MemoryTemplate again = compressor->memory_template(MemoryUse::kAutoencode);
  EXPECT_TRUE(again.before.empty() && again.end.empty());
  ASSERT_EQ(again.after.size(), 1u);
  EXPECT_TRUE(at::equal(std::get<at::Tensor>(again.after[0]), weights.autoencode.unsqueeze(0)));
  const MemoryTemplate on = compressor->memory_template(MemoryUse::kContinue);
  EXPECT_TRUE(on.before.empty() && on.after.empty() && on.end.empty());
  const MemoryTemplate answer = compressor->memory_template(MemoryUse::kInstruct);
  ASSERT_EQ(answer.after.size(), 2u);
  EXPECT_TRUE(at::equal(std::get<at::Tensor>(answer.after[0]), weights.instruct.unsqueeze(0)));
  EXPECT_EQ(std::get<Ids>(answer.after[1]), config.instruct.after);
}

TEST_F(IcFormer, WithoutAnFtVectorItDoesNotAnswer) {
  load(at::kFloat);
  IcFormerWeights weights = ic_former_weights(at::kFloat);
  weights.instruct = at::Tensor();
  const auto pretrained = make_ic_former(ic_former_config(), weights, *decoder);
  expect_error(ErrorKind::kUnsupported, "not trained to answer", [&] {
    pretrained->memory_template(MemoryUse::kInstruct);
  });
}

TEST_F(IcFormer, InfoDescribesIt) {
  load(at::kFloat);
  const CompressorInfo info = compressor->info();
  EXPECT_EQ(info.method, "ic_former");
  EXPECT_EQ(info.slots, 5);
  EXPECT_FALSE(info.any_ratio);
  EXPECT_FALSE(info.reads_prefix);
  EXPECT_EQ(compressor->memory_size(16, {}), 5);
  EXPECT_EQ(compressor->memory_size(17, {}), 10);
}

TEST_F(IcFormer, RefusesUnsupportedOptions) {
  load(at::kFloat);
  const auto refuse = [&](const CompressOptions& options, const std::string& part) {
    const Segment segment{text_of(10), nullptr};
    expect_error(ErrorKind::kInvalidArgument, part, [&] {
      compressor->compress({&segment, 1}, options);
    });
    expect_error(ErrorKind::kInvalidArgument, part, [&] { compressor->memory_size(10, options); });
  };
  CompressOptions options;
  options.ratio = 4;
  refuse(options, "ratio");
  options = {};
  options.segment = 17;
  refuse(options, "segment of 17");
  options.segment = 0;
  refuse(options, "segment of 0");
  for (const Chaining chaining : {Chaining::kConcat, Chaining::kRecursive}) {
    options = {};
    options.chaining = chaining;
    refuse(options, "chaining");
  }
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { compressor->memory_size(0, {}); });
}

TEST_F(IcFormer, RefusesImpossibleConfigurations) {
  load(at::kFloat);
  const auto refuse = [&](const IcFormerConfig& bad, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { create_ic_former(bad, *decoder); });
  };
  for (int64_t IcFormerConfig::*size : {&IcFormerConfig::slots,
                                        &IcFormerConfig::max_segment,
                                        &IcFormerConfig::num_layers,
                                        &IcFormerConfig::num_heads,
                                        &IcFormerConfig::ffn_size}) {
    IcFormerConfig bad = ic_former_config();
    bad.*size = 0;
    refuse(bad, "is 0");
  }
  const auto refuse_large =
      [&](int64_t IcFormerConfig::*size, int64_t value, const std::string& part) {
        for (const int64_t large : {value, std::numeric_limits<int64_t>::max()}) {
          IcFormerConfig bad = ic_former_config();
          bad.*size = large;
          refuse(bad, part);
        }
      };
  refuse_large(&IcFormerConfig::slots, 512, "expected 1 to 511");  // a context of 512 tokens
  refuse_large(&IcFormerConfig::num_layers, 1025, "expected 1 to 1024");
  refuse_large(&IcFormerConfig::ffn_size, (int64_t{1} << 20) + 1, "expected 1 to 1048576");
  for (const int64_t heads : {5, 32, 64}) {
    IcFormerConfig bad = ic_former_config();
    bad.num_heads = heads;
    refuse(bad, "num_heads is " + std::to_string(heads));
  }
  IcFormerConfig bad = ic_former_config();
  bad.instruct.end = {320};
  refuse(bad, "id 320");
}

TEST_F(IcFormer, TrainingStartsAsInThePaper) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  const auto first = create_ic_former(ic_former_config(), *decoder);
  for (const NamedTensor& named : first->parameters()) {
    const std::string& name = named.name;
    if (name.ends_with("_embedding") || name.ends_with("_embeddings"))
      EXPECT_EQ(named.tensor.abs().max().item<double>(), 0.0) << name;
    else if (named.tensor.dim() == 1)
      EXPECT_TRUE(at::equal(named.tensor, at::ones_like(named.tensor))) << name;
    else
      EXPECT_NEAR(named.tensor.std().item<double>(), 0.02, 0.003) << name;
  }
  EXPECT_TRUE(at::isfinite(memory_of(*first, text_of(20))).all().item<bool>());
  const auto again = create_ic_former(ic_former_config(), *decoder);
  EXPECT_EQ(first->info().fingerprint, again->info().fingerprint);
  const auto other = create_ic_former(ic_former_config(), *decoder, 2);
  EXPECT_NE(first->info().fingerprint, other->info().fingerprint);
}

TEST_F(IcFormer, WithAConnectorTrainingReachesEveryTensor) {
  load(at::kDouble);
  IcFormerConfig with = ic_former_config();
  with.connector = true;
  const auto start = create_ic_former(with, *decoder);
  require_gradients(*start);
  const at::Tensor slots = memory_of(*start, text_of(20));
  (slots * at::randn_like(slots)).sum().backward();
  for (const NamedTensor& named : start->parameters()) {
    const bool in_templates_only =
        named.name == "autoencode_embedding" || named.name == "instruct_embedding";
    EXPECT_NE(named.tensor.grad().defined(), in_templates_only) << named.name;
    if (!in_templates_only) {
      EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
    }
  }
}

}  // namespace
}  // namespace precis
