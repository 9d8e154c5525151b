// SPDX-License-Identifier: Apache-2.0
#include "models/executors/gpu_step.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "ops/kernel_arguments.h"
#include "ops/kv_blocks.h"

namespace precis::models {
namespace {

using ops::element_of;

const float* float_data(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<float>() : nullptr;
}

class Step {
 public:
  Step(const LayerStack& stack, const GpuStepInput& input, const Gpu& gpu)
      : stack_(stack),
        config_(stack.config),
        input_(input),
        gpu_(gpu),
        element_(element_of(input.x)),
        rows_(input.x.size(0)),
        // A copy, since layers add to it.
        x_(input.x.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)) {}

  at::Tensor run() {
    const DecoderLayer* previous = nullptr;
    at::Tensor change;  // output of the previous layer's MLP
    for (size_t i = 0; i < stack_.layers.size(); ++i) {
      const DecoderLayer& layer = stack_.layers[i];
      const at::Tensor normed =
          add_norm(change, previous ? previous->mlp_out_norm : at::Tensor(), layer.attention_norm);
      const at::Tensor attended = attend(layer, static_cast<int64_t>(i), layer.qkv(normed));
      change = layer.output(attended);
      const at::Tensor middle = add_norm(change, layer.attention_out_norm, layer.mlp_norm);
      change = layer.down(gated(layer.gate_up(middle)));
      previous = &layer;
    }
    const at::Tensor hidden = add_norm(change, previous->mlp_out_norm, stack_.final_norm);
    const char* const error = gpu_.kernels.error();
    PRECIS_CHECK(error == nullptr, kInternal, "decode_step: CUDA error: ", error);
    return hidden;
  }

 private:
  kernels::PagedCache cached(int64_t layer) const {
    return {static_cast<void* const*>(input_.blocks.const_data_ptr()),
            input_.lengths.const_data_ptr<int64_t>(),
            input_.blocks.size(1),
            layer};
  }

  // Adds a change, or its norm, to x; returns the norm of the sum.
  at::Tensor add_norm(const at::Tensor& change,
                      const at::Tensor& change_norm_weight,
                      const at::Tensor& norm_weight) const {
    const at::Tensor out = at::empty_like(input_.x);
    gpu_.kernels.add_rms_norm(element_,
                              {x_.mutable_data_ptr<float>(),
                               change.defined() ? change.const_data_ptr() : nullptr,
                               float_data(change_norm_weight),
                               norm_weight.const_data_ptr<float>(),
                               out.mutable_data_ptr(),
                               config_.hidden_size,
                               static_cast<float>(config_.rms_norm_epsilon)},
                              rows_,
                              gpu_.stream);
    return out;
  }

  // Concatenated outputs of the heads, [rows, heads * head_dim].
  at::Tensor attend(const DecoderLayer& layer, int64_t index, const at::Tensor& qkv) const {
    const int64_t heads = config_.num_heads, kv_heads = config_.num_kv_heads;
    const int64_t width = config_.head_dim;
    const ops::RotaryTable& table = input_.rotary.of(layer);
    const at::Tensor q = at::empty({rows_, heads, width}, x_.options());
    gpu_.kernels.rotary_append(element_,
                               {qkv.const_data_ptr(),
                                float_data(layer.q_norm),
                                float_data(layer.k_norm),
                                table.cos.const_data_ptr<float>(),
                                table.sin.const_data_ptr<float>(),
                                q.mutable_data_ptr<float>(),
                                cached(index),
                                heads,
                                kv_heads,
                                width,
                                static_cast<float>(config_.rms_norm_epsilon)},
                               rows_,
                               gpu_.stream);
    constexpr int64_t kKeysPerSplit = kernels::kKeysPerGpuSplit;
    const int64_t max_splits =
        (input_.blocks.size(1) * ops::kBlockSize + kKeysPerSplit - 1) / kKeysPerSplit;
    const at::Tensor states = at::empty({rows_ * heads * max_splits * (width + 2)}, x_.options());
    const at::Tensor out = at::empty({rows_, heads * width}, input_.x.options());
    gpu_.kernels.paged_attention(element_,
                                 {q.const_data_ptr<float>(),
                                  cached(index),
                                  out.mutable_data_ptr(),
                                  states.mutable_data_ptr<float>(),
                                  heads,
                                  kv_heads,
                                  width,
                                  max_splits,
                                  layer.windowed ? config_.window : 0,
                                  static_cast<float>(config_.attention_scale)},
                                 rows_,
                                 gpu_.stream);
    return out;
  }

  at::Tensor gated(const at::Tensor& gate_up) const {
    const at::Tensor out = at::empty({rows_, config_.ffn_size}, input_.x.options());
    gpu_.kernels.gated_activation(element_,
                                  {gate_up.const_data_ptr(),
                                   out.mutable_data_ptr(),
                                   config_.ffn_size,
                                   config_.activation == DecoderConfig::Activation::kGeluTanh},
                                  rows_,
                                  gpu_.stream);
    return out;
  }

  const LayerStack& stack_;
  const DecoderConfig& config_;
  const GpuStepInput& input_;
  const Gpu& gpu_;
  kernels::Element element_;
  int64_t rows_;
  at::Tensor x_;  // [rows, hidden] float32: the residual stream
};

void check(const LayerStack& stack, const GpuStepInput& input) {
  const int64_t rows = input.x.dim() == 2 ? input.x.size(0) : 0;
  PRECIS_CHECK(rows > 0 && input.x.size(1) == stack.config.hidden_size && input.x.is_contiguous(),
               kInvalidArgument,
               "decode_step: embeddings ",
               input.x.sizes(),
               " of a model of hidden size ",
               stack.config.hidden_size);
  const auto table_fits = [&](const at::Tensor& table, int64_t columns) {
    return table.dim() == 2 && table.size(0) == rows &&
           (columns == 0 || table.size(1) == columns) && table.is_contiguous() &&
           table.device() == input.x.device();
  };
  for (const ops::RotaryTable* table : {&input.rotary.global, &input.rotary.local}) {
    for (const at::Tensor& half : {table->cos, table->sin})
      PRECIS_CHECK(table_fits(half, stack.config.head_dim / 2) && half.scalar_type() == at::kFloat,
                   kInvalidArgument,
                   "decode_step: embeddings ",
                   input.x.sizes(),
                   " do not fit a rotary table ",
                   half.sizes());
  }
  PRECIS_CHECK(table_fits(input.blocks, 0) && input.blocks.scalar_type() == at::kLong &&
                   table_fits(input.lengths.unsqueeze(-1), 1) &&
                   input.lengths.scalar_type() == at::kLong,
               kInvalidArgument,
               "decode_step: blocks ",
               input.blocks.sizes(),
               " and lengths ",
               input.lengths.sizes(),
               " of ",
               rows,
               " sequences");
}

}  // namespace

bool gpu_step_applies(const LayerStack& stack,
                      const at::Tensor& x,
                      const kernels::CudaKernelTable& kernels) {
  const bool known = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  const int64_t width = stack.config.head_dim;
  if (!known || stack.layers.empty() || width % 2 != 0 || width > kernels.widest_head) return false;
  const DecoderLayer& layer = stack.layers.front();  // the others are alike
  const std::initializer_list<const Linear*> all{
      &layer.qkv, &layer.output, &layer.gate_up, &layer.down};
  return std::all_of(all.begin(), all.end(), [&](const Linear* linear) {
    const at::Tensor& own = linear->weight.defined() ? linear->weight : linear->bias;
    return !own.defined() || own.scalar_type() == x.scalar_type();
  });
}

at::Tensor gpu_step(const LayerStack& stack, const GpuStepInput& input, const Gpu& gpu) {
  check(stack, input);
  return Step(stack, input, gpu).run();
}

}  // namespace precis::models
