// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <map>

#include "base/check.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "io/gguf_model.h"
#include "io/mapped_file.h"

namespace precis {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view hugging_face;
};

constexpr NamePair kGlobalNames[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};

constexpr NamePair kLayerNames[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

constexpr NamePair kPlainNorms[] = {{"ffn_norm", "post_attention_layernorm"}};

constexpr NamePair kSandwichNorms[] = {
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_norm", "pre_feedforward_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
};

std::optional<std::string_view> look_up(std::span<const NamePair> names, std::string_view name) {
  for (const NamePair& pair : names) {
    if (pair.gguf == name) return pair.hugging_face;
  }
  return std::nullopt;
}

// "blk.7.attn_q.weight" -> "model.layers.7.self_attn.q_proj.weight"
std::string hugging_face_name(const std::string& name, bool sandwich_norms) {
  if (const auto global = look_up(kGlobalNames, name)) return std::string(*global);
  const size_t number = name.find('.'), part = name.find('.', number + 1), kind = name.rfind('.');
  if (!name.starts_with("blk.") || part == std::string::npos || kind <= part) return name;
  const std::string_view middle = std::string_view(name).substr(part + 1, kind - part - 1);
  auto found = look_up(kLayerNames, middle);
  if (!found)
    found = sandwich_norms ? look_up(kSandwichNorms, middle) : look_up(kPlainNorms, middle);
  if (!found) return name;
  return concat("model.layers", name.substr(number, part - number + 1), *found, name.substr(kind));
}

// Rows first .. first + count, dequantised into the wanted dtype, a bounded number of rows at a
// time. Rows are counted over all dimensions but the last.
at::Tensor dequantized_rows(const GgufTensor& tensor,
                            int64_t first,
                            int64_t count,
                            c10::ScalarType dtype) {
  const int64_t width = tensor.shape.empty() ? 1 : tensor.shape.back();
  const size_t row_bytes = gguf_bytes(tensor.type, width);
  const auto bytes = tensor.bytes.subspan(first * row_bytes, count * row_bytes);
  at::Tensor out = at::empty({count, width}, dtype);
  constexpr int64_t kElementsPerTask = 1 << 16;
  const int64_t chunk = std::max<int64_t>(1, kElementsPerTask / width);
  const bool inference = c10::InferenceMode::is_enabled();
  for_ranges(count, chunk, [&](int64_t begin, int64_t end) {
    const c10::InferenceMode mode(inference);  // the mode in which `out` was created
    std::vector<float> scratch(chunk * width);
    for (int64_t row = begin; row < end; row += chunk) {
      const int64_t rows = std::min(chunk, end - row);
      const std::span<float> values(scratch.data(), rows * width);
      gguf_dequantize(tensor.type, bytes.subspan(row * row_bytes, rows * row_bytes), values);
      out.narrow(0, row, rows).copy_(at::from_blob(scratch.data(), {rows, width}, at::kFloat));
    }
  });
  release_pages(bytes);
  return out;
}

at::Tensor dequantized(const GgufTensor& tensor, c10::ScalarType dtype) {
  const int64_t width = tensor.shape.empty() ? 1 : tensor.shape.back();
  return dequantized_rows(tensor, 0, tensor.num_elements() / width, dtype).view(tensor.shape);
}

class GgufWeights final : public WeightSource {
 public:
  explicit GgufWeights(std::shared_ptr<const GgufFile> file)
      : file_(std::move(file)), origin_(file_->path().string()) {
    const std::string_view architecture = file_->string("general.architecture").value_or("");
    gemma_ = architecture == "gemma3";
    if (architecture == "llama") {
      heads_ = file_->integer("llama.attention.head_count").value_or(1);
      kv_heads_ = file_->integer("llama.attention.head_count_kv").value_or(heads_);
    }
    for (const GgufTensor& tensor : file_->tensors()) {
      if (tensor.name == "rope_freqs.weight") continue;  // a part of the configuration
      const bool fresh = tensors_.emplace(hugging_face_name(tensor.name, gemma_), &tensor).second;
      PRECIS_CHECK(fresh, kBadWeights, origin_, ": tensor ", tensor.name, " stands twice");
    }
  }

  const std::string& origin() const override { return origin_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_) all.push_back(name);
    return all;
  }
  const std::vector<int64_t>& shape(const std::string& name) const override {
    return tensors_.at(name)->shape;
  }

  at::Tensor load(const std::string& name, c10::ScalarType dtype) const override {
    const GgufTensor& tensor = *tensors_.at(name);
    if (gemma_ && name.ends_with("norm.weight"))
      return dequantized(tensor, at::kFloat).sub_(1.0).to(dtype);
    return unpermuted(dequantized(tensor, dtype), heads_of(name), tensor);
  }

  at::Tensor load_rows(const std::string& name,
                       int64_t first,
                       int64_t count,
                       c10::ScalarType dtype) const override {
    const GgufTensor& tensor = *tensors_.at(name);
    const bool gain = name.ends_with("norm.weight");
    const bool as_stored = tensor.shape.size() == 2 && heads_of(name) == 0 && !gain;
    return as_stored ? dequantized_rows(tensor, first, count, dtype)
                     : WeightSource::load_rows(name, first, count, dtype);
  }

  std::string fingerprint() const override {
    Hasher hasher;
    for (const auto& [name, tensor] : tensors_) {
      hasher.add(name);
      for (const int64_t size : tensor->shape) hasher.add(size);
      hasher.add(static_cast<int64_t>(tensor->type));
      hasher.add(tensor->bytes);
      release_pages(tensor->bytes);
    }
    return hasher.hex();
  }

 private:
  // Number of heads whose rows the file holds as interleaved pairs; 0: not interleaved.
  int64_t heads_of(const std::string& name) const {
    if (name.find("self_attn.q_proj.") != std::string::npos) return heads_;
    if (name.find("self_attn.k_proj.") != std::string::npos) return kv_heads_;
    return 0;
  }

  // Reorders interleaved pairs (2i, 2i + 1) to halves (i, i + head_dim / 2). heads == 0: no change.
  at::Tensor unpermuted(const at::Tensor& values, int64_t heads, const GgufTensor& tensor) const {
    if (heads == 0) return values;
    PRECIS_CHECK(values.size(0) % (2 * heads) == 0,
                 kBadWeights,
                 origin_,
                 ": ",
                 tensor.name,
                 " has ",
                 values.size(0),
                 " rows, no multiple of 2 x ",
                 heads,
                 " heads");
    return values.unflatten(0, {heads, -1, 2}).transpose(1, 2).flatten(0, 2).contiguous();
  }

  std::shared_ptr<const GgufFile> file_;
  std::string origin_;
  bool gemma_ = false;
  int64_t heads_ = 0;
  int64_t kv_heads_ = 0;
  std::map<std::string, const GgufTensor*> tensors_;
};

}  // namespace

std::shared_ptr<const WeightSource> gguf_weights(std::shared_ptr<const GgufFile> file) {
  return std::make_shared<GgufWeights>(std::move(file));
}

}  // namespace precis
