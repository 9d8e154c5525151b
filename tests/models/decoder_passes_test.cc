// SPDX-License-Identifier: Apache-2.0
// Passes over several sequences, and loading on several threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"

namespace precis {
namespace {

class DecoderPasses : public testing::Test {
 protected:
  const c10::InferenceMode inference_;
  std::unique_ptr<Decoder> decoder_ =
      load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat);
};

// Sequences of several lengths, then one more token of each in one pass: the same as each alone.
TEST_F(DecoderPasses, SequencesDecodedTogetherEqualThoseDecodedAlone) {
  const std::vector<int64_t> lengths{3, 1, 7};
  KvCache together(decoder_->config().kv_shape(), decoder_->options(), 3);
  std::vector<at::Tensor> alone;
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor rows = decoder_->embed(at::arange(5, 5 + lengths[i] + 1) + i);
    const at::Tensor positions = at::arange(lengths[i] + 1);
    KvCache own(decoder_->config().kv_shape(), decoder_->options());
    alone.push_back(decoder_->forward({rows, positions, {0, lengths[i] + 1}, {0}}, own)[-1]);
    decoder_->forward(
        {rows.narrow(0, 0, lengths[i]), positions.narrow(0, 0, lengths[i]), {0, lengths[i]}, {i}},
        together);
  }
  const at::Tensor last = at::tensor({8, 7, 14}, at::kLong);
  const at::Tensor hidden = decoder_->forward(
      {decoder_->embed(last), at::tensor(lengths, at::kLong), {0, 1, 2, 3}, {0, 1, 2}}, together);
  EXPECT_TRUE(at::allclose(hidden, at::stack(alone), 1e-5, 1e-5));
}

TEST_F(DecoderPasses, RefusesSequencesWithoutTokens) {
  KvCache cache(decoder_->config().kv_shape(), decoder_->options(), 2);
  const at::Tensor rows = decoder_->embed(at::tensor({5, 6}, at::kLong));
  for (const std::vector<int64_t>& starts :
       {std::vector<int64_t>{0, 2, 2}, {0, 0, 2}, {0, 3, 2}, {1, 1, 2}, {0, 1, 1}}) {
    expect_error(ErrorKind::kInvalidArgument, "at least one row each", [&] {
      decoder_->forward({rows, at::arange(2), starts, {0, 1}}, cache);
    });
  }
  EXPECT_EQ(cache.length(0), 0);
}

TEST_F(DecoderPasses, RefusesAVisibleLengthThatIsNotOnePerToken) {
  KvCache cache(decoder_->config().kv_shape(), decoder_->options());
  DecoderInput input{decoder_->embed(at::tensor({5, 6}, at::kLong)), at::arange(2), {0, 2}, {0}};
  for (const at::Tensor& visible :
       {at::zeros({1}, at::kLong), at::zeros({2}), at::zeros({2, 1}, at::kLong)}) {
    input.visible_cache_len = visible;
    expect_error(ErrorKind::kInvalidArgument,
                 "visible_cache_len do not name each of the 2 rows",
                 [&] { decoder_->forward(input, cache); });
  }
  EXPECT_EQ(cache.length(0), 0);
}

// Also with scaled embeddings, and with an int8 table.
TEST(EmbedSpliced, TakesEmbeddingsOfTokensAndOthersByIndex) {
  const c10::InferenceMode inference;
  const auto models = std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models";
  for (const auto& [model, format] : {std::pair{"llama", WeightFormat::kDtype},
                                      {"gemma3_text", WeightFormat::kDtype},
                                      {"gemma3_text", WeightFormat::kInt8}}) {
    const auto decoder = load_decoder(models / model, at::kFloat, format);
    const at::Tensor own = at::randn({2, decoder->config().hidden_size});
    const at::Tensor ids = at::tensor({5, 0, 9}, at::kLong);
    const at::Tensor embedded = decoder->embed(ids);
    const at::Tensor expected = at::stack({embedded[0], own[1], embedded[1], own[0], embedded[2]});
    const auto spliced = [&](const at::Tensor& of_ids,
                             const at::Tensor& embeddings,
                             const std::vector<int64_t>& sources) {
      return decoder->embed_spliced(of_ids, embeddings, at::tensor(sources, at::kLong));
    };
    EXPECT_TRUE(at::equal(spliced(ids, own, {0, 4, 1, 3, 2}), expected)) << model;
    EXPECT_TRUE(at::equal(spliced(ids, own.narrow(0, 0, 0), {0, 1, 2}), embedded)) << model;
    EXPECT_TRUE(at::equal(spliced(ids.narrow(0, 0, 0), own, {0, 1}), own)) << model;
  }
}

// Two sequences with cached tokens, for every architecture: the outputs asked for, and the same
// keys and values in the cache.
TEST(OutputIndices, EqualThoseOfTheWholePass) {
  const c10::InferenceMode inference;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models")) {
    const auto decoder = load_decoder(entry.path(), at::kFloat);
    const auto read = [&](const at::Tensor& outputs) {
      KvCache cache(decoder->config().kv_shape(), decoder->options(), 2);
      decoder->forward({decoder->embed(at::arange(4, 7)), at::arange(3), {0, 3}, {1}}, cache);
      DecoderInput input{decoder->embed(at::arange(9, 18)),
                         at::cat({at::arange(4), at::arange(3, 8)}),
                         {0, 4, 9},
                         {0, 1}};
      input.output_indices = outputs;
      const at::Tensor hidden = decoder->forward(input, cache);
      // Later tokens read the last layer's keys and values too.
      return std::pair(hidden,
                       decoder->forward({decoder->embed(at::tensor({3, 5}, at::kLong)),
                                         at::tensor({4, 8}, at::kLong),
                                         {0, 1, 2},
                                         {0, 1}},
                                        cache));
    };
    const auto [all, after_all] = read({});
    for (const std::vector<int64_t>& rows :
         {std::vector<int64_t>{3, 8}, {8, 0, 0}, {}, {0, 1, 2, 3, 4, 5, 6, 7, 8}}) {
      const at::Tensor outputs = at::tensor(rows, at::kLong);
      const auto [hidden, after] = read(outputs);
      EXPECT_TRUE(at::allclose(hidden, all.index_select(0, outputs), 1e-5, 1e-5)) << entry.path();
      EXPECT_TRUE(at::equal(after, after_all)) << entry.path();
    }
  }
}

TEST_F(DecoderPasses, GradientsOfOutputIndicesEqualThoseOfTheWholePass) {
  const c10::InferenceMode gradients(false);
  const auto decoder =
      load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat);
  const auto gradient = [&](bool whole) {
    const at::Tensor rows = decoder->embed(at::arange(5, 11)).detach().requires_grad_();
    const at::Tensor outputs = at::tensor({2, 5}, at::kLong);
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    DecoderInput input{rows, at::arange(6), {0, 6}, {0}};
    if (!whole) input.output_indices = outputs;
    const at::Tensor hidden = decoder->forward(input, cache);
    (whole ? hidden.index_select(0, outputs) : hidden).square().sum().backward();
    return rows.grad();
  };
  EXPECT_TRUE(at::allclose(gradient(false), gradient(true), 1e-4, 1e-5));
}

TEST_F(DecoderPasses, RefusesInvalidOutputIndices) {
  KvCache cache(decoder_->config().kv_shape(), decoder_->options());
  DecoderInput input{decoder_->embed(at::tensor({5, 6}, at::kLong)), at::arange(2), {0, 2}, {0}};
  for (const at::Tensor& outputs : {at::zeros({1}), at::zeros({1, 1}, at::kLong)}) {
    input.output_indices = outputs;
    expect_error(ErrorKind::kInvalidArgument, "output_indices are no list of rows", [&] {
      decoder_->forward(input, cache);
    });
  }
  for (const std::vector<int64_t>& outside : {std::vector<int64_t>{2}, {0, -1}}) {
    input.output_indices = at::tensor(outside, at::kLong);
    expect_error(ErrorKind::kInvalidArgument, "output_indices are outside the 2 rows", [&] {
      decoder_->forward(input, cache);
    });
  }
  EXPECT_EQ(cache.length(0), 0);
}

// One token each of several sequences: a decode step.
TEST_F(DecoderPasses, OutputIndicesOfADecodeStep) {
  const auto step = [&](const at::Tensor& outputs) {
    KvCache cache(decoder_->config().kv_shape(), decoder_->options(), 3);
    DecoderInput input{
        decoder_->embed(at::arange(5, 8)), at::zeros({3}, at::kLong), {0, 1, 2, 3}, {2, 0, 1}};
    input.output_indices = outputs;
    return decoder_->forward(input, cache);
  };
  const at::Tensor outputs = at::tensor({2, 0}, at::kLong);
  EXPECT_TRUE(at::equal(step(outputs), step({}).index_select(0, outputs)));
}

TEST(DecoderLoading, OnSeveralThreadsInInferenceMode) {
  const auto model = std::filesystem::path(PRECIS_TEST_MODEL_DIR) / "smollm2-135m-instruct.gguf";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "third_party/install.sh brings the model";
  const at::Tensor ids = at::tensor({0, 1000, 49151}, at::kLong);
  const auto embedded = [&](int threads, bool inference) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    const c10::InferenceMode mode(inference);
    const at::Tensor rows = load_decoder(model, at::kBFloat16)->embed(ids);
    at::set_num_threads(before);
    return rows;
  };
  EXPECT_TRUE(at::equal(embedded(1, false), embedded(3, true)));
}

}  // namespace
}  // namespace precis
