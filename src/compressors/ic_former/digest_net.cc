// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/digest_net.h"

#include "base/check.h"

namespace precis::ic_former {
namespace {

enum class Side { kNone, kHidden, kKeys, kFfn };

struct LayerTensor {
  const char* name;
  at::Tensor CrossAttentionLayer::*tensor;
  Side out;
  Side in;  // kNone: a norm weight
};

constexpr LayerTensor kLayerTensors[] = {
    {"cross_input_layernorm", &CrossAttentionLayer::digest_norm, Side::kHidden, Side::kNone},
    {"context_layernorm", &CrossAttentionLayer::context_norm, Side::kHidden, Side::kNone},
    {"cross_attn.q_proj", &CrossAttentionLayer::query, Side::kHidden, Side::kHidden},
    {"cross_attn.k_proj", &CrossAttentionLayer::key, Side::kKeys, Side::kHidden},
    {"cross_attn.v_proj", &CrossAttentionLayer::value, Side::kKeys, Side::kHidden},
    {"cross_attn.o_proj", &CrossAttentionLayer::output, Side::kHidden, Side::kHidden},
    {"post_attention_layernorm", &CrossAttentionLayer::mlp_norm, Side::kHidden, Side::kNone},
    {"mlp.gate_proj", &CrossAttentionLayer::gate, Side::kFfn, Side::kHidden},
    {"mlp.up_proj", &CrossAttentionLayer::up, Side::kFfn, Side::kHidden},
    {"mlp.down_proj", &CrossAttentionLayer::down, Side::kHidden, Side::kFfn},
};

constexpr char kNormName[] = "norm.weight";

std::string name_of(const LayerTensor& tensor, int64_t layer) {
  return concat("layers.", layer, ".", tensor.name, ".weight");
}

std::vector<int64_t> shape_of(const LayerTensor& tensor, const DigestNetSize& size) {
  const auto width = [&](Side side) {
    if (side == Side::kFfn) return size.ffn;
    return side == Side::kKeys && size.key_width > 0 ? size.key_width : size.hidden;
  };
  if (tensor.in == Side::kNone) return {width(tensor.out)};
  return {width(tensor.out), width(tensor.in)};
}

}  // namespace

DigestNet make_digest_net(
    const DigestNetSize& size,
    const std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>& make) {
  DigestNet net;
  for (int64_t i = 0; i < size.num_layers; ++i) {
    CrossAttentionLayer& layer = net.layers.emplace_back();
    for (const LayerTensor& tensor : kLayerTensors)
      layer.*tensor.tensor = make(name_of(tensor, i), shape_of(tensor, size));
  }
  net.norm = make(kNormName, {size.hidden});
  return net;
}

DigestNet load_digest_net(const Weights& weights, const DigestNetSize& size) {
  return make_digest_net(size, [&](const std::string& name, at::IntArrayRef shape) {
    return weights.take(name, shape);
  });
}

void for_each_tensor(
    const DigestNet& net,
    const std::function<void(const std::string& name, const at::Tensor& tensor)>& visit) {
  for (size_t i = 0; i < net.layers.size(); ++i) {
    for (const LayerTensor& tensor : kLayerTensors)
      visit(name_of(tensor, static_cast<int64_t>(i)), net.layers[i].*tensor.tensor);
  }
  visit(kNormName, net.norm);
}

}  // namespace precis::ic_former
