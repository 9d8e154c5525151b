// SPDX-License-Identifier: Apache-2.0
// Gisting against a restatement of its specification in PyTorch (golden/make_gisting_golden.py),
// which runs one masked pass without a cache: keys and values of the gists, hidden states of the
// tokens that read them, the loss and its gradients.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "gisting_fixture.h"
#include "models/adapter.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

using nlohmann::json;
using Form = GistingConfig::Form;
using Ids = std::vector<TokenId>;

class GistingGolden : public testing::TestWithParam<std::string> {
 protected:
  GistingGolden()
      : expected(SafetensorsFile::open(kGistingGolden / "expected.safetensors")),
        wanted_case(golden("cases").at(GetParam())),
        suffix(wanted_case.at("suffix").get<Ids>()) {}

  void load(c10::ScalarType dtype) {
    decoder = load_model("llama", dtype);
    GistingConfig config = golden_config(
        wanted_case.at("form") == "tuned" ? Form::kTuned : Form::kFrozen, wanted_case.at("k"));
    config.before_text = wanted_case.at("before").get<Ids>();
    compressor = make_golden(config, *decoder);
  }

  MemoryTensors compress() const {
    const Segment segment{wanted_case.at("segment").get<Ids>(), nullptr};
    return compressor->compress({&segment, 1}, {}).front();
  }

  SplicedPrompt prompt(MemoryTensors memory) const {
    return splice(std::vector{memory_item(std::move(memory)), text_item(suffix)}, *decoder);
  }

  at::Tensor wanted(const std::string& name) const {
    return to_tensor(*expected.find(GetParam() + "." + name));
  }

  SafetensorsFile expected;
  json wanted_case;
  Ids suffix;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(GistingGolden, KeysAndValuesOfTheGistsAgree) {
  const c10::NoGradGuard no_grad;
  for (const auto& [dtype, tolerance] : {std::pair(at::kFloat, 1e-4), {at::kDouble, 1e-5}}) {
    load(dtype);
    const MemoryTensors memory = compress();
    EXPECT_EQ(cached_of(memory).keys.scalar_type(), dtype);
    EXPECT_EQ(cached_of(memory).keys.sizes(), wanted("keys").sizes());
    EXPECT_LT(largest_difference(cached_of(memory).keys, wanted("keys")), tolerance);
    EXPECT_LT(largest_difference(cached_of(memory).values, wanted("values")), tolerance);
  }
}

TEST_P(GistingGolden, TheSuffixContinuesAtItsOriginalPosition) {
  const c10::NoGradGuard no_grad;
  load(at::kFloat);
  const MemoryTensors memory = compress();
  const auto text =
      static_cast<int64_t>(wanted_case.at("before").size() + wanted_case.at("segment").size());
  const int64_t k = wanted_case.at("k");
  EXPECT_EQ(cached_of(memory).first_position, text);
  EXPECT_EQ(cached_of(memory).next_position, text + k);
  EXPECT_TRUE(at::equal(prompt(memory).positions,
                        at::arange(text + k, text + k + std::ssize(suffix), at::kLong)));
}

TEST_P(GistingGolden, CachedGistsEqualTheMaskedText) {
  const c10::NoGradGuard no_grad;
  for (const auto& [dtype, tolerance] : {std::pair(at::kFloat, 1e-4), {at::kDouble, 1e-5}}) {
    load(dtype);
    const at::Tensor logits = decoder->logits(read(prompt(compress()), *decoder));
    EXPECT_LT(largest_difference(logits, wanted("logits")), tolerance);
  }
}

TEST_P(GistingGolden, LossAndGradientsAgree) {
  load(at::kDouble);
  const std::vector<NamedTensor> parameters = compressor->parameters();
  EXPECT_EQ(parameters.size(), wanted_case.at("form") == "tuned" ? 0u : 17u);
  for (const NamedTensor& named : parameters) named.tensor.requires_grad_(true);
  const auto completion = suffix.end() - wanted_case.at("completion").get<int64_t>();
  TrainingExample example{{wanted_case.at("segment").get<Ids>(), nullptr},
                          {completion, suffix.end()}};
  example.prompt.assign(suffix.begin(), completion);
  const PredictedBatch batch = predict(*decoder, *compressor, {&example, 1}, {});
  const double loss = cross_entropy(*decoder, batch, /*backward=*/!parameters.empty());
  EXPECT_NEAR(loss, wanted("loss").item<double>(), 1e-5 * loss);
  for (const NamedTensor& named : parameters) {
    ASSERT_TRUE(named.tensor.grad().defined()) << named.name;
    EXPECT_LT(largest_difference(named.tensor.grad(), wanted("gradient." + named.name)), 3e-5)
        << named.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         GistingGolden,
                         testing::ValuesIn(names_of("cases")),
                         [](const auto& test) { return test.param; });

// An adapter on some of the tokens.

class AdaptedRows : public testing::Test {
 protected:
  AdaptedRows() {
    at::manual_seed(5);
    const auto draw = [](int64_t rows, int64_t columns) {
      return at::randn({rows, columns}, at::kDouble).requires_grad_(true);
    };
    shape.hidden_size = 6;
    shape.num_heads = 2;
    shape.num_kv_heads = 1;
    shape.head_dim = 4;
    layer.query = {draw(3, 6), draw(8, 3), 0.5};
    layer.value = {draw(2, 6), draw(4, 2), 2.0};
    x = draw(5, 6);
  }

  // The change of the marked tokens, then the gradients of a probe of it.
  std::vector<at::Tensor> change_and_gradients(const at::Tensor& change) const {
    const at::Tensor probe = at::arange(change.numel(), at::kDouble).cos().view_as(change);
    std::vector<at::Tensor> all{change.detach()};
    for (const at::Tensor& leaf :
         {x, layer.query.down, layer.query.up, layer.value.down, layer.value.up}) {
      leaf.mutable_grad() = at::zeros_like(leaf);
    }
    (change * probe).sum().backward();
    for (const at::Tensor& leaf :
         {x, layer.query.down, layer.query.up, layer.value.down, layer.value.up}) {
      all.push_back(leaf.grad().clone());
    }
    return all;
  }

  // rows: [n] bool
  at::Tensor change(const at::Tensor& rows) const {
    DecoderInput input;
    input.adapted_rows = rows;
    return changes(models::adapted_rows(input));
  }

  // The changes of q, k and v, concatenated.
  at::Tensor changes(const at::Tensor& rows) const {
    const auto change_of = [&](const LoraWeights& low_rank, int64_t heads) {
      return models::apply_lora(
          low_rank, x, rows, at::zeros({x.size(0), heads * shape.head_dim}, x.options()));
    };
    return at::cat({change_of(layer.query, shape.num_heads),
                    change_of(layer.key, shape.num_kv_heads),
                    change_of(layer.value, shape.num_kv_heads)},
                   1);
  }

  DecoderConfig shape;
  AdapterLayer layer;
  at::Tensor x;
};

TEST_F(AdaptedRows, ChangeAsIfAllWereAdapted) {
  for (const std::vector<bool>& marked : {std::vector{false, true, false, false, true},
                                          {false, false, false, false, false},
                                          {true, true, true, true, true}}) {
    const at::Tensor rows = at::zeros({5}, at::kBool);
    for (int64_t i = 0; i < 5; ++i) rows[i].fill_(static_cast<bool>(marked[i]));
    const at::Tensor all = changes({});
    const auto expected = change_and_gradients(all * rows.unsqueeze(1).to(at::kDouble)),
               actual = change_and_gradients(change(rows));
    for (size_t i = 0; i < actual.size(); ++i)
      EXPECT_TRUE(at::allclose(actual[i], expected[i], 1e-12, 1e-12)) << i;
  }
}

TEST_F(AdaptedRows, AreTheOnlyOnesRead) {
  const c10::NoGradGuard no_grad;
  const at::Tensor rows = at::tensor({1, 0, 1, 1, 1}, at::kLong).to(at::kBool);
  x[1].fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(at::equal(change(rows)[1], at::zeros({16}, at::kDouble)));
}

}  // namespace
}  // namespace precis
