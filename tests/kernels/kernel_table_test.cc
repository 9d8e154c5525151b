// SPDX-License-Identifier: Apache-2.0
// The GPU kernels as ops launch them, against references: in the harness on the CPU and, where
// there is a GPU, on it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "ops/dense_attention.h"
#include "ops/kv_blocks.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "ops/sample.h"
#include "support/kernel_machine.h"
#include "support/sampling_cases.h"

namespace precis::kernels {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor there(const at::Tensor& x) { return x.to(kernel_machine().device); }
at::Tensor normal(at::IntArrayRef shape) { return there(at::randn(shape, at::kFloat)); }

template <typename Number>
at::Tensor there(const std::vector<Number>& values) {
  static_assert(sizeof(Number) == sizeof(int64_t));
  const at::Tensor here = at::empty({std::ssize(values)}, at::kLong);
  std::memcpy(here.mutable_data_ptr(), values.data(), values.size() * sizeof(Number));
  return there(here);
}

template <typename T>
class KernelTable : public testing::Test {
 protected:
  static constexpr c10::ScalarType kDtype = std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;
  static constexpr Element kElement =
      std::is_same_v<T, float> ? Element::kFloat32 : Element::kBFloat16;
  // Largest error for values around 1: that of rounding the result.
  static constexpr double kTolerance = std::is_same_v<T, float> ? 2e-5 : 2e-2;

  void SetUp() override {
    if (!has_kernel_machine()) GTEST_SKIP() << "no GPU";
    at::manual_seed(5);
  }

  static at::Tensor random(at::IntArrayRef shape) { return normal(shape).to(kDtype); }
  static at::Tensor empty(at::IntArrayRef shape) {
    return at::full(shape, kNan, at::TensorOptions(kDtype).device(kernel_machine().device));
  }

  // Relative for values above 1, else absolute.
  static void expect_near(const at::Tensor& result, const at::Tensor& expected) {
    ASSERT_EQ(result.sizes(), expected.sizes());
    if (result.numel() == 0) return;
    const at::Tensor wide = expected.to(at::kDouble);
    const at::Tensor error = (result.to(at::kDouble) - wide).abs() / wide.abs().clamp_min(1);
    EXPECT_LT(error.max().template item<double>(), kTolerance) << result.sizes();
  }

  // The same keys and values as tensors, and in pages together with other layers. Places in pages
  // that hold no token are NaN.
  struct Rows {
    at::Tensor keys;    // [kv_heads, n, head_dim]
    at::Tensor values;  // same shape
  };
  struct Cached {
    Rows rows;
    std::vector<at::Tensor> pages;
  };
  static constexpr int64_t kLayers = 3, kLayer = 1;

  static Cached cached(int64_t kv_heads, int64_t num_keys, int64_t width) {
    Cached own{{random({kv_heads, num_keys, width}), random({kv_heads, num_keys, width})}, {}};
    for (int64_t first = 0; first < num_keys; first += kTokensPerPage) {
      const int64_t count = std::min(kTokensPerPage, num_keys - first);
      const at::Tensor page = empty({kLayers, kv_heads, 2, kTokensPerPage, width});
      page[kLayer].select(1, 0).narrow(1, 0, count).copy_(own.rows.keys.narrow(1, first, count));
      page[kLayer].select(1, 1).narrow(1, 0, count).copy_(own.rows.values.narrow(1, first, count));
      own.pages.push_back(page);
    }
    return own;
  }

  // Tables of sequences whose last token is the new one of a step.
  struct Tables {
    at::Tensor pages;
    at::Tensor lengths;
    int64_t longest = 0;
    int64_t most_pages = 0;

    explicit Tables(const std::vector<Cached>& all) {
      for (const Cached& own : all) most_pages = std::max<int64_t>(most_pages, own.pages.size());
      std::vector<void*> addresses;
      std::vector<int64_t> held;
      for (const Cached& own : all) {
        for (const at::Tensor& page : own.pages) addresses.push_back(page.mutable_data_ptr());
        addresses.resize(addresses.size() + most_pages - own.pages.size());
        held.push_back(own.rows.keys.size(1) - 1);
        longest = std::max(longest, held.back() + 1);
      }
      pages = there(addresses);
      lengths = there(held);
    }
    PagedCache cache() const {
      return {static_cast<void* const*>(pages.const_data_ptr()),
              lengths.const_data_ptr<int64_t>(),
              most_pages,
              kLayer};
    }
  };

  // spare: splits beyond those of the longest sequence.
  static at::Tensor attended(const at::Tensor& q,
                             const std::vector<Cached>& own,
                             const ops::AttentionOptions& options,
                             int64_t spare = 0) {
    const Tables tables(own);
    const int64_t sequences = q.size(0), heads = q.size(1), width = q.size(2);
    const int64_t max_splits = (tables.longest + kKeysPerGpuSplit - 1) / kKeysPerGpuSplit + spare;
    const at::Tensor query = q.to(at::kFloat), out = empty(q.sizes());
    const at::Tensor states =
        at::full({sequences * heads * max_splits * (width + 2)}, kNan, query.options());
    kernel_machine().table.paged_attention(kElement,
                                           {query.const_data_ptr<float>(),
                                            tables.cache(),
                                            out.mutable_data_ptr(),
                                            states.mutable_data_ptr<float>(),
                                            heads,
                                            own[0].rows.keys.size(0),
                                            width,
                                            max_splits,
                                            options.window,
                                            static_cast<float>(options.scale)},
                                           sequences,
                                           kernel_machine().stream);
    return out;
  }

  static void expect_attention(const at::Tensor& q,
                               const std::vector<Cached>& own,
                               const ops::AttentionOptions& options,
                               int64_t spare = 0) {
    std::vector<at::Tensor> expected;
    for (size_t i = 0; i < own.size(); ++i) {
      const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble).unsqueeze(0); };
      expected.push_back(
          ops::reference::dense_attention(
              wide(q[i].unsqueeze(1)), wide(own[i].rows.keys), wide(own[i].rows.values), options)
              .view({q.size(1), q.size(2)}));
    }
    expect_near(attended(q, own, options, spare), at::stack(expected));
  }

  // held: tokens of each sequence before its new token. Each row has the new token's queries, keys
  // and values.
  static void expect_append(const std::vector<int64_t>& held,
                            int64_t heads,
                            int64_t kv_heads,
                            int64_t width,
                            bool normed) {
    const int64_t rows = std::ssize(held), all = heads + 2 * kv_heads;
    std::vector<Cached> own;
    for (const int64_t length : held) own.push_back(cached(kv_heads, length + 1, width));
    const Tables tables(own);
    const at::Tensor qkv = random({rows, all, width}), angles = normal({rows, width / 2});
    const at::Tensor cos = angles.cos(), sin = angles.sin();
    const at::Tensor q_norm_weight = normal({width}), k_norm_weight = normal({width});
    const at::Tensor q = empty({rows, heads, width}).to(at::kFloat);
    kernel_machine().table.rotary_append(kElement,
                                         {qkv.const_data_ptr(),
                                          normed ? q_norm_weight.const_data_ptr<float>() : nullptr,
                                          normed ? k_norm_weight.const_data_ptr<float>() : nullptr,
                                          cos.const_data_ptr<float>(),
                                          sin.const_data_ptr<float>(),
                                          q.mutable_data_ptr<float>(),
                                          tables.cache(),
                                          heads,
                                          kv_heads,
                                          width,
                                          1e-5f},
                                         rows,
                                         kernel_machine().stream);
    const auto turned = [&](int64_t first, int64_t count, const at::Tensor& norm_weight) {
      const at::Tensor x = qkv.narrow(1, first, count).to(at::kDouble);
      return ops::reference::rotary(
          normed ? ops::reference::rms_norm(x, norm_weight.to(at::kDouble), 1e-5) : x,
          {cos.to(at::kDouble), sin.to(at::kDouble)});
    };
    expect_near(q, turned(0, heads, q_norm_weight));
    const at::Tensor keys = turned(heads, kv_heads, k_norm_weight);
    const at::Tensor values = qkv.narrow(1, heads + kv_heads, kv_heads);
    for (int64_t row = 0; row < rows; ++row) {
      const at::Tensor page = own[row].pages.back()[kLayer];
      const int64_t place = held[row] % kTokensPerPage;
      expect_near(page.select(1, 0).select(1, place), keys[row]);
      expect_near(page.select(1, 1).select(1, place), values[row]);
      // Earlier tokens of the page are unchanged.
      expect_near(page.narrow(2, 0, place),
                  at::stack({own[row].rows.keys, own[row].rows.values}, 1)
                      .narrow(2, held[row] - place, place));
    }
  }

  static void expect_add_rms_norm(int64_t rows, int64_t width, bool change, bool change_normed) {
    const at::Tensor before = normal({rows, width}), x = before.clone();
    const at::Tensor added = random({rows, width}), out = empty({rows, width});
    const at::Tensor norm_weight = normal({width}), change_norm_weight = normal({width});
    kernel_machine().table.add_rms_norm(
        kElement,
        {x.mutable_data_ptr<float>(),
         change ? added.const_data_ptr() : nullptr,
         change_normed ? change_norm_weight.const_data_ptr<float>() : nullptr,
         norm_weight.const_data_ptr<float>(),
         out.mutable_data_ptr(),
         width,
         1e-5f},
        rows,
        kernel_machine().stream);
    at::Tensor sum = before.to(at::kDouble);
    if (change) {
      const at::Tensor wide = added.to(at::kDouble);
      sum = sum + (change_normed
                       ? ops::reference::rms_norm(wide, change_norm_weight.to(at::kDouble), 1e-5)
                       : wide);
    }
    EXPECT_LT((x - sum).abs().max().template item<double>(), 1e-5);
    expect_near(out, ops::reference::rms_norm(sum, norm_weight.to(at::kDouble), 1e-5));
  }

  // Arguments for copying tokens in pages, from token `first` of the first page on, to or from keys
  // and values.
  template <typename Arguments, typename Address>
  static Arguments copied(const std::vector<at::Tensor>& pages,
                          int64_t first,
                          const at::Tensor& keys,
                          const at::Tensor& values,
                          const Address& address) {
    Arguments a{{},
                first,
                kLayer,
                address(keys),
                address(values),
                keys.stride(0),
                keys.stride(1),
                values.stride(0),
                values.stride(1),
                keys.size(0),
                keys.size(2)};
    for (size_t i = 0; i < pages.size(); ++i) a.pages[i] = pages[i].mutable_data_ptr();
    return a;
  }

  // Keys that are contiguous token by token, and values that are a slice of wider rows.
  static at::Tensor keys_in_rows(const at::Tensor& rows) { return rows.transpose(0, 1); }
  static at::Tensor values_in_rows(const at::Tensor& rows) {
    const int64_t kv_heads = rows.size(1) / 3;
    return rows.narrow(1, kv_heads, kv_heads).transpose(0, 1);
  }

  static void expect_written(int64_t kv_heads, int64_t first, int64_t count, int64_t width) {
    const at::Tensor keys = keys_in_rows(random({count, kv_heads, width}));
    const at::Tensor values = values_in_rows(random({count, 3 * kv_heads, width}));
    std::vector<at::Tensor> pages, expected;
    for (int64_t page = 0; page < ops::blocks_for(first + count); ++page) {
      pages.push_back(random({kLayers, kv_heads, 2, kTokensPerPage, width}));
      expected.push_back(pages.back().clone());
    }
    const auto address = [](const at::Tensor& rows) { return rows.const_data_ptr(); };
    kernel_machine().table.write_pages(
        kElement,
        copied<WritePagesArguments>(pages, first, keys, values, address),
        count,
        kernel_machine().stream);
    ops::reference::write_to_blocks(expected, kLayer, first, keys, values);
    for (size_t i = 0; i < pages.size(); ++i) EXPECT_TRUE(pages[i].equal(expected[i])) << i;
  }

  static void expect_read(int64_t kv_heads, int64_t first, int64_t count, int64_t width) {
    std::vector<at::Tensor> pages;
    for (int64_t page = 0; page < ops::blocks_for(first + count); ++page)
      pages.push_back(random({kLayers, kv_heads, 2, kTokensPerPage, width}));
    const at::Tensor wide = random({count, 3 * kv_heads, width}), beside = wide.clone();
    const at::Tensor keys = keys_in_rows(empty({count, kv_heads, width}));
    const at::Tensor values = values_in_rows(wide);
    const auto address = [](const at::Tensor& rows) { return rows.mutable_data_ptr(); };
    kernel_machine().table.read_pages(
        kElement,
        copied<ReadPagesArguments>(pages, first, keys, values, address),
        count,
        kernel_machine().stream);
    const auto [expected_keys, expected_values] =
        ops::reference::read_from_blocks(pages, kLayer, first, count);
    EXPECT_TRUE(keys.equal(expected_keys));
    values_in_rows(beside).copy_(expected_values);
    EXPECT_TRUE(wide.equal(beside));
  }

  static void expect_gathered(int64_t rows, int64_t width) {
    const at::Tensor first = random({50, width}), second = random({7, width});
    const at::Tensor indices = there(at::randint(0, 57, {rows}, at::kLong));
    const at::Tensor out = empty({rows, width});
    kernel_machine().table.gather_rows(kElement,
                                       {first.const_data_ptr(),
                                        second.const_data_ptr(),
                                        indices.const_data_ptr<int64_t>(),
                                        out.mutable_data_ptr(),
                                        first.size(0),
                                        width},
                                       rows,
                                       kernel_machine().stream);
    EXPECT_TRUE(out.equal(at::cat({first, second}).index_select(0, indices)));
  }
};

using Elements = testing::Types<float, at::BFloat16>;
TYPED_TEST_SUITE(KernelTable, Elements);

TYPED_TEST(KernelTable, AddRmsNorm) {
  for (const int64_t width : {1, 7, 63, 257, 576, 4096}) {
    this->expect_add_rms_norm(2, width, false, false);
    this->expect_add_rms_norm(3, width, true, false);
    this->expect_add_rms_norm(1, width, true, true);
  }
  kernel_machine().table.add_rms_norm(this->kElement, {}, 0, kernel_machine().stream);
}

TYPED_TEST(KernelTable, RotaryAppend) {
  for (const bool normed : {false, true}) {
    for (const int64_t width : {2, 6, 64, 128, 256})
      this->expect_append({0, kTokensPerPage - 1, kTokensPerPage, 70}, 3, 1, width, normed);
    this->expect_append({5}, 9, 3, 64, normed);
    this->expect_append({5}, 1, 1, 32, normed);
  }
}

TYPED_TEST(KernelTable, WriteAndReadPages) {
  for (const int64_t width : {1, 4, 16, 33, 128}) {
    for (const int64_t first : {0, 5, 31}) {
      for (const int64_t count : {1, 27, 100}) {
        this->expect_written(2, first, count, width);
        this->expect_read(2, first, count, width);
      }
    }
  }
}

TYPED_TEST(KernelTable, GatherRows) {
  for (const int64_t width : {1, 7, 64, 576, 4096}) this->expect_gathered(5, width);
  this->expect_gathered(1, 8);
  this->expect_gathered(0, 8);
}

TYPED_TEST(KernelTable, PagedAttentionOfAnyLength) {
  for (const int64_t num_keys : {1, 2, 31, 32, 33, 255, 256, 257, 700}) {
    for (const int64_t window : {0, 1, 31, 32, 33, 300}) {
      this->expect_attention(
          this->random({1, 6, 64}), {this->cached(2, num_keys, 64)}, {0.125, window});
    }
  }
}

TYPED_TEST(KernelTable, PagedAttentionOfAnyWidth) {
  for (const int64_t width : {1, 3, 8, 33, 40, 80, 96, 100, 128, 255, 256})
    this->expect_attention(this->random({1, 2, width}), {this->cached(2, 70, width)}, {0.1, 0});
}

TYPED_TEST(KernelTable, PagedAttentionOfAnyGroup) {
  for (const auto& [heads, kv_heads] :
       {std::pair<int64_t, int64_t>{4, 4}, {9, 3}, {14, 2}, {11, 1}}) {
    const at::Tensor q = this->random({2, heads, 64});
    const std::vector<typename TestFixture::Cached> own{this->cached(kv_heads, 90, 64),
                                                        this->cached(kv_heads, 300, 64)};
    this->expect_attention(q, own, {0.1, 0});
    this->expect_attention(q, own, {0.1, 20});
    this->expect_attention(q, own, {0.1, 0}, /*spare=*/3);
  }
}

// A NaN score makes the output of its head NaN, and of no other.
TYPED_TEST(KernelTable, PagedAttentionKeepsNan) {
  const at::Tensor q = this->random({1, 2, 64});
  const auto own = this->cached(2, 300, 64);
  const int64_t key = 280;
  own.pages[key / kTokensPerPage][this->kLayer][1][0][key % kTokensPerPage][3] = kNan;
  const at::Tensor out = this->attended(q, {own}, {0.125, 0});
  EXPECT_FALSE(out[0][0].isnan().any().template item<bool>());
  EXPECT_TRUE(out[0][1].isnan().all().template item<bool>());
}

std::vector<int64_t> sampled(const at::Tensor& rows,
                             const ops::SamplingOptions& options,
                             const std::vector<uint64_t>& random) {
  const at::Tensor logits = there(rows), bits = there(random);
  const at::Tensor ids = at::full({rows.size(0)}, -2, bits.options());
  kernel_machine().table.sample(
      {logits.const_data_ptr<float>(),
       rows.size(1),
       options.temperature == 0 ? 0 : std::max(static_cast<float>(options.temperature), FLT_MIN),
       options.top_k,
       options.top_p,
       options.min_p,
       static_cast<const uint64_t*>(bits.const_data_ptr()),
       ids.mutable_data_ptr<int64_t>()},
      rows.size(0),
      kernel_machine().stream);
  const at::Tensor here = ids.cpu();
  return {here.const_data_ptr<int64_t>(), here.const_data_ptr<int64_t>() + here.numel()};
}

int64_t sampled(const at::Tensor& logits, const ops::SamplingOptions& options, uint64_t random) {
  return sampled(logits.unsqueeze(0), options, std::vector{random})[0];
}

class SampleKernel : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_kernel_machine()) GTEST_SKIP() << "no GPU";
  }
};

TEST_F(SampleKernel, EqualsItsReference) {
  at::manual_seed(4);
  std::mt19937_64 random(1);
  for (const int64_t vocabulary : {1, 2, 1000, 1024, 5003}) {
    for (const ops::SamplingOptions& options : sampling_cases()) {
      const at::Tensor logits = logits_with_ties(vocabulary);
      for (int draw = 0; draw < 3; ++draw) {
        const uint64_t bits = random();
        EXPECT_EQ(sampled(logits, options, bits), ops::reference::sample(logits, options, bits))
            << vocabulary << " ids, temperature " << options.temperature << ", top_k "
            << options.top_k << ", top_p " << options.top_p << ", min_p " << options.min_p;
      }
    }
  }
}

TEST_F(SampleKernel, RowsAreSampledIndependently) {
  at::manual_seed(2);
  std::mt19937_64 random(3);
  const at::Tensor rows = at::randn({5, 700}) * 2;
  rows[3][600] = INFINITY;
  std::vector<uint64_t> bits(5);
  std::generate(bits.begin(), bits.end(), random);
  const std::vector<int64_t> ids = sampled(rows, {0.8, 40, 0.9, 0}, bits);
  for (int64_t row = 0; row < 5; ++row)
    EXPECT_EQ(ids[row], row == 3 ? -1 : sampled(rows[row], {0.8, 40, 0.9, 0}, bits[row])) << row;
}

TEST_F(SampleKernel, ZerosOfBothSignsAreEqual) {
  for (const at::Tensor& logits : {at::tensor({-0.0f, 0.0f}), at::tensor({0.0f, -0.0f})}) {
    EXPECT_EQ(sampled(logits, {0}, 0), 0);
    EXPECT_EQ(sampled(logits, {1, 1, 1, 0}, ~uint64_t{0}), 0);
  }
}

TEST_F(SampleKernel, NonFiniteLogitsGiveNoId) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    const at::Tensor logits = at::randn({3000});
    logits[2999] = bad;
    EXPECT_EQ(sampled(logits, {}, 7), -1);
    EXPECT_EQ(sampled(logits, {0}, 7), -1);
  }
}

}  // namespace
}  // namespace precis::kernels
