// SPDX-License-Identifier: Apache-2.0
// What ops cost beside ATen's own, on the shapes of SmolLM2-135M: two medians of times taken turn
// by turn, and their ratio. Exits with 1 if an op takes over 5 % longer.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ops/attention.h"
#include "ops/gated_activation.h"
#include "ops/linear.h"
#include "ops/quantized_linear.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "ops/sample.h"
#include "support/held_tokens.h"

namespace precis {
namespace {

using Clock = std::chrono::steady_clock;
using Work = std::function<void()>;

constexpr int64_t kHidden = 576, kHeads = 9, kKvHeads = 3, kHeadDim = 64, kFfn = 1536;
constexpr int64_t kVocabulary = 49152;
constexpr double kNoise = 1.05;  // of ratios on a machine that others use too

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

double microseconds(const Work& work, int64_t times) {
  const auto start = Clock::now();
  for (int64_t i = 0; i < times; ++i) work();
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count() /
         static_cast<double>(times);
}

class Comparison {
 public:
  // aten: what one would write without Precis.
  void add(const std::string& op, const Work& own, const Work& aten) {
    constexpr int kRounds = 15;
    constexpr double kRound = 3000;  // microseconds
    const double once = std::max({microseconds(own, 2), microseconds(aten, 2), 0.1});
    const auto times = static_cast<int64_t>(std::clamp(kRound / once, 1.0, 1000.0));
    std::vector<double> own_times, aten_times;
    for (int i = 0; i < kRounds; ++i) {
      own_times.push_back(microseconds(own, times));
      aten_times.push_back(microseconds(aten, times));
    }
    const double own_time = median(own_times), aten_time = median(aten_times);
    rows_.push_back({{"op", op}, {"precis_us", own_time}, {"aten_us", aten_time}});
    if (own_time > kNoise * aten_time) slower_ = true;
    std::cerr << op << ": " << own_time << " us, ATen " << aten_time << " us\n";
  }

  nlohmann::json rows() const { return rows_; }
  bool slower() const { return slower_; }

 private:
  nlohmann::json rows_ = nlohmann::json::array();
  bool slower_ = false;
};

std::string named(const char* op, int64_t rows, at::ScalarType dtype) {
  return std::string(op) + ", " + std::to_string(rows) + (rows == 1 ? " row, " : " rows, ") +
         (dtype == at::kFloat ? "float32" : "bfloat16");
}

void elementwise(Comparison& all, int64_t rows, at::ScalarType dtype) {
  const at::Tensor x = at::randn({rows, kHidden}).to(dtype), norm_weight = at::ones({kHidden});
  const at::Tensor own_norm_weight = norm_weight.to(dtype);
  all.add(
      named("RMSNorm", rows, dtype),
      [&] { ops::rms_norm(x, norm_weight, 1e-5); },
      [&] { at::rms_norm(x, {kHidden}, own_norm_weight, 1e-5); });
  const at::Tensor gate_up = at::randn({rows, 2 * kFfn}).to(dtype);
  all.add(
      named("SiLU gate", rows, dtype),
      [&] { ops::gated_activation(gate_up, DecoderConfig::Activation::kSilu); },
      [&] {
        const auto halves = gate_up.chunk(2, 1);
        at::silu(halves[0]).mul_(halves[1]);
      });
  const at::Tensor q = at::randn({rows, kHeads, kHeadDim}).to(dtype);
  const ops::RotaryTable table =
      ops::rotary_table(at::logspace(0, -4, kHeadDim / 2, 10.0, at::kFloat), at::arange(rows), 1.0);
  all.add(
      named("rotary", rows, dtype),
      [&] { ops::rotary(q, table); },
      [&] { ops::reference::rotary(q, table); });
}

void products(Comparison& all, int64_t rows, at::ScalarType dtype) {
  const at::Tensor x = at::randn({rows, kHidden}).to(dtype);
  const at::Tensor weight = at::randn({2 * kFfn, kHidden}).to(dtype);
  all.add(
      named("linear 576 x 3072", rows, dtype),
      [&] { ops::linear(x, weight); },
      [&] { at::linear(x, weight); });
  const auto int8 = ops::quantize(weight, 8);
  const at::Tensor scales = int8.scales.to(dtype);
  all.add(
      named("linear 576 x 3072 int8", rows, dtype),
      [&] { ops::linear(x, int8); },
      [&] { at::_weight_int8pack_mm(x, int8.codes, scales); });
  const auto int4 = ops::quantize(weight, 4);
  const at::Tensor packed =
      at::_convert_weight_to_int4pack_for_cpu(at::randint(0, 16, {2 * kFfn, kHidden}, at::kInt), 2);
  const at::Tensor grids = at::ones({kHidden / 32, 2 * kFfn, 2}, dtype);
  all.add(
      named("linear 576 x 3072 int4", rows, dtype),
      [&] { ops::linear(x, int4); },
      [&] { at::_weight_int4pack_mm_for_cpu(x, packed, 32, grids); });
}

void attention(Comparison& all, at::ScalarType dtype) {
  const ops::AttentionOptions options{0.125, 0};
  for (const int64_t keys : {128, 2048}) {
    const at::Tensor k = at::randn({1, kKvHeads, keys, kHeadDim}).to(dtype), v = k.clone();
    const at::Tensor q = at::randn({1, kHeads, 1, kHeadDim}).to(dtype);
    const HeldTokens held = in_blocks(k[0], v[0]);
    const at::Tensor token = q.squeeze(2);
    all.add(
        named(("attention of a token to " + std::to_string(keys)).c_str(), 1, dtype),
        [&] { attend_to({held}, token, {1}, options, ops::attention); },
        [&] { at::scaled_dot_product_attention(q, k, v, {}, 0.0, false, 0.125, true); });
  }
  const int64_t rows = 512;
  const at::Tensor q = at::randn({1, kHeads, rows, kHeadDim}).to(dtype);
  const at::Tensor k = at::randn({1, kKvHeads, rows, kHeadDim}).to(dtype), v = k.clone();
  all.add(
      named("causal attention", rows, dtype),
      [&] { ops::dense_attention(q, k, v, options); },
      [&] { at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, 0.125, true); });
}

void sampling(Comparison& all) {
  const at::Tensor logits = at::randn({1, kVocabulary}) * 3;
  const uint64_t random[] = {0};
  all.add(
      "greedy sampling",
      [&] { ops::sample(logits, {.temperature = 0}, random); },
      [&] { logits.argmax().item<int64_t>(); });
  all.add(
      "sampling at temperature 0.8, top-p 0.95",
      [&] { ops::sample(logits, {.temperature = 0.8, .top_p = 0.95}, random); },
      [&] { ops::reference::sample(logits[0], {.temperature = 0.8, .top_p = 0.95}, 1234567); });
}

int run() {
  const c10::InferenceMode inference;
  at::manual_seed(1);
  Comparison all;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t rows : {1, 512}) elementwise(all, rows, dtype);
    for (const int64_t rows : {1, 4, 8, 16, 32, 128, 512}) products(all, rows, dtype);
    attention(all, dtype);
  }
  sampling(all);
  nlohmann::json result;
  result["threads"] = at::get_num_threads();
  result["aten_capability"] = at::get_cpu_capability();
  result["ops"] = all.rows();
  std::cout << result.dump(1) << "\n";
  return all.slower() ? 1 : 0;
}

}  // namespace
}  // namespace precis

int main() { return precis::run(); }
