// SPDX-License-Identifier: Apache-2.0
// DigestEncoder, which training and inference share, against its reference in plain ATen.
#include "compressors/ic_former/digest_encoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "compressors/digest_reference.h"

namespace precis::ic_former {
namespace {

constexpr int64_t kHidden = 32, kFfn = 24, kLayers = 3, kHeads = 4, kDigests = 5;

// Single texts and runs of one length, as short as one token.
const std::vector<int64_t> kLengths{1, 7, 7, 12, 12, 12, 20};

struct NetCase {
  const char* name;
  int64_t key_heads;
  bool spread;
};

using Named = std::vector<std::pair<std::string, at::Tensor>>;

class DigestEncoderCases : public testing::TestWithParam<NetCase> {
 protected:
  DigestEncoderCases() : shape{kHeads, 1e-5, 500.0, GetParam().spread} {
    at::manual_seed(5);
    const int64_t key_width = kHidden / kHeads * GetParam().key_heads;
    net = make_digest_net({kLayers, kHidden, kFfn, key_width},
                          [](const std::string&, at::IntArrayRef sizes) {
                            const at::Tensor noise = at::randn(sizes, at::kFloat);
                            return sizes.size() == 1 ? 1 + 0.2 * noise : 0.2 * noise;
                          });
    digests = at::randn({kDigests, kHidden}, at::kFloat);
    for (const int64_t length : kLengths)
      texts.push_back(at::randn({length, kHidden}, at::kFloat).to(at::kBFloat16).to(at::kFloat));
    probe = at::randn({std::ssize(kLengths) * kDigests, kHidden}, at::kFloat);
  }

  // New leaves, so that each run has its own gradients.
  std::pair<DigestNet, at::Tensor> leaves(c10::ScalarType dtype, bool gradients) const {
    const auto leaf = [&](const at::Tensor& tensor) {
      return tensor.detach()
          .to(dtype, /*non_blocking=*/false, /*copy=*/true)
          .requires_grad_(gradients);
    };
    std::vector<at::Tensor> tensors;
    for_each_tensor(net, [&](const std::string&, const at::Tensor& tensor) {
      tensors.push_back(leaf(tensor));
    });
    size_t next = 0;
    DigestNet copy =
        make_digest_net({kLayers, kHidden, kFfn, net.layers[0].key.size(0)},
                        [&](const std::string&, at::IntArrayRef) { return tensors[next++]; });
    return {copy, leaf(digests)};
  }

  at::Tensor by_encoder(const DigestNet& own,
                        const at::Tensor& own_digests,
                        c10::ScalarType dtype) const {
    const DigestEncoder encoder(own, own_digests, shape, dtype);
    std::vector<at::Tensor> rows;
    for (const at::Tensor& text : texts) {
      rows.push_back(encoder.key_values(text.to(dtype)));
      rows.push_back(encoder.digest_key_values());
    }
    return encoder.digest(at::cat(rows, 0), kLengths);
  }

  at::Tensor by_reference(const DigestNet& own, const at::Tensor& own_digests) const {
    std::vector<at::Tensor> rows;
    for (const at::Tensor& text : texts)
      rows.push_back(
          reference::digest(own, own_digests, text.to(at::kDouble).unsqueeze(0), shape).squeeze(0));
    return at::cat(rows, 0);
  }

  // The gradients of (output * probe).sum(), and the output.
  Named with_gradients(const at::Tensor& output,
                       const DigestNet& own,
                       const at::Tensor& own_digests) const {
    output.backward(probe.to(output.scalar_type()));
    Named all{{"output", output.detach()}, {"digests", own_digests.grad()}};
    for_each_tensor(own, [&](const std::string& name, const at::Tensor& tensor) {
      all.emplace_back(name, tensor.grad());
    });
    return all;
  }

  // parameters: their dtype; dtype: in which the encoder computes.
  void expect_gradients(c10::ScalarType parameters, c10::ScalarType dtype, double tolerance) const {
    const auto [expected_net, expected_digests] = leaves(at::kDouble, true);
    const Named expected = with_gradients(
        by_reference(expected_net, expected_digests), expected_net, expected_digests);
    const auto [own, own_digests] = leaves(parameters, true);
    const Named actual = with_gradients(by_encoder(own, own_digests, dtype), own, own_digests);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(actual[i].second.defined()) << actual[i].first;
      const at::Tensor error = actual[i].second.to(at::kDouble) - expected[i].second;
      EXPECT_LT(error.norm().item<double>(), tolerance * expected[i].second.norm().item<double>())
          << actual[i].first;
    }
  }

  DigestShape shape;
  DigestNet net;
  at::Tensor digests;
  std::vector<at::Tensor> texts;  // embeddings
  at::Tensor probe;
};

TEST_P(DigestEncoderCases, GradientsEqualTheReferenceInFloat64) {
  expect_gradients(at::kDouble, at::kDouble, 1e-10);
}

TEST_P(DigestEncoderCases, GradientsEqualTheReferenceInFloat32) {
  expect_gradients(at::kFloat, at::kFloat, 1e-4);
}

TEST_P(DigestEncoderCases, GradientsAreCloseToTheReferenceInBFloat16) {
  expect_gradients(at::kFloat, at::kBFloat16, 0.1);
}

TEST_P(DigestEncoderCases, InferenceEqualsTraining) {
  const auto [own, own_digests] = leaves(at::kDouble, true);
  const at::Tensor trained = by_encoder(own, own_digests, at::kDouble);
  EXPECT_TRUE(trained.requires_grad());
  const c10::NoGradGuard no_grad;
  const at::Tensor inferred = by_encoder(own, own_digests, at::kDouble);
  EXPECT_TRUE(at::allclose(inferred, trained.detach(), 1e-12, 1e-12));
}

INSTANTIATE_TEST_SUITE_P(Nets,
                         DigestEncoderCases,
                         testing::Values(NetCase{"as_published", kHeads, false},
                                         NetCase{"shared_key_heads", 2, false},
                                         NetCase{"spread_positions", kHeads, true}),
                         [](const auto& test) { return test.param.name; });

TEST(DigestReference, TheStateOfADigestChangesItsOwnOutputOnly) {
  at::manual_seed(5);
  const DigestNet net = make_digest_net(
      {1, kHidden, kFfn},
      [](const std::string&, at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); });
  const at::Tensor seen = at::randn({1, 12, kHidden}, at::kDouble),
                   states = at::randn({1, kDigests, kHidden}, at::kDouble);
  at::Tensor changed = states.clone();
  changed[0][2] += 1;
  const auto run = [&](const at::Tensor& input) {
    return reference::cross_attention(net.layers[0], input, seen, {kHeads})[0];
  };
  const at::Tensor before = run(states), after = run(changed);
  for (int64_t digest = 0; digest < kDigests; ++digest)
    EXPECT_EQ(at::allclose(before[digest], after[digest], 1e-12, 1e-12), digest != 2) << digest;
}

}  // namespace
}  // namespace precis::ic_former
