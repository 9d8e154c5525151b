// SPDX-License-Identifier: Apache-2.0
#include "models/executors/cpu_team.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "base/parallel.h"
#include "ops/kernel_arguments.h"
#include "ops/linear.h"
#include "ops/quantized_linear.h"

namespace precis::ops {
namespace {

using kernels::Element;

const float* data(const at::Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

int64_t outputs_of(const StepLinear& linear) {
  return linear.quantized.defined() ? linear.quantized.outputs() : linear.weight.size(0);
}

int64_t width_of(const StepLinear& linear) {
  return linear.quantized.defined() ? linear.quantized.width() : linear.weight.size(1);
}

// Hands out parts of one allocation.
class Scratch {
 public:
  float* floats(int64_t count) {
    float* const begin = begin_ == nullptr ? nullptr : begin_ + used_;
    used_ += (count + kAlignment - 1) / kAlignment * kAlignment;
    return begin;
  }
  int64_t used() const { return used_; }
  // From now on what is handed out lies there.
  void start(float* begin) {
    begin_ = begin;
    used_ = 0;
  }

 private:
  static constexpr int64_t kAlignment = 16;  // a cache line
  float* begin_ = nullptr;
  int64_t used_ = 0;
};

// Rows as products read them: one set for all, since no two products run at once.
struct ProductRows {
  float* pairs;  // bfloat16
  int16_t* codes;
  float* scales;
  float* sums;
};

void check(const StepModel& model, const StepInput& input) {
  const DecoderConfig& config = model.config;
  const at::Tensor& x = input.x;
  PRECIS_CHECK(x.dim() == 2 && x.size(1) == config.hidden_size &&
                   std::ssize(input.cached) == x.size(0) * std::ssize(model.layers),
               kInvalidArgument,
               "decode_step: rows ",
               x.sizes(),
               " with the caches of ",
               input.cached.size(),
               " layers of sequences");
  for (const RotaryTable* table : {&input.rotary, &input.local_rotary}) {
    for (const at::Tensor& half : {table->cos, table->sin}) {
      PRECIS_CHECK(half.dim() == 2 && half.size(0) == x.size(0) &&
                       2 * half.size(1) == config.head_dim && half.is_contiguous() &&
                       half.scalar_type() == at::kFloat && half.is_cpu(),
                   kInvalidArgument,
                   "decode_step: rows ",
                   x.sizes(),
                   " against a table ",
                   half.sizes());
    }
  }
  for (const StepCache& own : input.cached) {
    for (const at::Tensor& buffer : {own.keys, own.values}) {
      PRECIS_CHECK(buffer.dim() == 3 && buffer.size(0) == config.num_kv_heads &&
                       buffer.size(2) == config.head_dim && own.length >= 0 &&
                       own.length < buffer.size(1) && buffer.size(1) == own.keys.size(1) &&
                       buffer.is_contiguous() && buffer.scalar_type() == x.scalar_type() &&
                       buffer.is_cpu(),
                   kInvalidArgument,
                   "decode_step: a cache ",
                   buffer.sizes(),
                   " has no room for row ",
                   own.length,
                   " of ",
                   config.num_kv_heads,
                   " heads of ",
                   config.head_dim,
                   " in the rows' dtype");
    }
  }
}

class Step {
 public:
  Step(const StepModel& model, const StepInput& input)
      : model_(model),
        config_(model.config),
        input_(input),
        rows_(input.x.size(0)),
        element_(element_of(input.x)),
        parts_(parts_of(most_keys(input.cached))) {
    lay_out();
    scratch_memory_ = at::empty({scratch_.used()}, at::kFloat);
    scratch_.start(scratch_memory_.mutable_data_ptr<float>());
    lay_out();
    find_cache_places();
  }

  at::Tensor run() {
    const at::Tensor first = input_.x.to(at::kFloat).contiguous();
    std::copy_n(first.const_data_ptr<float>(), first.numel(), x_);
    run_team(most_ranges(), [this](TeamMember& team) {
      for (size_t i = 0; i < model_.layers.size(); ++i) layer(static_cast<int64_t>(i), team);
      const int64_t last = std::ssize(model_.layers) - 1;
      add_and_norm(team, change_of_mlp(last), model_.final_norm, nullptr);
    });
    return at::from_blob(normed_, {rows_, config_.hidden_size}, at::kFloat)
        .to(input_.x.options(), /*non_blocking=*/false, /*copy=*/true);
  }

 private:
  static int64_t parts_of(int64_t keys) {
    return (keys + kernels::kKeysPerPart - 1) / kernels::kKeysPerPart;
  }

  // The new one included.
  static int64_t most_keys(const std::vector<StepCache>& cached) {
    int64_t most = 1;
    for (const StepCache& own : cached) most = std::max(most, own.length + 1);
    return most;
  }

  // More threads than the longest product has ranges would have nothing to do.
  int64_t most_ranges() const {
    const StepLinear& widest = model_.layers.front().gate_up;
    const int64_t together = widest.quantized.defined() ? kernels::kOutputsPerTile : 1;
    const int64_t parts = outputs_of(widest) / together;
    return parts / row_grain(together * width_of(widest)) + 1;
  }

  // 0: none.
  int64_t window_of(const StepLayer& layer) const { return layer.windowed ? config_.window : 0; }

  void lay_out() {
    const int64_t hidden = config_.hidden_size, heads = config_.num_heads * config_.head_dim;
    const int64_t widest = std::max({hidden, heads, config_.ffn_size});
    const int64_t groups = (widest + kernels::kQuantizedGroup - 1) / kernels::kQuantizedGroup;
    x_ = scratch_.floats(rows_ * hidden);
    normed_ = scratch_.floats(rows_ * hidden);
    change_ = scratch_.floats(rows_ * hidden);
    qkv_ = scratch_.floats(rows_ * (heads + 2 * config_.num_kv_heads * config_.head_dim));
    q_ = scratch_.floats(rows_ * heads);
    attended_ = scratch_.floats(rows_ * heads);
    gate_up_ = scratch_.floats(rows_ * 2 * config_.ffn_size);
    gated_ = scratch_.floats(rows_ * config_.ffn_size);
    states_ = scratch_.floats(rows_ * config_.num_heads * parts_ * (config_.head_dim + 2));
    product_rows_.pairs = scratch_.floats(rows_ * widest);
    product_rows_.codes = reinterpret_cast<int16_t*>(product_rows_.pairs);  // never both
    product_rows_.scales = scratch_.floats(rows_ * groups);
    product_rows_.sums = scratch_.floats(rows_ * groups);
  }

  void find_cache_places() {
    const int64_t size = config_.head_dim * static_cast<int64_t>(input_.x.element_size());
    for (const StepCache& own : input_.cached) {
      const auto place = [&](const at::Tensor& buffer) {
        return static_cast<char*>(buffer.mutable_data_ptr()) + own.length * size;
      };
      keys_.push_back(place(own.keys));
      values_.push_back(place(own.values));
      strides_.push_back(own.keys.stride(0));
      const int64_t window = window_of(model_.layers[seen_.size() / rows_]);
      seen_.push_back({own.keys.const_data_ptr(),
                       own.values.const_data_ptr(),
                       own.keys.stride(0),
                       window > 0 ? std::max<int64_t>(0, own.length + 1 - window) : 0,
                       own.length + 1});
    }
  }

  void layer(int64_t index, TeamMember& team) {
    const StepLayer& own = model_.layers[index];
    add_and_norm(team, change_of_mlp(index - 1), own.attention_norm, &own.qkv);
    multiply(team, own.qkv, normed_, qkv_);
    attend(index, team);
    multiply(team, own.output, attended_, change_);
    add_and_norm(team, {change_, data(own.attention_out_norm)}, own.mlp_norm, &own.gate_up);
    multiply(team, own.gate_up, normed_, gate_up_);
    const int64_t ffn = config_.ffn_size;
    team.for_ranges(rows_, 1, [&](int64_t first, int64_t last) {
      const bool gelu = config_.activation == DecoderConfig::Activation::kGeluTanh;
      kernels::cpu().gated_activation(
          Element::kFloat32, {gate_up_, gated_, ffn, gelu}, first, last);
      prepare(own.down, gated_, first, last);
    });
    multiply(team, own.down, gated_, change_);
  }

  // What a block adds to the rows.
  struct Change {
    float* rows;        // null: nothing yet
    const float* gain;  // null: no norm of its own
  };

  // Of the layer's MLP; before the first layer there is none.
  Change change_of_mlp(int64_t layer) const {
    if (layer < 0) return {nullptr, nullptr};
    return {change_, data(model_.layers[layer].mlp_out_norm)};
  }

  // x += change, then its norm, made ready for the product that reads it (null: none).
  void add_and_norm(TeamMember& team,
                    Change change,
                    const at::Tensor& gain,
                    const StepLinear* reader) {
    const int64_t hidden = config_.hidden_size;
    const auto epsilon = static_cast<float>(config_.rms_norm_epsilon);
    const auto norm =
        [&](const float* from, const float* by, float* to, int64_t first, int64_t last) {
          kernels::cpu().rms_norm(Element::kFloat32, {from, by, to, hidden, epsilon}, first, last);
        };
    team.for_ranges(rows_, 1, [&](int64_t first, int64_t last) {
      if (change.gain != nullptr) norm(change.rows, change.gain, change.rows, first, last);
      for (int64_t i = first * hidden; change.rows != nullptr && i < last * hidden; ++i)
        x_[i] += change.rows[i];
      norm(x_, data(gain), normed_, first, last);
      if (reader != nullptr) prepare(*reader, normed_, first, last);
    });
  }

  void attend(int64_t index, TeamMember& team) {
    const StepLayer& own = model_.layers[index];
    const RotaryTable& table = own.windowed ? input_.local_rotary : input_.rotary;
    const int64_t begin = index * rows_;
    const kernels::RotaryAppendArguments append{qkv_,
                                                data(own.q_norm),
                                                data(own.k_norm),
                                                data(table.cos),
                                                data(table.sin),
                                                q_,
                                                keys_.data() + begin,
                                                values_.data() + begin,
                                                strides_.data() + begin,
                                                config_.num_heads,
                                                config_.num_kv_heads,
                                                config_.head_dim,
                                                static_cast<float>(config_.rms_norm_epsilon)};
    team.for_ranges(rows_, 1, [&](int64_t first, int64_t last) {
      kernels::cpu().rotary_append(element_, append, first, last);
    });
    const int64_t window = window_of(own);
    const int64_t parts = window > 0 ? std::min(parts_, parts_of(window)) : parts_;
    const kernels::DecodeAttentionArguments attention{q_,
                                                      seen_.data() + begin,
                                                      attended_,
                                                      states_,
                                                      config_.num_heads,
                                                      config_.num_kv_heads,
                                                      config_.head_dim,
                                                      parts,
                                                      static_cast<float>(config_.attention_scale)};
    team.for_ranges(rows_ * config_.num_kv_heads * parts, 1, [&](int64_t first, int64_t last) {
      kernels::cpu().decode_attention(element_, attention, first, last);
    });
    const int64_t merged = parts * config_.head_dim;  // elements
    team.for_ranges(rows_ * config_.num_heads, row_grain(merged), [&](int64_t first, int64_t last) {
      kernels::cpu().merge_decode_attention(attention, first, last);
    });
    team.for_ranges(rows_, 1, [&](int64_t first, int64_t last) {
      prepare(own.output, attended_, first, last);
    });
  }

  // Rows of x as the product by `linear` reads them.
  void prepare(const StepLinear& linear, const float* x, int64_t first, int64_t last) const {
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

  void multiply(TeamMember& team, const StepLinear& linear, const float* x, float* out) const {
    const int64_t width = width_of(linear), outputs = outputs_of(linear);
    if (linear.quantized.defined()) {
      const kernels::QuantizedLinearArguments arguments{kernel_matrix(linear.quantized),
                                                        product_rows_.codes,
                                                        product_rows_.scales,
                                                        product_rows_.sums,
                                                        data(linear.bias),
                                                        out,
                                                        rows_,
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
                                             data(linear.bias),
                                             out,
                                             rows_,
                                             width,
                                             outputs};
    team.for_ranges(outputs, row_grain(width), [&](int64_t first, int64_t last) {
      kernels::cpu().linear(element, arguments, first, last);
    });
  }

  const StepModel& model_;
  const DecoderConfig& config_;
  const StepInput& input_;
  int64_t rows_;
  Element element_;  // of the caches
  int64_t parts_;    // of the longest sequence
  Scratch scratch_;
  at::Tensor scratch_memory_;
  float *x_, *normed_, *change_, *qkv_, *q_, *attended_, *gate_up_, *gated_, *states_;
  ProductRows product_rows_;
  std::vector<void*> keys_, values_;  // places of the new rows, layer * rows + row
  std::vector<int64_t> strides_;
  std::vector<kernels::CachedRows> seen_;
};

}  // namespace

bool decode_step_applies(const StepModel& model, const at::Tensor& x) {
  if (model.layers.empty()) return false;
  const StepLayer& layer = model.layers.front();  // the others are alike
  for (const StepLinear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
    const at::Tensor &weight = linear->weight, &codes = linear->quantized.codes;
    if (!kernel_applies(x, {weight, codes, linear->bias})) return false;
    const bool few = weight.defined()
                         ? weight.scalar_type() == x.scalar_type() && linear_by_kernel(x, weight)
                         : x.size(0) <= kFewQuantizedRows;
    if (!few) return false;
  }
  return true;
}

at::Tensor decode_step(const StepModel& model, const StepInput& input) {
  check(model, input);
  return Step(model, input).run();
}

}  // namespace precis::ops
