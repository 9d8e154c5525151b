// SPDX-License-Identifier: Apache-2.0
// What ops cost on a GPU, by CUDA events: us, GB/s or TFLOP/s, beside ATen's own and beside what
// the same GPU reached for a copy and for a matrix product in the same run. One JSON object.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ops/gated_activation.h"
#include "ops/gather_rows.h"
#include "ops/kernel_arguments.h"
#include "ops/kv_blocks.h"
#include "ops/linear.h"
#include "ops/packed_attention.h"
#include "ops/quantized_linear.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "ops/sample.h"

namespace precis {
namespace {

using Work = std::function<void()>;

// Llama-2-7B's, with the shared key heads of its successors where that is said.
constexpr int64_t kHidden = 4096, kHeads = 32, kWidth = 128, kFfn = 11008, kRows = 8192;
constexpr int64_t kVocabulary = 128256;

const at::TensorOptions kBFloat16 = at::TensorOptions(at::kBFloat16).device(at::kCUDA);
const at::TensorOptions kFloat = at::TensorOptions(at::kFloat).device(at::kCUDA);
const at::TensorOptions kLong = at::TensorOptions(at::kLong).device(at::kCUDA);

// Microseconds of one call: medians of rounds of at least 10 ms, after a first one.
double microseconds(const Work& work) {
  constexpr int kRounds = 7;
  constexpr float kRound = 10;  // ms
  const auto stream = c10::cuda::getCurrentCUDAStream();
  const auto milliseconds = [&](int64_t times) {
    at::cuda::CUDAEvent start(cudaEventDefault), end(cudaEventDefault);
    start.record(stream);
    for (int64_t i = 0; i < times; ++i) work();
    end.record(stream);
    end.synchronize();
    return start.elapsed_time(end);
  };
  milliseconds(3);
  const auto times =
      std::max<int64_t>(1, static_cast<int64_t>(kRound / std::max(milliseconds(3) / 3, 1e-4f)));
  std::vector<double> rounds;
  for (int i = 0; i < kRounds; ++i)
    rounds.push_back(1e3 * milliseconds(times) / static_cast<double>(times));
  std::ranges::sort(rounds);
  return rounds[kRounds / 2];
}

class Table {
 public:
  Table() {
    const at::Tensor from = at::empty({int64_t{1} << 30}, kBFloat16), to = at::empty_like(from);
    copy_ = 2.0 * static_cast<double>(from.nbytes()) / microseconds([&] { to.copy_(from); });
    const at::Tensor a = at::randn({8192, 8192}, kBFloat16), b = at::randn({8192, 8192}, kBFloat16);
    product_ = 2.0 * 8192 * 8192 * 8192 / microseconds([&] { at::matmul(a, b); });
  }

  // bytes: that have to be read and written.
  void moves(const std::string& op, double bytes, const Work& own, const Work& aten) {
    add(op, "gb_per_s", bytes / 1e3, copy_ / 1e3, own, aten);
  }
  void computes(const std::string& op, double flops, const Work& own, const Work& aten) {
    add(op, "tflop_per_s", flops / 1e6, product_ / 1e6, own, aten);
  }

  nlohmann::json json() const {
    return {{"copy_gb_per_s", copy_ / 1e3}, {"product_tflop_per_s", product_ / 1e6}, {"ops", ops_}};
  }

 private:
  void add(const std::string& op,
           const char* unit,
           double amount,
           double ceiling,
           const Work& own,
           const Work& aten) {
    const double time = microseconds(own);
    nlohmann::json row{{"op", op}, {"us", time}, {unit, amount / time}};
    row["of_ceiling"] = amount / time / ceiling;
    if (aten) {
      row["aten_us"] = microseconds(aten);
      row["aten_over_own"] = row["aten_us"].get<double>() / time;
    }
    std::cerr << row.dump() << "\n";
    ops_.push_back(std::move(row));
  }

  double copy_ = 0;     // bytes a microsecond
  double product_ = 0;  // operations a microsecond
  nlohmann::json ops_ = nlohmann::json::array();
};

double bytes_of(const at::Tensor& x) { return static_cast<double>(x.nbytes()); }

void elementwise(Table& all) {
  const at::Tensor x = at::randn({kRows, kHidden}, kBFloat16),
                   norm_weight = at::ones({kHidden}, kFloat);
  all.moves(
      "rms_norm 8192x4096",
      2 * bytes_of(x),
      [&] { ops::rms_norm(x, norm_weight, 1e-5); },
      [&] { ops::reference::rms_norm(x, norm_weight, 1e-5); });
  const at::Tensor rows = at::randn({kRows, kHidden}, kFloat), out = at::empty_like(x);
  all.moves(
      "add_rms_norm 8192x4096",
      2 * bytes_of(rows) + 2 * bytes_of(x),
      [&] {
        kernels::cuda()->add_rms_norm(kernels::Element::kBFloat16,
                                      {rows.mutable_data_ptr<float>(),
                                       x.const_data_ptr(),
                                       nullptr,
                                       norm_weight.const_data_ptr<float>(),
                                       out.mutable_data_ptr(),
                                       kHidden,
                                       1e-5f},
                                      kRows,
                                      ops::current_stream());
      },
      [&] { ops::reference::rms_norm(rows.add_(x), norm_weight, 1e-5).to(at::kBFloat16); });
  const at::Tensor heads = x.view({kRows, kHeads, kWidth});
  const at::Tensor angles = at::rand({kRows, kWidth / 2}, kFloat);
  const ops::RotaryTable table{angles.cos(), angles.sin()};
  all.moves(
      "rotary 8192x32x128",
      2 * bytes_of(x),
      [&] { ops::rotary(heads, table); },
      [&] { ops::reference::rotary(heads, table); });
  const at::Tensor gate_up = at::randn({kRows, 2 * kFfn}, kBFloat16);
  constexpr auto kSilu = DecoderConfig::Activation::kSilu;
  all.moves(
      "gated_activation 8192x11008",
      1.5 * bytes_of(gate_up),
      [&] { ops::gated_activation(gate_up, kSilu); },
      [&] { ops::reference::gated_activation(gate_up, kSilu); });
  const at::Tensor sources = at::randperm(kRows, kLong);
  all.moves(
      "gather_rows 8192x4096",
      2 * bytes_of(x),
      [&] { ops::gather_rows(x, x, sources); },
      [&] { at::index_select(x, 0, sources); });
}

// What reads several rows behind cached ones gathers these first.
void pages(Table& all) {
  constexpr int64_t kHeld = 4096;
  std::vector<at::Tensor> pages;
  for (int64_t i = 0; i < ops::blocks_for(kHeld); ++i)
    pages.push_back(at::randn({1, kHeads, 2, ops::kBlockSize, kWidth}, kBFloat16));
  const auto [keys, values] = ops::reference::read_from_blocks(pages, 0, 0, kHeld);
  const double bytes = 2 * (bytes_of(keys) + bytes_of(values));
  all.moves(
      "read_pages 4096x32x128",
      bytes,
      [&] { ops::read_from_blocks(pages, 0, 0, kHeld); },
      [&] { ops::reference::read_from_blocks(pages, 0, 0, kHeld); });
  all.moves(
      "write_pages 4096x32x128",
      bytes,
      [&] { ops::write_to_blocks(pages, 0, 0, keys, values); },
      [&] { ops::reference::write_to_blocks(pages, 0, 0, keys, values); });
}

// Decoding: one row of each sequence over `held` rows before it.
void paged_attention(Table& all, int64_t sequences, int64_t held, int64_t kv_heads) {
  const int64_t of_sequence = ops::blocks_for(held + 1);
  std::vector<at::Tensor> pages;
  std::vector<int64_t> addresses;
  for (int64_t i = 0; i < sequences * of_sequence; ++i) {
    pages.push_back(at::randn({1, kv_heads, 2, ops::kBlockSize, kWidth}, kBFloat16));
    addresses.push_back(reinterpret_cast<int64_t>(pages.back().data_ptr()));
  }
  const at::Tensor tables = at::tensor(addresses, at::kLong).to(at::kCUDA);
  const at::Tensor lengths = at::full({sequences}, held, kLong);
  const at::Tensor q = at::randn({sequences, kHeads, kWidth}, kFloat);
  const at::Tensor out = at::empty(q.sizes(), kBFloat16);
  const int64_t max_splits = (held + kernels::kKeysPerGpuSplit) / kernels::kKeysPerGpuSplit;
  const at::Tensor states = at::empty({sequences * kHeads * max_splits * (kWidth + 2)}, kFloat);
  const at::Tensor keys = at::randn({sequences, kv_heads, held + 1, kWidth}, kBFloat16);
  const at::Tensor values = at::randn_like(keys), query = q.unsqueeze(2).to(at::kBFloat16);
  all.moves(
      "paged_attention " + std::to_string(sequences) + "x" + std::to_string(held + 1) +
          ", 32 heads over " + std::to_string(kv_heads),
      2 * bytes_of(keys),
      [&] {
        kernels::cuda()->paged_attention(kernels::Element::kBFloat16,
                                         {q.const_data_ptr<float>(),
                                          {static_cast<void* const*>(tables.const_data_ptr()),
                                           lengths.const_data_ptr<int64_t>(),
                                           of_sequence,
                                           0},
                                          out.mutable_data_ptr(),
                                          states.mutable_data_ptr<float>(),
                                          kHeads,
                                          kv_heads,
                                          kWidth,
                                          max_splits,
                                          0,
                                          0.088f},
                                         sequences,
                                         ops::current_stream());
      },
      [&] {
        at::scaled_dot_product_attention(
            query, keys, values, {}, 0.0, false, {}, /*enable_gqa=*/kv_heads != kHeads);
      });
}

void products(Table& all) {
  const at::Tensor matrix = at::randn({2 * kFfn, kHidden}, kBFloat16) * 0.02;
  for (const int64_t rows : {1, 4, 8, 16}) {
    const at::Tensor x = at::randn({rows, kHidden}, kBFloat16);
    const std::string shape = " " + std::to_string(rows) + "x4096x22016";
    const auto aten = [&] { at::linear(x, matrix); };
    all.moves(
        "linear bfloat16" + shape, bytes_of(matrix), [&] { ops::linear(x, matrix); }, aten);
    for (const int64_t bits : {8, 4}) {
      ops::QuantizedWeight weight = ops::quantize(matrix.to(at::kFloat).cpu(), bits);
      for (at::Tensor* own : {&weight.codes, &weight.scales, &weight.mins})
        if (own->defined()) *own = own->to(at::kCUDA);
      all.moves(
          "linear int" + std::to_string(bits) + shape,
          bytes_of(weight.codes) + bytes_of(weight.scales) +
              (weight.mins.defined() ? bytes_of(weight.mins) : 0),
          [&] { ops::linear(x, weight); },
          aten);
    }
  }
}

void prefill(Table& all, int64_t queries, int64_t keys, int64_t sequences) {
  std::vector<int64_t> query_starts, key_starts;
  for (int64_t i = 0; i <= sequences; ++i) {
    query_starts.push_back(i * queries);
    key_starts.push_back(i * keys);
  }
  const ops::PackedSequences packed = ops::packed_sequences(query_starts, key_starts, at::kCUDA);
  const at::Tensor q = at::randn({sequences * queries, kHeads, kWidth}, kBFloat16);
  const at::Tensor k = at::randn({sequences * keys, kHeads, kWidth}, kBFloat16);
  const auto batch = [&](const at::Tensor& x) {
    return x.view({sequences, -1, kHeads, kWidth}).transpose(1, 2);
  };
  const double seen = static_cast<double>(queries) * (static_cast<double>(keys) - queries / 2.0);
  all.computes(
      "packed_attention " + std::to_string(sequences) + "x" + std::to_string(queries) + " over " +
          std::to_string(keys),
      4.0 * sequences * seen * kHeads * kWidth,
      [&] {
        ops::packed_attention(q, k, k, packed, {0.088, 0});
      },
      [&] {
        ops::dense_attention(batch(q), batch(k), batch(k), {0.088, 0});
      });
}

void sampling(Table& all) {
  for (const int64_t rows : {1, 16}) {
    const at::Tensor logits = at::randn({rows, kVocabulary}, kFloat) * 3;
    const std::vector<uint64_t> random(rows, uint64_t{1} << 63);
    all.moves(
        "sample " + std::to_string(rows) + "x128256, temperature 0.8, top-k 50, top-p 0.95",
        bytes_of(logits),
        [&] {
          ops::sample(logits, {0.8, 50, 0.95, 0}, random);
        },
        [&] {
          const auto [best, ids] = (logits / 0.8).topk(50);
          const at::Tensor shares = best.softmax(1);
          const at::Tensor kept = shares.masked_fill(shares.cumsum(1) - shares >= 0.95, 0);
          ids.gather(1, kept.multinomial(1)).cpu();
        });
  }
}

int run() {
  if (!at::hasCUDA()) {
    std::cerr << "gpu_bench: no GPU\n";
    return 1;
  }
  const c10::InferenceMode inference;
  at::manual_seed(1);
  Table all;
  elementwise(all);
  pages(all);
  for (const int64_t kv_heads : {32, 8}) {
    paged_attention(all, 1, 4095, kv_heads);
    paged_attention(all, 16, 4095, kv_heads);
  }
  products(all);
  prefill(all, 2048, 2048, 1);
  prefill(all, 512, 512, 32);
  prefill(all, 128, 640, 32);  // IC-Former: digests over their texts
  prefill(all, 128, 2176, 8);
  sampling(all);
  std::cout << all.json().dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace precis

int main() { return precis::run(); }
