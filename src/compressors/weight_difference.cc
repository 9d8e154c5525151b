// SPDX-License-Identifier: Apache-2.0
#include "compressors/weight_difference.h"

#include <ATen/ATen.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "compressors/published_weights.h"
#include "io/json_file.h"
#include "io/safetensors.h"
#include "io/safetensors_shards.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kRotaryTable = "rotary_emb.inv_freq";
constexpr double kSumTolerance = 1e-2;  // as in the authors' code

// Files that are copied if the base has them; none of them names weights.
constexpr const char* kCopiedFiles[] = {"tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "generation_config.json"};

bool is_rotary_table(std::string_view name) { return name.ends_with(kRotaryTable); }
bool has_new_row(std::string_view name) { return name == kEmbedding || name == kHead; }

struct BaseConfig {
  nlohmann::json json;
  int64_t vocab_size;
  int64_t head_dim;
  double rope_base;
};

BaseConfig read_base_config(const fs::path& base) {
  const fs::path file = base / "config.json";
  BaseConfig config{read_json(file), 0, 0, 0};
  PRECIS_CHECK(config.json.is_object(), kBadWeights, file.string(), ": not a JSON object");
  try {
    PRECIS_CHECK(!config.json.value("tie_word_embeddings", false),
                 kUnsupported,
                 file.string(),
                 ": the head is tied to the embedding, expected one of its own to add to");
    config.vocab_size = config.json.at("vocab_size");
    config.head_dim = config.json.at("hidden_size").get<int64_t>() /
                      std::max<int64_t>(1, config.json.at("num_attention_heads"));
    config.rope_base = config.json.value("rope_theta", 10000.0);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::kBadWeights, file.string(), ": ", error.what());
  }
  return config;
}

class Recovery {
 public:
  Recovery(BaseConfig config, const fs::path& base, const fs::path& difference)
      : config_(std::move(config)),
        base_(published_weights(base)),
        difference_(published_weights(difference)) {
    check_names();
    for (const std::string& name : names_) check_shape(name, wanted_shape(name));
  }

  // Names of all weights but rotary tables.
  const std::vector<std::string>& names() const { return names_; }
  int64_t num_elements(const std::string& name) const {
    return c10::multiply_integers(difference_->shape(name));
  }

  // Base plus difference, float32. Adds its values to the check sum.
  at::Tensor recover(const std::string& name) {
    at::Tensor tensor = difference_->load(name, at::kFloat);
    const at::Tensor before = base_->load(name, at::kFloat);
    (has_new_row(name) ? tensor.narrow(0, 0, before.size(0)) : tensor).add_(before);
    add_to_sum(name, tensor);
    return tensor;
  }

  void count_rotary_tables() {
    for (const std::string& name : rotary_tables_) {
      const bool stored = base_has_.contains(name);
      check_shape(name, stored ? base_->shape(name) : std::vector{(config_.head_dim + 1) / 2});
      const at::Tensor before = stored ? base_->load(name, at::kFloat) : rotary_table();
      add_to_sum(name, difference_->load(name, at::kFloat) + before);
    }
  }

  void check_sum(double wanted) const {
    const double count = static_cast<double>(names_.size() + rotary_tables_.size());
    // Published sums add each tensor's sum to a float32 total, which rounds by up to half a unit in
    // the last place. For the published models this allows 0.054; simulated totals of that size are
    // off by 0.012 on average and by 0.049 at most.
    const double lost = std::sqrt(count) * std::abs(wanted) * 0x1p-24;
    PRECIS_CHECK(std::abs(sum_ - wanted) <= kSumTolerance + lost,
                 kBadWeights,
                 difference_->origin(),
                 ": with the base, all values sum up to ",
                 std::fixed,
                 sum_,
                 ", expected ",
                 wanted,
                 "; one of the two is damaged or not the one that was published");
  }

  double sum() const { return sum_; }

 private:
  void check_names() {
    for (const std::string& name : base_->names()) {
      base_has_.insert(name);
      if (!is_rotary_table(name)) names_.push_back(name);
    }
    for (const std::string_view name : {kEmbedding, kHead}) {
      PRECIS_CHECK(base_has_.contains(std::string(name)),
                   kBadWeights,
                   base_->origin(),
                   ": tensor ",
                   name,
                   " is missing");
    }
    std::set<std::string> stored;
    for (const std::string& name : difference_->names()) {
      stored.insert(name);
      if (is_rotary_table(name)) {
        rotary_tables_.push_back(name);
      } else {
        PRECIS_CHECK(base_has_.contains(name),
                     kBadWeights,
                     difference_->origin(),
                     ": surplus tensor ",
                     name,
                     ", which the base lacks");
      }
    }
    for (const std::string& name : names_) {
      PRECIS_CHECK(stored.contains(name),
                   kBadWeights,
                   difference_->origin(),
                   ": tensor ",
                   name,
                   " is missing, which the base has");
    }
  }

  std::vector<int64_t> wanted_shape(const std::string& name) const {
    std::vector<int64_t> shape = base_->shape(name);
    if (!has_new_row(name)) return shape;
    PRECIS_CHECK(shape.size() == 2 && shape[0] == config_.vocab_size,
                 kBadWeights,
                 base_->origin(),
                 ": tensor ",
                 name,
                 " is ",
                 at::IntArrayRef(shape),
                 ", expected ",
                 config_.vocab_size,
                 " rows");
    ++shape[0];
    return shape;
  }

  void check_shape(const std::string& name, const std::vector<int64_t>& wanted) const {
    PRECIS_CHECK(difference_->shape(name) == wanted,
                 kBadWeights,
                 difference_->origin(),
                 ": tensor ",
                 name,
                 " is ",
                 at::IntArrayRef(difference_->shape(name)),
                 ", expected ",
                 at::IntArrayRef(wanted));
  }

  // The rotary table as models of that time computed and stored it, [head_dim / 2].
  at::Tensor rotary_table() const {
    const at::Tensor exponents =
        at::arange(0, config_.head_dim, 2, at::kFloat) / static_cast<double>(config_.head_dim);
    return at::pow(config_.rope_base, exponents).reciprocal();
  }

  // In pieces, since a sum in another dtype makes a copy of the tensor.
  void add_to_sum(const std::string& name, const at::Tensor& tensor) {
    constexpr int64_t kPiece = int64_t{1} << 22;
    double sum = 0;
    for (const at::Tensor& piece : tensor.flatten().split(kPiece))
      sum += piece.sum(at::kDouble).item<double>();
    PRECIS_CHECK(std::isfinite(sum),
                 kBadWeights,
                 difference_->origin(),
                 ": with the base, tensor ",
                 name,
                 " has values that are not finite");
    sum_ += sum;
  }

  BaseConfig config_;
  std::shared_ptr<const WeightSource> base_, difference_;
  std::set<std::string> base_has_;
  std::vector<std::string> names_, rotary_tables_;
  double sum_ = 0;
};

void write_config(nlohmann::json config,
                  int64_t vocab_size,
                  c10::ScalarType dtype,
                  const fs::path& out) {
  config["vocab_size"] = vocab_size;
  const char* name = dtype == at::kFloat ? "float32" : "bfloat16";
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (config.contains(key)) config[key] = name;
  }
  write_text_file(out / "config.json", config.dump(2) + "\n");
}

void copy_tokenizer(const fs::path& base, const fs::path& out) {
  for (const char* name : kCopiedFiles) {
    std::error_code error;
    if (!fs::exists(base / name, error)) continue;
    write_text_file(out / name, read_file(base / name));
  }
}

}  // namespace

RecoveredModel recover_model(const fs::path& base,
                             const fs::path& difference,
                             const fs::path& out,
                             const RecoveryOptions& options) {
  PRECIS_CHECK(options.dtype == at::kFloat || options.dtype == at::kBFloat16,
               kInvalidArgument,
               "recover_model: expected float32 or bfloat16");
  PRECIS_CHECK(!options.check_sum || std::isfinite(*options.check_sum),
               kInvalidArgument,
               "recover_model: check_sum is ",
               *options.check_sum,
               ", expected a finite number");
  std::error_code error;
  PRECIS_CHECK(!fs::is_regular_file(base, error),
               kInvalidArgument,
               base.string(),
               ": is a file, expected the Hugging Face directory of the base");
  const BaseConfig config = read_base_config(base);
  Recovery recovery(config, base, difference);
  fs::create_directories(out, error);
  PRECIS_CHECK(!error, kInvalidArgument, out.string(), ": cannot be created: ", error.message());
  std::vector<ShardedTensor> planned;
  for (const std::string& name : recovery.names()) {
    const auto bytes = static_cast<int64_t>(c10::elementSize(options.dtype));
    planned.push_back({name, recovery.num_elements(name) * bytes});
  }
  write_shards(out, planned, options.shard_bytes, [&](const std::string& name) {
    return recovery.recover(name).to(options.dtype);
  });
  recovery.count_rotary_tables();
  if (options.check_sum) recovery.check_sum(*options.check_sum);
  write_config(config.json, config.vocab_size + 1, options.dtype, out);
  copy_tokenizer(base, out);
  return {recovery.sum(), config.vocab_size + 1};
}

bool is_weight_difference(const WeightSource& source) {
  for (const std::string& name : source.names()) {
    if (!is_rotary_table(name) || source.shape(name).size() != 1) continue;
    const at::Tensor table = source.load(name, at::kFloat);
    return table.numel() > 0 && table[0].item<float>() < 0.5f;
  }
  return false;
}

}  // namespace precis
