// SPDX-License-Identifier: Apache-2.0
#include "compressors/icae/icae.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/spread_position.h"
#include "compressors/chunks.h"
#include "compressors/divide.h"
#include "compressors/passes.h"
#include "compressors/request_checks.h"
#include "ops/copy_to_device.h"
#include "precis/extend/forward_outputs.h"

namespace precis {
namespace {

constexpr const char* kMethod = "icae";

// The embeddings that follow those of the slots in memory_embeddings; the decoder reads them in
// templates.
enum Mark : int64_t { kAutoencode, kLanguageModel, kFineTuned, kNumMarks };

// A tensor of the weights, with its name in files and training.
struct WeightField {
  std::string name;
  at::Tensor* tensor;
  std::vector<int64_t> shape;
};

// All fields of the weights. Resizes the adapter to the number of layers.
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
  fields.push_back({"connector.weight", &weights.connector.weight, {hidden, hidden}});
  fields.push_back({"connector.bias", &weights.connector.bias, {hidden}});
  fields.push_back({"norm.weight", &weights.connector.norm_weight, {hidden}});
  fields.push_back({"norm.bias", &weights.connector.norm_bias, {hidden}});
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
    info.method = kMethod;
    info.ratio = static_cast<double>(config_.max_segment) / static_cast<double>(config_.slots);
    info.max_segment = config_.max_segment;
    info.slots = config_.slots;
    for (const NamedTensor& named : tensors_) info.num_parameters += named.tensor.numel();
    info.fingerprint = fingerprint();
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    check_not_empty(num_tokens, kMethod);
    const int64_t num_read = std::ssize(config_.before_text) + num_tokens;
    return std::ssize(divide(num_read, limit_of(options))) * config_.slots;
  }

  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    for (const Segment& segment : segments) check_segment(segment, decoder_, kMethod);
    const std::vector<Segment> texts = whole_texts(segments);  // borrowed by their chunks
    const Chunks divided = divide_segments(texts, limit_of(options));
    for (const Chunk& chunk : divided.chunks)
      check_window(
          num_pass_tokens(chunk), decoder_, kMethod, "a chunk of the segment and memory tokens");
    const bool recompute = std::ranges::any_of(segments, &Segment::recompute_activations);
    return join_slots(read(divided.chunks, recompute, options.progress), divided.ends);
  }

  MemoryTemplate memory_template(MemoryUse use) const override {
    MemoryTemplate around;
    if (use == MemoryUse::kContinue) {
      if (config_.continuation_mark) around.after.push_back(mark(kLanguageModel));
      return around;
    }
    around.answer_ends = config_.instruct.answer_ends;
    around.after.push_back(mark(use == MemoryUse::kAutoencode ? kAutoencode : kFineTuned));
    if (use == MemoryUse::kAutoencode) return around;
    if (!config_.instruct.before.empty()) around.before.push_back(config_.instruct.before);
    if (config_.instruct.mark_after_prompt) around.end.push_back(mark(kFineTuned));
    if (!config_.instruct.end.empty()) around.end.push_back(config_.instruct.end);
    return around;
  }

  std::vector<NamedTensor> parameters() override { return tensors_; }

  void save(const std::filesystem::path& directory) const override {
    save_compressor(directory, describe(kMethod, decoder_, icae_settings, config_), tensors_);
  }

 private:
  // Hash of the weights and of the settings that memories depend on.
  std::string fingerprint() const {
    Hasher hasher;
    hasher.add(fingerprint_of(tensors_));
    hasher.add(std::bit_cast<int64_t>(config_.alpha));
    hasher.add(config_.max_segment);
    // "after" is not hashed: fingerprints from before spread positions existed stay valid.
    if (config_.spread_positions) hasher.add(int64_t{-1});  // differs from any id of before_text
    for (const TokenId id : config_.before_text) hasher.add(id);
    return hasher.hex();
  }

  int64_t limit_of(const CompressOptions& options) const {
    refuse_ratio(options, config_.slots, kMethod);
    refuse_chaining(options, kMethod);
    return chunk_limit(options, config_.max_segment, kMethod);
  }

  // The segments with before_text prepended, unless they begin with it.
  std::vector<Segment> whole_texts(std::span<const Segment> segments) const {
    const std::vector<TokenId>& before = config_.before_text;
    std::vector<Segment> texts(segments.begin(), segments.end());
    for (Segment& text : texts) {
      std::vector<TokenId>& ids = text.tokens;
      const auto differs = std::mismatch(before.begin(), before.end(), ids.begin(), ids.end());
      if (differs.first != before.end()) ids.insert(ids.begin(), before.begin(), before.end());
    }
    return texts;
  }

  int64_t num_pass_tokens(const Chunk& chunk) const { return std::ssize(chunk) + config_.slots; }

  // The memory of each chunk, [slots, hidden], in passes of a bounded number of tokens.
  std::vector<at::Tensor> read(std::span<const Chunk> chunks,
                               bool recompute,
                               const CompressProgress& progress) const {
    std::vector<at::Tensor> slots;
    read_in_passes(
        std::ssize(chunks),
        [&](int64_t chunk) { return num_pass_tokens(chunks[chunk]); },
        [&](int64_t first, int64_t last) {
          for (at::Tensor& memory :
               read_pass(chunks.subspan(first, last - first), recompute).unbind(0))
            slots.push_back(std::move(memory));
        },
        progress);
    return slots;
  }

  // One packed pass with the adapter on all tokens, those of the text included, so that their
  // activations take part in the backward pass, too. -> [num_chunks, slots, hidden]
  at::Tensor read_pass(std::span<const Chunk> chunks, bool recompute) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), std::ssize(chunks));
    const at::Tensor memory_tokens = trained_embeddings(0, config_.slots);
    std::vector<at::Tensor> sequences;
    for (const Chunk& chunk : chunks)
      sequences.push_back(at::cat({embed(decoder_, chunk), memory_tokens}, 0));
    DecoderInput input = pack(decoder_, sequences, cache);
    if (config_.spread_positions) input.positions = spread_positions(chunks);
    input.output_indices = last_rows(input, std::vector(chunks.size(), config_.slots));
    input.recompute_activations = recompute;
    const at::Tensor hidden = forward_outputs(decoder_, input, cache, &weights_.adapter);
    return connect(weights_.connector, hidden.unflatten(0, {-1, config_.slots}));
  }

  // Positions of all tokens of a pass, [num_tokens] int64.
  at::Tensor spread_positions(std::span<const Chunk> chunks) const {
    std::vector<int64_t> positions;
    for (const Chunk& chunk : chunks) {
      for (int64_t i = 0; i < std::ssize(chunk); ++i) positions.push_back(i);
      for (int64_t slot = 0; slot < config_.slots; ++slot)
        positions.push_back(spread_position(slot, config_.slots, std::ssize(chunk)));
    }
    return ops::copy_to_device_async(at::tensor(positions, at::kLong), decoder_.options().device());
  }

  // Trained embeddings first .. first + count in the decoder's dtype, [count, hidden].
  at::Tensor trained_embeddings(int64_t first, int64_t count) const {
    return as_rows(weights_.memory_embeddings.narrow(0, first, count), decoder_);
  }

  at::Tensor mark(Mark which) const { return trained_embeddings(config_.slots + which, 1); }

  IcaeConfig config_;
  IcaeWeights weights_;
  const Decoder& decoder_;
  std::vector<NamedTensor> tensors_;  // of weights_
};

void check_config(IcaeConfig config,
                  const Decoder& decoder,
                  ErrorKind kind,
                  const std::string& origin) {
  const int64_t window = decoder.config().context_length;
  if (config.slots < 1 || config.slots >= window)
    fail(kind, origin, ": slots is ", config.slots, ", expected 1 to ", window - 1);
  check_limits(icae_settings(config), kind, origin);
  for (const auto* ids : {&config.before_text,
                          &config.instruct.before,
                          &config.instruct.end,
                          &config.instruct.answer_ends})
    check_template_ids(*ids, decoder, kind, origin);
}

}  // namespace

SettingTable icae_settings(IcaeConfig& config) {
  using enum Setting::Limit;
  IcaeTemplate& instruct = config.instruct;
  return {{"slots", &config.slots, kAtLeast1, "memory tokens of each chunk"},
          {"max_segment", &config.max_segment, kAtLeast1, "text tokens in one pass"},
          {"rank", &config.rank, kAtLeast1, "of the LoRA"},
          {"alpha", &config.alpha, kAbove0, "of the LoRA, which is scaled by alpha / rank"},
          {"connector", &config.connector},
          {"slot_positions",
           choice(config.spread_positions, {"after", "spread"}),
           kNone,
           "positions of the memory tokens: after the text or spread over it"},
          {"continuation", choice(config.continuation_mark, {"none", "lm"})},
          {"before_text", &config.before_text},
          {"instruct_before", &instruct.before},
          {"instruct_mark_after_prompt", &instruct.mark_after_prompt},
          {"instruct_end", &instruct.end},
          {"answer_ends", &instruct.answer_ends}};
}

IcaeTemplate icae_template(IcaeGeneration generation) {
  switch (generation) {
    case IcaeGeneration::kNone:
      return {};
    case IcaeGeneration::kLlama:
      return {{}, true, {}, {1}};  // its answers end with the id of BOS
    case IcaeGeneration::kMistral:
      return {{1, 733, 16289, 28793}, false, {733, 28748, 16289, 28793}, {2}};
  }
  fail(ErrorKind::kInternal, "icae: unknown generation");
}

std::vector<TokenId> icae_before_text(IcaeGeneration generation) {
  if (generation == IcaeGeneration::kNone) return {};
  return {1};
}

std::unique_ptr<Compressor> make_icae(const IcaeConfig& config,
                                      IcaeWeights weights,
                                      const Decoder& decoder) {
  check_config(config, decoder, ErrorKind::kInvalidArgument, kMethod);
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
  if (!config.connector) weights.connector = {};
  return std::make_unique<Icae>(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> load_icae(const CompressorFiles& files, const Decoder& decoder) {
  check_base(files, decoder);
  IcaeConfig config;
  config.continuation_mark = false;  // where the file does not say
  read_settings(files, icae_settings(config));
  check_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  const Weights stored = files.weights(parameter_options(decoder));
  IcaeWeights weights;
  for (const WeightField& field : fields_of(weights, config, decoder.config()))
    *field.tensor = stored.take(field.name, field.shape);
  stored.check_all_taken();
  return make_icae(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> create_icae(const IcaeConfig& config,
                                        const Decoder& decoder,
                                        uint64_t seed) {
  // Checked before sizes are used to create tensors.
  check_config(config, decoder, ErrorKind::kInvalidArgument, kMethod);
  const auto options = parameter_options(decoder);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const EmbeddingStatistics embeddings = embedding_statistics(decoder);
  const double bound = 1 / std::sqrt(static_cast<double>(decoder.config().hidden_size));
  IcaeWeights weights;
  for (const WeightField& field : fields_of(weights, config, decoder.config()))
    *field.tensor = at::zeros(field.shape, options);
  // Drawn on the CPU, so that values are the same on every device.
  for (AdapterLayer& layer : weights.adapter.layers) {
    for (at::Tensor* down : {&layer.query.down, &layer.value.down}) {
      const at::Tensor drawn = at::rand(down->sizes(), generator, options.device(at::kCPU));
      down->copy_((drawn * 2 - 1) * bound);
    }
  }
  const at::Tensor noise =
      at::randn(weights.memory_embeddings.sizes(), generator, options.device(at::kCPU));
  weights.memory_embeddings.copy_(embeddings.mean +
                                  noise.to(options.device()) * (embeddings.rms / 4));
  if (config.connector) weights.connector = create_connector(embeddings, ConnectorNorm::kLayerNorm);
  return make_icae(config, std::move(weights), decoder);
}

}  // namespace precis
