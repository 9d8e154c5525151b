// SPDX-License-Identifier: Apache-2.0
// What Decoder::forward passes to its observer, for every architecture, and that an observer does
// not change a pass.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels))
    names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

class Observer : public testing::TestWithParam<std::string> {
 protected:
  // Reads sequences of these lengths, packed, after what the cache holds.
  at::Tensor read(const std::vector<int64_t>& lengths,
                  KvCache& cache,
                  const LayerObserver* observer = nullptr) const {
    DecoderInput input;
    input.cu_seqlens.push_back(0);
    std::vector<at::Tensor> positions;
    for (int64_t i = 0; i < std::ssize(lengths); ++i) {
      positions.push_back(at::arange(cache.length(i), cache.length(i) + lengths[i]));
      input.cu_seqlens.push_back(input.cu_seqlens.back() + lengths[i]);
      input.cache_sequences.push_back(i);
    }
    input.positions = at::cat(positions);
    const int64_t tokens = input.cu_seqlens.back();
    input.embeddings = decoder->embed(at::arange(tokens).mul(37).remainder(80) + 5);
    return decoder->forward(input, cache, nullptr, observer);
  }

  KvCache cache_of(int64_t sequences = 1) const {
    return {decoder->config().kv_shape(), decoder->options(), sequences};
  }

  std::vector<at::Tensor> keys_and_values(const KvCache& cache) const {
    std::vector<at::Tensor> rows;
    for (int64_t sequence = 0; sequence < cache.num_sequences(); ++sequence) {
      for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
        const auto [keys, values] = cache.rows(layer, sequence, 0, cache.length(sequence));
        rows.push_back(keys);
        rows.push_back(values);
      }
    }
    return rows;
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder = load_decoder(kModels / GetParam(), at::kFloat);
};

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, Observer, testing::ValuesIn(model_names()), test_name);

TEST_P(Observer, IsCalledOncePerLayerInOrderWithTheQueriesOfAllTokens) {
  const DecoderConfig& config = decoder->config();
  for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{30}, {4, 7, 2}, {1}, {1, 1}}) {
    int64_t tokens = 0;
    for (const int64_t length : lengths) tokens += length;
    int64_t calls = 0;
    const LayerObserver observer = [&](const ObservedLayer& layer) {
      EXPECT_EQ(layer.index, calls++);
      EXPECT_EQ(layer.queries.sizes(),
                (std::vector<int64_t>{tokens, config.num_heads, config.head_dim}));
      EXPECT_EQ(layer.queries.scalar_type(), at::kFloat);
    };
    KvCache cache = cache_of(std::ssize(lengths));
    read(lengths, cache, &observer);
    EXPECT_EQ(calls, config.num_layers);
    // After cached tokens, only the new ones are passed on.
    calls = 0;
    read(lengths, cache, &observer);
    EXPECT_EQ(calls, config.num_layers);
  }
}

// To the last bit.
TEST_P(Observer, DoesNotChangeHiddenStatesOrCache) {
  const LayerObserver observer = [](const ObservedLayer&) {};
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    decoder = load_decoder(kModels / GetParam(), dtype);
    for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{30}, {4, 7, 2}, {5, 5}}) {
      KvCache seen = cache_of(std::ssize(lengths)), unseen = cache_of(std::ssize(lengths));
      for (int pass = 0; pass < 2; ++pass)
        EXPECT_TRUE(at::equal(read(lengths, seen, &observer), read(lengths, unseen))) << dtype;
      const auto observed = keys_and_values(seen), expected = keys_and_values(unseen);
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(at::equal(observed[i], expected[i])) << dtype << " " << i;
    }
  }
}

// One token each is a decode step of all layers at once, an observed one runs op by op: sums differ
// in their order.
TEST_P(Observer, DoesNotChangeADecodeStep) {
  const LayerObserver observer = [](const ObservedLayer&) {};
  KvCache seen = cache_of(2), unseen = cache_of(2);
  read({20, 3}, seen);
  read({20, 3}, unseen);
  const auto expect_near = [](const at::Tensor& actual, const at::Tensor& expected) {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    EXPECT_LT(((actual - expected).abs().max() / expected.abs().max()).item<double>(), 1e-5);
  };
  for (int step = 0; step < 3; ++step)
    expect_near(read({1, 1}, seen, &observer), read({1, 1}, unseen));
  EXPECT_EQ(seen.length(0), 23);
  const auto observed = keys_and_values(seen), expected = keys_and_values(unseen);
  for (size_t i = 0; i < expected.size(); ++i) expect_near(observed[i], expected[i]);
}

TEST_P(Observer, FindsTheLayersNewTokensInTheCache) {
  KvCache cache = cache_of();
  read({20}, cache);
  std::vector<at::Tensor> found;
  const LayerObserver observer = [&](const ObservedLayer& layer) {
    const auto [keys, values] = cache.rows(layer.index, 0, 0, 25);
    found.push_back(keys.clone());
    found.push_back(values.clone());
  };
  read({5}, cache, &observer);
  const auto expected = keys_and_values(cache);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
}

// The last layer computes queries for all tokens, whatever output_indices are.
TEST_P(Observer, SeesAllTokensIfThereAreNoOutputs) {
  std::vector<at::Tensor> whole, without_outputs;
  const auto queries = [&](std::vector<at::Tensor>& observed, const at::Tensor& outputs) {
    const LayerObserver observer = [&](const ObservedLayer& layer) {
      observed.push_back(layer.queries);
    };
    KvCache cache = cache_of();
    DecoderInput input{decoder->embed(at::arange(5, 17)), at::arange(12), {0, 12}, {0}};
    input.output_indices = outputs;
    decoder->forward(input, cache, nullptr, &observer);
  };
  queries(whole, {});
  queries(without_outputs, at::empty({0}, at::kLong));
  ASSERT_EQ(without_outputs.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i)
    EXPECT_TRUE(at::equal(without_outputs[i], whole[i])) << i;
}

TEST_P(Observer, AnExceptionEndsThePass) {
  int64_t calls = 0;
  const LayerObserver observer = [&](const ObservedLayer& layer) {
    ++calls;
    if (layer.index == 1) throw Error(ErrorKind::kCancelled, "seen enough");
  };
  KvCache cache = cache_of();
  expect_error(ErrorKind::kCancelled, "seen enough", [&] { read({9}, cache, &observer); });
  EXPECT_EQ(calls, 2);
  // The decoder is unaffected.
  KvCache after = cache_of(), other = cache_of();
  EXPECT_TRUE(at::equal(read({9}, after), read({9}, other)));
}

}  // namespace
}  // namespace precis
