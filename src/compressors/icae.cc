// SPDX-License-Identifier: Apache-2.0
#include "compressors/icae.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <bit>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "compressors/compressor_settings.h"
#include "compressors/divide.h"

namespace precis {
namespace {

constexpr double kLayerNormEpsilon = 1e-5;

// Rows of one pass over the frozen model: bounds the activations of a batch of parts.
constexpr int64_t kRowsPerPass = 4096;

// Rows of memory_embeddings after those of the slots: what the decoder reads beside memories.
enum Mark : int64_t { kAutoencode, kLanguageModel, kFineTuned, kNumMarks };

using Part = std::span<const TokenId>;

// A tensor of the weights as files and training know it.
struct WeightField {
  std::string name;
  at::Tensor* tensor;
  std::vector<int64_t> shape;
};

// All of them. Gives the adapter its layers.
std::vector<WeightField> fields_of(IcaeWeights& weights,
                                   const IcaeConfig& config,
                                   const DecoderConfig& model) {
  const int64_t hidden = model.hidden_size, rank = config.rank;
  const int64_t q_size = model.num_heads * model.head_dim;
  const int64_t v_size = model.num_kv_heads * model.head_dim;
  weights.adapter.layers.resize(model.num_layers);
  std::vector<WeightField> fields{
      {"memory_embeddings", &weights.memory_embeddings, {config.slots + kNumMarks, hidden}}};
  for (int64_t i = 0; i < model.num_layers; ++i) {
    AdapterLayer& layer = weights.adapter.layers[i];
    const std::string prefix = concat("layers.", i);
    fields.push_back({prefix + ".q.down", &layer.query.down, {rank, hidden}});
    fields.push_back({prefix + ".q.up", &layer.query.up, {q_size, rank}});
    fields.push_back({prefix + ".v.down", &layer.value.down, {rank, hidden}});
    fields.push_back({prefix + ".v.up", &layer.value.up, {v_size, rank}});
  }
  if (!config.connector) return fields;
  fields.push_back({"connector.weight", &weights.connector_weight, {hidden, hidden}});
  fields.push_back({"connector.bias", &weights.connector_bias, {hidden}});
  fields.push_back({"norm.weight", &weights.norm_weight, {hidden}});
  fields.push_back({"norm.bias", &weights.norm_bias, {hidden}});
  return fields;
}

class Icae final : public Compressor {
 public:
  // REQUIRES: weights of the shapes and the dtype that make_icae gives them.
  Icae(const IcaeConfig& config, IcaeWeights weights, const Decoder& decoder)
      : config_(config), weights_(std::move(weights)), decoder_(decoder) {
    for (const WeightField& field : fields_of(weights_, config_, decoder_.config()))
      tensors_.push_back({field.name, *field.tensor});
  }

  CompressorInfo info() const override {
    CompressorInfo info;
    info.method = "icae";
    info.ratio = static_cast<double>(config_.max_segment) / static_cast<double>(config_.slots);
    info.max_segment = config_.max_segment;
    info.slots = config_.slots;
    for (const NamedTensor& named : tensors_) info.num_parameters += named.tensor.numel();
    info.fingerprint = fingerprint();
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    PRECIS_CHECK(num_tokens >= 1, kInvalidArgument, "icae: an empty segment cannot be compressed");
    return std::ssize(divide(num_tokens, part_limit(options))) * config_.slots;
  }

  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    const int64_t limit = part_limit(options);
    std::vector<Part> parts;
    std::vector<int64_t> ends;  // of each segment's parts
    for (const Segment& segment : segments) {
      check(segment);
      for (const TokenRange& range : divide(std::ssize(segment.tokens), limit))
        parts.push_back(Part(segment.tokens).subspan(range.first, range.size));
      ends.push_back(std::ssize(parts));
    }
    for (const Part& part : parts) check_window(num_rows(part));
    const std::vector<at::Tensor> slots = read(parts, options.progress);
    std::vector<MemoryTensors> memories;
    int64_t first = 0;
    for (const int64_t end : ends) {
      memories.push_back(SoftTokens{at::cat(at::TensorList(&slots[first], end - first), 0)});
      first = end;
    }
    return memories;
  }

  MemoryFrame frame(MemoryUse use) const override {
    MemoryFrame frame;
    if (use == MemoryUse::kContinue) {
      if (config_.continuation_mark) frame.after.push_back(mark(kLanguageModel));
      return frame;
    }
    frame.answer_ends = config_.instruct.answer_ends;
    frame.after.push_back(mark(use == MemoryUse::kAutoencode ? kAutoencode : kFineTuned));
    if (use == MemoryUse::kAutoencode) return frame;
    if (!config_.instruct.before.empty()) frame.before.push_back(config_.instruct.before);
    if (config_.instruct.mark_after_prompt) frame.end.push_back(mark(kFineTuned));
    if (!config_.instruct.end.empty()) frame.end.push_back(config_.instruct.end);
    return frame;
  }

  std::vector<NamedTensor> parameters() override { return tensors_; }

  void save(const std::filesystem::path& directory) const override {
    nlohmann::json config = {{"method", "icae"},
                             {"base", describe_base(decoder_)},
                             {"slots", config_.slots},
                             {"max_segment", config_.max_segment},
                             {"rank", config_.rank},
                             {"alpha", config_.alpha},
                             {"connector", config_.connector},
                             {"continuation", config_.continuation_mark ? "lm" : "none"},
                             {"instruct_before", config_.instruct.before},
                             {"instruct_mark_after_prompt", config_.instruct.mark_after_prompt},
                             {"instruct_end", config_.instruct.end},
                             {"answer_ends", config_.instruct.answer_ends}};
    save_compressor(directory, std::move(config), tensors_);
  }

 private:
  // Of the weights and of what decides, beside them, which memory a text becomes.
  std::string fingerprint() const {
    Hasher hasher;
    hasher.add(fingerprint_of(tensors_));
    hasher.add(std::bit_cast<int64_t>(config_.alpha));
    hasher.add(config_.max_segment);
    return hasher.hex();
  }

  void check(const Segment& segment) const {
    PRECIS_CHECK(
        !segment.tokens.empty(), kInvalidArgument, "icae: an empty segment cannot be compressed");
    const int64_t vocabulary = decoder_.config().vocab_size;
    for (const TokenId id : segment.tokens) {
      PRECIS_CHECK(id >= 0 && id < vocabulary,
                   kInvalidArgument,
                   "icae: id ",
                   id,
                   " is outside the vocabulary of ",
                   vocabulary);
    }
  }

  // Tokens of a part, and whether the other options can be obeyed.
  int64_t part_limit(const CompressOptions& options) const {
    PRECIS_CHECK(!options.ratio,
                 kInvalidArgument,
                 "icae: a ratio of ",
                 *options.ratio,
                 " was asked for, but every part becomes ",
                 config_.slots,
                 " memory tokens");
    PRECIS_CHECK(options.chaining == Chaining::kIndependent,
                 kInvalidArgument,
                 "icae: chaining was asked for, but parts are read independently of each other");
    const int64_t limit = options.segment.value_or(config_.max_segment);
    PRECIS_CHECK(limit >= 1 && limit <= config_.max_segment,
                 kInvalidArgument,
                 "icae: a segment of ",
                 limit,
                 " tokens was asked for, this compressor takes 1 to ",
                 config_.max_segment);
    return limit;
  }

  void check_window(int64_t rows) const {
    PRECIS_CHECK(rows <= decoder_.config().context_length,
                 kInvalidArgument,
                 "icae: a pass over ",
                 rows,
                 " rows (a part of the segment and ",
                 config_.slots,
                 " memory tokens) does not fit the model's window of ",
                 decoder_.config().context_length,
                 "; use shorter segments");
  }

  int64_t num_rows(const Part& part) const { return std::ssize(part) + config_.slots; }

  // The memory of each part, [slots, hidden], in passes of a bounded number of rows.
  std::vector<at::Tensor> read(std::span<const Part> parts,
                               const std::function<void(double)>& progress) const {
    std::vector<at::Tensor> slots;
    for (size_t first = 0; first < parts.size();) {
      size_t last = first;
      for (int64_t rows = 0; last < parts.size(); ++last) {
        rows += num_rows(parts[last]);
        if (last > first && rows > kRowsPerPass) break;
      }
      for (at::Tensor& memory : read_pass(parts.subspan(first, last - first)).unbind(0))
        slots.push_back(std::move(memory));
      first = last;
      if (progress) progress(static_cast<double>(last) / static_cast<double>(parts.size()));
    }
    return slots;
  }

  // One packed pass with the adapter on all rows: through the keys and values that it changes, the
  // rows of the text depend on what is trained just as those of the memory tokens do.
  // -> [num_parts, slots, hidden]
  at::Tensor read_pass(std::span<const Part> parts) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), std::ssize(parts));
    const at::Tensor hidden = decoder_.forward(pack(parts), cache, &weights_.adapter);
    std::vector<at::Tensor> slots;
    int64_t end = 0;
    for (const Part& part : parts) {
      end += num_rows(part);
      slots.push_back(hidden.narrow(0, end - config_.slots, config_.slots));
    }
    return connect(at::stack(slots));
  }

  // [part, memory tokens] of every part side by side, each from position 0.
  DecoderInput pack(std::span<const Part> parts) const {
    const auto index_options = at::TensorOptions(at::kLong).device(decoder_.options().device());
    const at::Tensor memory_tokens = embedding_rows(0, config_.slots);
    DecoderInput input;
    std::vector<at::Tensor> rows, positions;
    input.sequence_starts.push_back(0);
    for (int64_t i = 0; i < std::ssize(parts); ++i) {
      const at::Tensor ids =
          at::tensor(at::ArrayRef<TokenId>(parts[i].data(), parts[i].size()), at::kLong);
      rows.push_back(decoder_.embed(ids.to(index_options.device())));
      rows.push_back(memory_tokens);
      positions.push_back(at::arange(num_rows(parts[i]), index_options));
      input.sequence_starts.push_back(input.sequence_starts.back() + num_rows(parts[i]));
      input.cache_sequences.push_back(i);
    }
    input.embeddings = at::cat(rows, 0);
    input.positions = at::cat(positions, 0);
    return input;
  }

  // Trained rows as the decoder reads them, [count, hidden].
  at::Tensor embedding_rows(int64_t first, int64_t count) const {
    return weights_.memory_embeddings.narrow(0, first, count)
        .to(c10::typeMetaToScalarType(decoder_.options().dtype()));
  }

  at::Tensor mark(Mark which) const { return embedding_rows(config_.slots + which, 1); }

  // LN(W h + b), in the precision of the weights, or h itself. [..., hidden] -> the same
  at::Tensor connect(const at::Tensor& hidden) const {
    if (!config_.connector) return hidden;
    const at::Tensor wide = hidden.to(weights_.connector_weight.scalar_type());
    const at::Tensor projected =
        at::linear(wide, weights_.connector_weight, weights_.connector_bias);
    return at::layer_norm(projected,
                          {projected.size(-1)},
                          weights_.norm_weight,
                          weights_.norm_bias,
                          kLayerNormEpsilon)
        .to(hidden.scalar_type());
  }

  IcaeConfig config_;
  IcaeWeights weights_;
  const Decoder& decoder_;
  std::vector<NamedTensor> tensors_;  // of weights_
};

c10::TensorOptions parameter_options(const Decoder& decoder) {
  const auto options = decoder.options();
  return options.dtype() == at::kDouble ? options : options.dtype(at::kFloat);
}

// Where configurations come from, for messages.
struct Origin {
  ErrorKind kind;
  std::string name;
};

void check_ids(const std::vector<TokenId>& ids, const Decoder& decoder, const Origin& origin) {
  for (const TokenId id : ids) {
    if (id >= 0 && id < decoder.config().vocab_size) continue;
    fail(origin.kind,
         origin.name,
         ": id ",
         id,
         " is outside the model's vocabulary of ",
         decoder.config().vocab_size);
  }
}

void check_config(const IcaeConfig& config, const Decoder& decoder, const Origin& origin) {
  const int64_t window = decoder.config().context_length;
  if (config.slots < 1 || config.slots >= window)
    fail(origin.kind, origin.name, ": slots is ", config.slots, ", expected 1 to ", window - 1);
  if (config.max_segment < 1)
    fail(
        origin.kind, origin.name, ": max_segment is ", config.max_segment, ", expected at least 1");
  if (config.rank < 1)
    fail(origin.kind, origin.name, ": rank is ", config.rank, ", expected at least 1");
  if (!(config.alpha > 0 && std::isfinite(config.alpha)))
    fail(origin.kind, origin.name, ": alpha is ", config.alpha, ", expected a number above 0");
  check_ids(config.instruct.before, decoder, origin);
  check_ids(config.instruct.end, decoder, origin);
  check_ids(config.instruct.answer_ends, decoder, origin);
}

IcaeConfig read_config(const CompressorFiles& files, const Decoder& decoder) {
  const Settings settings(files);
  IcaeConfig config;
  config.slots = settings.integer("slots");
  config.max_segment = settings.integer("max_segment");
  config.rank = settings.integer("rank");
  config.alpha = settings.number("alpha");
  config.connector = settings.flag("connector", false);
  config.continuation_mark = settings.choice("continuation", "lm", "none");
  config.instruct.before = settings.ids("instruct_before");
  config.instruct.mark_after_prompt = settings.flag("instruct_mark_after_prompt", true);
  config.instruct.end = settings.ids("instruct_end");
  config.instruct.answer_ends = settings.ids("answer_ends");
  check_config(config, decoder, {ErrorKind::kBadWeights, files.origin()});
  return config;
}

// All rows of the embedding table, [vocab, hidden].
at::Tensor embedding_table(const Decoder& decoder) {
  const auto ids = at::TensorOptions(at::kLong).device(decoder.options().device());
  return decoder.embed(at::arange(decoder.config().vocab_size, ids))
      .to(parameter_options(decoder).dtype());
}

}  // namespace

IcaeTemplate icae_template(IcaeGeneration generation) {
  switch (generation) {
    case IcaeGeneration::kNone:
      return {};
    case IcaeGeneration::kLlama:
      return {{}, true, {}, {1}};  // its answers end on the id that begins texts
    case IcaeGeneration::kMistral:
      return {{1, 733, 16289, 28793}, false, {733, 28748, 16289, 28793}, {2}};
  }
  fail(ErrorKind::kInternal, "icae: unknown generation");
}

std::unique_ptr<Compressor> make_icae(const IcaeConfig& config,
                                      IcaeWeights weights,
                                      const Decoder& decoder) {
  check_config(config, decoder, {ErrorKind::kInvalidArgument, "icae"});
  const DecoderConfig& model = decoder.config();
  PRECIS_CHECK(std::ssize(weights.adapter.layers) == model.num_layers,
               kInvalidArgument,
               "icae: the adapter has ",
               weights.adapter.layers.size(),
               " layers, the model ",
               model.num_layers);
  for (const WeightField& field : fields_of(weights, config, model)) {
    PRECIS_CHECK(
        field.tensor->defined(), kInvalidArgument, "icae: tensor ", field.name, " is missing");
    PRECIS_CHECK(field.tensor->sizes() == field.shape,
                 kInvalidArgument,
                 "icae: tensor ",
                 field.name,
                 " is ",
                 field.tensor->sizes(),
                 ", expected ",
                 at::IntArrayRef(field.shape));
    *field.tensor = field.tensor->to(parameter_options(decoder));
  }
  for (AdapterLayer& layer : weights.adapter.layers) {
    PRECIS_CHECK(!layer.key.down.defined() && !layer.key.up.defined(),
                 kInvalidArgument,
                 "icae: the adapter changes keys, expected queries and values only");
    layer.query.scale = layer.value.scale = config.alpha / static_cast<double>(config.rank);
  }
  return std::make_unique<Icae>(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> load_icae(const CompressorFiles& files, const Decoder& decoder) {
  check_base(files, decoder);
  const IcaeConfig config = read_config(files, decoder);
  const Weights stored = files.weights(parameter_options(decoder));
  IcaeWeights weights;
  for (const WeightField& field : fields_of(weights, config, decoder.config()))
    *field.tensor = stored.take(field.name, field.shape);
  const auto unread = stored.unread();
  PRECIS_CHECK(
      unread.empty(), kBadWeights, stored.source().origin(), ": surplus tensor ", unread.front());
  return make_icae(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> create_icae(const IcaeConfig& config, const Decoder& decoder) {
  // Before sizes are used to make tensors.
  check_config(config, decoder, {ErrorKind::kInvalidArgument, "icae"});
  const auto options = parameter_options(decoder);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(config.seed);
  const at::Tensor table = embedding_table(decoder);
  const at::Tensor mean = table.mean(0), rms = table.square().mean().sqrt();
  const double bound = 1 / std::sqrt(static_cast<double>(decoder.config().hidden_size));
  IcaeWeights weights;
  for (const WeightField& field : fields_of(weights, config, decoder.config()))
    *field.tensor = at::zeros(field.shape, options);
  // Drawn on the CPU, for the same values on every device.
  for (AdapterLayer& layer : weights.adapter.layers) {
    for (at::Tensor* down : {&layer.query.down, &layer.value.down}) {
      const at::Tensor drawn = at::rand(down->sizes(), generator, options.device(at::kCPU));
      down->copy_((drawn * 2 - 1) * bound);
    }
  }
  const at::Tensor noise =
      at::randn(weights.memory_embeddings.sizes(), generator, options.device(at::kCPU));
  weights.memory_embeddings.copy_(mean + noise.to(options.device()) * (rms / 4));
  if (config.connector) {
    weights.connector_weight = at::eye(decoder.config().hidden_size, options);
    weights.norm_weight.copy_((rms / 4).expand_as(weights.norm_weight));
    weights.norm_bias.copy_(mean);
  }
  return make_icae(config, std::move(weights), decoder);
}

}  // namespace precis
