// SPDX-License-Identifier: Apache-2.0
#include "models/executors/cpu_team.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "base/parallel.h"
#include "models/executors/new_tokens.h"
#include "ops/block_table.h"
#include "ops/kernel_arguments.h"
#include "ops/linear.h"
#include "ops/quantized_linear.h"

namespace precis::models {
namespace {

using kernels::Element;
using ops::block_of_codes;
using ops::element_of;
using ops::kernel_matrix;
using ops::row_grain;

const float* data(const at::Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

int64_t outputs_of(const Linear& linear) {
  return linear.quantized.defined() ? linear.quantized.outputs() : linear.weight.size(0);
}

int64_t width_of(const Linear& linear) {
  return linear.quantized.defined() ? linear.quantized.width() : linear.weight.size(1);
}

// Divides one allocation. Before start() it only adds up sizes.
class Scratch {
 public:
  float* floats(int64_t count) {
    float* const begin = begin_ == nullptr ? nullptr : begin_ + used_;
    used_ += (count + kAlignment - 1) / kAlignment * kAlignment;
    return begin;
  }
  int64_t used() const { return used_; }
  // Memory is handed out from `begin` on.
  void start(float* begin) {
    begin_ = begin;
    used_ = 0;
  }

 private:
  static constexpr int64_t kAlignment = 16;  // a cache line
  float* begin_ = nullptr;
  int64_t used_ = 0;
};

// Inputs in the layouts that products read. All products share them, since no two run at once.
struct ProductRows {
  float* pairs;  // bfloat16
  int16_t* codes;
  float* scales;
  float* sums;
};

// Kernels only get addresses, so that they cannot check the cache's dtype and device.
void check_blocks(const at::Tensor& x, const KvCache& cache, int64_t sequence) {
  const at::Tensor& block = cache.blocks(sequence).front();
  PRECIS_CHECK(block.scalar_type() == x.scalar_type() && block.is_cpu(),
               kInvalidArgument,
               "decoder: the tokens are ",
               at::toString(x.scalar_type()),
               ", the cache ",
               at::toString(block.scalar_type()),
               " on ",
               block.device().str(),
               "; expected a cache in the tokens' dtype, on the CPU");
}

class Step {
 public:
  // views: of each sequence, including its new token.
  Step(const LayerStack& stack,
       const std::vector<CpuTeam::Biases>& biases,
       const DecoderInput& input,
       const std::vector<KvView>& views)
      : stack_(stack),
        config_(stack.config),
        biases_(biases),
        x_in_(input.embeddings),
        rotary_(rotary_tables(stack, input.positions)),
        num_tokens_(x_in_.size(0)),
        element_(element_of(x_in_)) {
    std::vector<int64_t> cu_seqlens;
    for (int64_t i = 0; i <= num_tokens_; ++i) cu_seqlens.push_back(i);
    table_ = ops::block_table(views, cu_seqlens, 0);
    if (has_windows()) windowed_table_ = ops::block_table(views, cu_seqlens, config_.window);
    lay_out();
    scratch_memory_ = at::empty({scratch_.used()}, at::kFloat);
    scratch_.start(scratch_memory_.mutable_data_ptr<float>());
    lay_out();
    find_places(views);
  }

  at::Tensor run() {
    const at::Tensor first = x_in_.to(at::kFloat).contiguous();
    std::copy_n(first.const_data_ptr<float>(), first.numel(), x_);
    run_team(most_ranges(), [this](TeamMember& team) {
      for (size_t i = 0; i < stack_.layers.size(); ++i) layer(static_cast<int64_t>(i), team);
      const int64_t last = std::ssize(stack_.layers) - 1;
      add_and_norm(team, change_of_mlp(last), stack_.final_norm, nullptr);
    });
    return at::from_blob(normed_, {num_tokens_, config_.hidden_size}, at::kFloat)
        .to(x_in_.options(), /*non_blocking=*/false, /*copy=*/true);
  }

 private:
  bool has_windows() const {
    return config_.window > 0 &&
           std::any_of(stack_.layers.begin(), stack_.layers.end(), [](const DecoderLayer& layer) {
             return layer.windowed;
           });
  }

  const ops::BlockTable& table_of(const DecoderLayer& layer) const {
    return layer.windowed && config_.window > 0 ? windowed_table_ : table_;
  }

  // Most threads that have work in the widest product.
  int64_t most_ranges() const {
    const Linear& widest = stack_.layers.front().gate_up;
    const int64_t together = widest.quantized.defined() ? kernels::kOutputsPerTile : 1;
    const int64_t units = outputs_of(widest) / together;
    return units / row_grain(together * width_of(widest)) + 1;
  }

  void lay_out() {
    const int64_t hidden = config_.hidden_size, heads = config_.num_heads * config_.head_dim;
    const int64_t widest = std::max({hidden, heads, config_.ffn_size});
    const int64_t groups = (widest + kernels::kQuantizedGroup - 1) / kernels::kQuantizedGroup;
    x_ = scratch_.floats(num_tokens_ * hidden);
    normed_ = scratch_.floats(num_tokens_ * hidden);
    change_ = scratch_.floats(num_tokens_ * hidden);
    qkv_ = scratch_.floats(num_tokens_ * (heads + 2 * config_.num_kv_heads * config_.head_dim));
    q_ = scratch_.floats(num_tokens_ * heads);
    attended_ = scratch_.floats(num_tokens_ * heads);
    gate_up_ = scratch_.floats(num_tokens_ * 2 * config_.ffn_size);
    gated_ = scratch_.floats(num_tokens_ * config_.ffn_size);
    states_ = scratch_.floats(num_tokens_ * config_.num_heads * table_.max_splits *
                              (config_.head_dim + 2));
    product_rows_.pairs = scratch_.floats(num_tokens_ * widest);
    product_rows_.codes = reinterpret_cast<int16_t*>(product_rows_.pairs);  // never both
    product_rows_.scales = scratch_.floats(num_tokens_ * groups);
    product_rows_.sums = scratch_.floats(num_tokens_ * groups);
  }

  // Addresses of the new tokens' keys and values in the first head, layer by layer.
  void find_places(const std::vector<KvView>& views) {
    const auto size = static_cast<int64_t>(x_in_.element_size()) * config_.head_dim;
    for (int64_t layer = 0; layer < std::ssize(stack_.layers); ++layer) {
      for (const KvView& view : views) {
        const int64_t token = view.length - 1;
        const at::Tensor& block = view.blocks[token / kernels::kBlockSize];
        const auto place = [&](int64_t kind) {
          const int64_t head = 2 * layer * config_.num_kv_heads + kind;
          return static_cast<char*>(block.data_ptr()) +
                 (head * kernels::kBlockSize + token % kernels::kBlockSize) * size;
        };
        keys_.push_back(place(0));
        values_.push_back(place(1));
      }
    }
    strides_.assign(num_tokens_, 2 * kernels::kBlockSize * config_.head_dim);
  }

  void layer(int64_t index, TeamMember& team) {
    const DecoderLayer& own = stack_.layers[index];
    add_and_norm(team, change_of_mlp(index - 1), own.attention_norm, &own.qkv);
    const CpuTeam::Biases& biases = biases_[index];
    multiply(team, own.qkv, biases[0], normed_, qkv_);
    attend(index, team);
    multiply(team, own.output, biases[1], attended_, change_);
    add_and_norm(team, {change_, data(own.attention_out_norm)}, own.mlp_norm, &own.gate_up);
    multiply(team, own.gate_up, biases[2], normed_, gate_up_);
    const int64_t ffn = config_.ffn_size;
    team.for_ranges(num_tokens_, 1, [&](int64_t first, int64_t last) {
      const bool gelu = config_.activation == DecoderConfig::Activation::kGeluTanh;
      kernels::cpu().gated_activation(
          Element::kFloat32, {gate_up_, gated_, ffn, gelu}, first, last);
      prepare(own.down, gated_, first, last);
    });
    multiply(team, own.down, biases[3], gated_, change_);
  }

  // What attention or MLP adds to x.
  struct Change {
    float* values;             // null: no change
    const float* norm_weight;  // null: no norm of its own
  };

  // The change by a layer's MLP. There is none before the first layer.
  Change change_of_mlp(int64_t layer) const {
    if (layer < 0) return {nullptr, nullptr};
    return {change_, data(stack_.layers[layer].mlp_out_norm)};
  }

  // x += change; normed = norm of x, prepared for the product that reads it (null: none).
  void add_and_norm(TeamMember& team,
                    Change change,
                    const at::Tensor& norm_weight,
                    const Linear* reader) {
    const int64_t hidden = config_.hidden_size;
    const auto epsilon = static_cast<float>(config_.rms_norm_epsilon);
    const auto norm =
        [&](const float* from, const float* by, float* to, int64_t first, int64_t last) {
          kernels::cpu().rms_norm(Element::kFloat32, {from, by, to, hidden, epsilon}, first, last);
        };
    team.for_ranges(num_tokens_, 1, [&](int64_t first, int64_t last) {
      if (change.norm_weight != nullptr)
        norm(change.values, change.norm_weight, change.values, first, last);
      for (int64_t i = first * hidden; change.values != nullptr && i < last * hidden; ++i)
        x_[i] += change.values[i];
      norm(x_, data(norm_weight), normed_, first, last);
      if (reader != nullptr) prepare(*reader, normed_, first, last);
    });
  }

  void attend(int64_t index, TeamMember& team) {
    const DecoderLayer& own = stack_.layers[index];
    const ops::RotaryTable& rotary = rotary_.of(own);
    const int64_t begin = index * num_tokens_;
    const kernels::RotaryAppendArguments append{qkv_,
                                                data(own.q_norm),
                                                data(own.k_norm),
                                                data(rotary.cos),
                                                data(rotary.sin),
                                                q_,
                                                keys_.data() + begin,
                                                values_.data() + begin,
                                                strides_.data(),
                                                config_.num_heads,
                                                config_.num_kv_heads,
                                                config_.head_dim,
                                                static_cast<float>(config_.rms_norm_epsilon)};
    team.for_ranges(num_tokens_, 1, [&](int64_t first, int64_t last) {
      kernels::cpu().rotary_append(element_, append, first, last);
    });
    const ops::BlockTable& table = table_of(own);
    const kernels::BlockAttentionArguments attention{q_,
                                                     table.blocks.data(),
                                                     table.readers.data(),
                                                     table.num_splits.data(),
                                                     attended_,
                                                     states_,
                                                     index,
                                                     config_.num_heads,
                                                     config_.num_kv_heads,
                                                     config_.head_dim,
                                                     table.max_splits,
                                                     static_cast<float>(config_.attention_scale)};
    team.for_ranges(
        std::ssize(table.blocks) * config_.num_kv_heads, 1, [&](int64_t first, int64_t last) {
          kernels::cpu().block_attention(element_, attention, first, last);
        });
    const int64_t merged = table.max_splits * config_.head_dim;  // elements
    team.for_ranges(
        num_tokens_ * config_.num_heads, row_grain(merged), [&](int64_t first, int64_t last) {
          kernels::cpu().merge_block_attention(attention, first, last);
        });
    team.for_ranges(num_tokens_, 1, [&](int64_t first, int64_t last) {
      prepare(own.output, attended_, first, last);
    });
  }

  // Converts tokens first .. last - 1 of x to the layout that the product with `linear` reads.
  void prepare(const Linear& linear, const float* x, int64_t first, int64_t last) const {
    const int64_t width = width_of(linear);
    if (linear.quantized.defined()) {
      float* const sums = linear.quantized.bits == 4 ? product_rows_.sums : nullptr;
      kernels::cpu().quantize_rows(Element::kFloat32,
                                   {x,
                                    product_rows_.codes,
                                    product_rows_.scales,
                                    sums,
                                    width,
                                    block_of_codes(linear.quantized)},
                                   first,
                                   last);
    } else if (linear.weight.scalar_type() == at::kBFloat16) {
      kernels::cpu().deinterleave_pairs({x, product_rows_.pairs, width}, first, last);
    }
  }

  void multiply(TeamMember& team,
                const Linear& linear,
                const at::Tensor& bias,
                const float* x,
                float* out) const {
    const int64_t width = width_of(linear), outputs = outputs_of(linear);
    if (linear.quantized.defined()) {
      const kernels::QuantizedLinearArguments arguments{kernel_matrix(linear.quantized),
                                                        product_rows_.codes,
                                                        product_rows_.scales,
                                                        product_rows_.sums,
                                                        data(bias),
                                                        out,
                                                        num_tokens_,
                                                        outputs,
                                                        block_of_codes(linear.quantized)};
      const int64_t grain = row_grain(kernels::kOutputsPerTile * width);
      team.for_ranges(arguments.tiles(), grain, [&](int64_t first, int64_t last) {
        kernels::cpu().quantized_linear(arguments, first, last);
      });
      return;
    }
    const Element element = element_of(linear.weight);
    const kernels::LinearArguments arguments{element == Element::kFloat32 ? x : product_rows_.pairs,
                                             linear.weight.const_data_ptr(),
                                             data(bias),
                                             out,
                                             num_tokens_,
                                             width,
                                             outputs};
    team.for_ranges(outputs, row_grain(width), [&](int64_t first, int64_t last) {
      kernels::cpu().linear(element, arguments, first, last);
    });
  }

  const LayerStack& stack_;
  const DecoderConfig& config_;
  const std::vector<CpuTeam::Biases>& biases_;
  const at::Tensor& x_in_;
  RotaryTables rotary_;
  int64_t num_tokens_;
  Element element_;  // of the cache
  ops::BlockTable table_;
  ops::BlockTable windowed_table_;  // empty: no layer has a window
  Scratch scratch_;
  at::Tensor scratch_memory_;
  float *x_, *normed_, *change_, *qkv_, *q_, *attended_, *gate_up_, *gated_, *states_;
  ProductRows product_rows_;
  std::vector<void*> keys_, values_;  // addresses of the new tokens, layer * num_tokens + token
  std::vector<int64_t> strides_;      // [num_tokens]
};

at::Tensor in_float(const at::Tensor& bias) {
  return bias.defined() ? bias.to(at::kFloat).contiguous() : at::Tensor();
}

}  // namespace

CpuTeam::CpuTeam(const LayerStack& stack) : stack_(stack) {
  for (const DecoderLayer& layer : stack.layers) {
    Biases& own = biases_.emplace_back();
    const auto linears = layer.linears();
    std::transform(linears.begin(), linears.end(), own.begin(), [](const Linear* linear) {
      return in_float(linear->bias);
    });
  }
}

bool CpuTeam::applies(const at::Tensor& x) const {
  if (stack_.layers.empty() || !ops::kernel_applies(x)) return false;
  const auto linears = stack_.layers.front().linears();  // the others are alike
  return std::all_of(linears.begin(), linears.end(), [&](const Linear* linear) {
    const at::Tensor& weight = linear->weight;
    if (!ops::kernel_applies(x, {weight, linear->quantized.codes, linear->bias})) return false;
    return weight.defined()
               ? weight.scalar_type() == x.scalar_type() && ops::linear_by_kernel(x, weight)
               : x.size(0) <= ops::kFewQuantizedRows;
  });
}

at::Tensor CpuTeam::run(const DecoderInput& input, KvCache& cache) const {
  return with_new_tokens(input, cache, stack_.config, [&](const std::vector<int64_t>& lengths) {
    std::vector<KvView> views;
    for (size_t i = 0; i < lengths.size(); ++i) {
      check_blocks(input.embeddings, cache, input.cache_sequences[i]);
      views.push_back(cache.view(0, input.cache_sequences[i], lengths[i] + 1));
    }
    return Step(stack_, biases_, input, views).run();
  });
}

}  // namespace precis::models
