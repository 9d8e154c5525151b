// SPDX-License-Identifier: Apache-2.0
#include "compressors/selfcp.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "base/check.h"
#include "base/hash.h"
#include "compressors/compressor_settings.h"
#include "compressors/divide.h"

namespace precis {
namespace {

constexpr double kLayerNormEpsilon = 1e-5;

// Rows of one pass over the frozen model: bounds the activations of a batch of parts.
constexpr int64_t kRowsPerPass = 4096;

// One pass over the model for one part: what stands before it, the part, its tags.
struct PartInput {
  const SharedPrefix* prefix;       // null: none
  std::vector<at::Tensor> earlier;  // memories that the part reads, [k, hidden] each
  std::span<const TokenId> tokens;
  int64_t num_tags;
};

int64_t num_rows(const PartInput& input) {
  int64_t rows = std::ssize(input.tokens) + input.num_tags;
  if (input.prefix != nullptr) rows += input.prefix->size();
  for (const at::Tensor& memory : input.earlier) rows += memory.size(0);
  return rows;
}

class SelfCp final : public Compressor {
 public:
  SelfCp(const SelfCpConfig& config, SelfCpWeights weights, const Decoder& decoder)
      : config_(config), weights_(std::move(weights)), decoder_(decoder) {}

  CompressorInfo info() const override {
    CompressorInfo info;
    info.method = "selfcp";
    info.ratio = config_.ratio;
    info.any_ratio = true;
    info.any_chaining = true;
    info.max_segment = config_.max_segment;
    info.reads_prefix = config_.reads_prefix;
    for (const NamedTensor& named : tensors()) info.num_parameters += named.tensor.numel();
    info.fingerprint = fingerprint();
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    PRECIS_CHECK(
        num_tokens >= 1, kInvalidArgument, "selfcp: an empty segment cannot be compressed");
    const auto parts = divide(num_tokens, part_limit(options));
    if (options.chaining == Chaining::kRecursive) return num_tags(parts.back().size, options);
    int64_t sum = 0;
    for (const TokenRange& part : parts) sum += num_tags(part.size, options);
    return sum;
  }

  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    for (const Segment& segment : segments) check(segment);
    const auto slots = options.chaining == Chaining::kIndependent
                           ? compress_independent(segments, options)
                           : compress_chained(segments, options);
    std::vector<MemoryTensors> memories;
    for (const std::vector<at::Tensor>& parts : slots) {
      memories.push_back(
          SoftTokens{options.chaining == Chaining::kRecursive ? parts.back() : at::cat(parts, 0)});
    }
    return memories;
  }

  MemoryFrame frame(MemoryUse use) const override {
    PRECIS_CHECK(use != MemoryUse::kAutoencode,
                 kUnsupported,
                 "selfcp: it is not trained to say a text again");
    MemoryFrame frame;
    if (use == MemoryUse::kContinue && !config_.continuation_mark.empty())
      frame.after.push_back(config_.continuation_mark);
    return frame;
  }

  std::vector<NamedTensor> parameters() override { return tensors(); }

  void save(const std::filesystem::path& directory) const override {
    nlohmann::json config = {{"method", "selfcp"},
                             {"base", describe_base(decoder_)},
                             {"ratio", config_.ratio},
                             {"max_segment", config_.max_segment},
                             {"layer_norm", config_.layer_norm},
                             {"reads_prefix", config_.reads_prefix},
                             {"separator_id", nullptr},
                             {"continuation_mark", config_.continuation_mark}};
    if (config_.separator) config["separator_id"] = *config_.separator;
    save_compressor(directory, std::move(config), tensors());
  }

 private:
  using PartSlots = std::vector<std::vector<at::Tensor>>;  // [segment][part], [m, hidden] each

  std::vector<NamedTensor> tensors() const {
    std::vector<NamedTensor> all{{"connector.weight", weights_.connector_weight},
                                 {"connector.bias", weights_.connector_bias},
                                 {"tag_embedding", weights_.tag_embedding}};
    if (config_.layer_norm) {
      all.push_back({"norm.weight", weights_.norm_weight});
      all.push_back({"norm.bias", weights_.norm_bias});
    }
    return all;
  }

  // Of the weights and of what is read beside the text.
  std::string fingerprint() const {
    Hasher hasher;
    hasher.add(fingerprint_of(tensors()));
    hasher.add(config_.separator.value_or(-1));
    return hasher.hex();
  }

  void check(const Segment& segment) const {
    PRECIS_CHECK(
        !segment.tokens.empty(), kInvalidArgument, "selfcp: an empty segment cannot be compressed");
    const int64_t vocabulary = decoder_.config().vocab_size;
    for (const TokenId id : segment.tokens) {
      PRECIS_CHECK(id >= 0 && id < vocabulary,
                   kInvalidArgument,
                   "selfcp: id ",
                   id,
                   " is outside the vocabulary of ",
                   vocabulary);
    }
  }

  int64_t part_limit(const CompressOptions& options) const {
    const int64_t limit = options.segment.value_or(config_.max_segment);
    PRECIS_CHECK(limit >= 1 && limit <= config_.max_segment,
                 kInvalidArgument,
                 "selfcp: a segment of ",
                 limit,
                 " tokens was asked for, this compressor takes 1 to ",
                 config_.max_segment);
    return limit;
  }

  int64_t num_tags(int64_t num_tokens, const CompressOptions& options) const {
    const double ratio = options.ratio.value_or(config_.ratio);
    PRECIS_CHECK(std::isfinite(ratio) && ratio >= 1.0,
                 kInvalidArgument,
                 "selfcp: ratio is ",
                 ratio,
                 ", expected at least 1");
    return std::max<int64_t>(
        1, static_cast<int64_t>(std::floor(static_cast<double>(num_tokens) / ratio)));
  }

  PartInput part_input(const Segment& segment,
                       const TokenRange& range,
                       const CompressOptions& options) const {
    const bool prefixed = config_.reads_prefix && segment.prefix && segment.prefix->size() > 0;
    return {prefixed ? segment.prefix.get() : nullptr,
            {},
            std::span(segment.tokens).subspan(range.first, range.size),
            num_tags(range.size, options)};
  }

  // "cat": all parts of all segments side by side.
  PartSlots compress_independent(std::span<const Segment> segments,
                                 const CompressOptions& options) const {
    std::vector<PartInput> inputs;
    std::vector<size_t> owner;
    for (size_t i = 0; i < segments.size(); ++i) {
      for (const TokenRange& range : divide(std::ssize(segments[i].tokens), part_limit(options))) {
        inputs.push_back(part_input(segments[i], range, options));
        owner.push_back(i);
      }
    }
    const std::vector<at::Tensor> slots = read(inputs, options.progress);
    PartSlots result(segments.size());
    for (size_t i = 0; i < slots.size(); ++i) result[owner[i]].push_back(slots[i]);
    return result;
  }

  // "concat" and "recursive": part t of every segment side by side, after the parts t - 1.
  PartSlots compress_chained(std::span<const Segment> segments,
                             const CompressOptions& options) const {
    std::vector<std::vector<TokenRange>> ranges;
    size_t longest = 0;
    for (const Segment& segment : segments) {
      ranges.push_back(divide(std::ssize(segment.tokens), part_limit(options)));
      longest = std::max(longest, ranges.back().size());
    }
    PartSlots result(segments.size());
    for (size_t t = 0; t < longest; ++t) {
      std::vector<PartInput> inputs;
      std::vector<size_t> owner;
      for (size_t i = 0; i < segments.size(); ++i) {
        if (t >= ranges[i].size()) continue;
        inputs.push_back(part_input(segments[i], ranges[i][t], options));
        if (options.chaining == Chaining::kConcat) inputs.back().earlier = result[i];
        if (options.chaining == Chaining::kRecursive && t > 0)
          inputs.back().earlier = {result[i].back()};
        owner.push_back(i);
      }
      const std::vector<at::Tensor> slots = read(inputs, {});
      for (size_t i = 0; i < slots.size(); ++i) result[owner[i]].push_back(slots[i]);
      if (options.progress)
        options.progress(static_cast<double>(t + 1) / static_cast<double>(longest));
    }
    return result;
  }

  // The memory of each part, in passes of a bounded number of rows.
  std::vector<at::Tensor> read(std::span<const PartInput> inputs,
                               const std::function<void(double)>& progress) const {
    std::vector<at::Tensor> slots;
    for (size_t first = 0; first < inputs.size();) {
      size_t last = first;
      for (int64_t rows = 0; last < inputs.size() && (last == first || rows < kRowsPerPass);
           ++last) {
        rows += num_rows(inputs[last]);
      }
      for (at::Tensor& memory : read_pass(inputs.subspan(first, last - first)))
        slots.push_back(std::move(memory));
      first = last;
      if (progress) progress(static_cast<double>(last) / static_cast<double>(inputs.size()));
    }
    return slots;
  }

  // One packed pass. With gradients on, what stands before the tags runs first and without them:
  // nothing there is trained, so that only the tags' rows are kept for the way back. Memories of
  // earlier parts do take gradients.
  std::vector<at::Tensor> read_pass(std::span<const PartInput> inputs) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), std::ssize(inputs));
    const bool text_is_constant = c10::GradMode::is_enabled() &&
                                  std::all_of(inputs.begin(), inputs.end(), [](const PartInput& i) {
                                    return i.earlier.empty();
                                  });
    std::vector<at::Tensor> text, tags, whole;
    std::vector<int64_t> sizes;
    for (int64_t i = 0; i < std::ssize(inputs); ++i) {
      prefill_prefix(inputs[i], cache, i);
      text.push_back(text_rows(inputs[i]));
      tags.push_back(tag_rows(inputs[i]));
      whole.push_back(at::cat({text.back(), tags.back()}, 0));
      check_window(cache.length(i) + whole.back().size(0));
      sizes.push_back(inputs[i].num_tags);
    }
    if (text_is_constant) {
      const c10::NoGradGuard no_grad;
      decoder_.forward(pack(text, cache), cache);
    }
    const at::Tensor hidden = decoder_.forward(pack(text_is_constant ? tags : whole, cache), cache);
    return connect(text_is_constant ? hidden : last_rows(hidden, whole, sizes))
        .split_with_sizes(sizes, 0);
  }

  void check_window(int64_t rows) const {
    PRECIS_CHECK(
        rows <= decoder_.config().context_length,
        kInvalidArgument,
        "selfcp: a pass over ",
        rows,
        " rows (what stands before the segment, the segment and its tags) does not fit the ",
        "model's window of ",
        decoder_.config().context_length,
        "; use shorter segments");
  }

  // The sequences of rows side by side, each continuing its sequence of the cache.
  DecoderInput pack(std::span<const at::Tensor> sequences, const KvCache& cache) const {
    const auto index_options = at::TensorOptions(at::kLong).device(decoder_.options().device());
    DecoderInput input;
    std::vector<at::Tensor> positions;
    input.sequence_starts.push_back(0);
    for (int64_t i = 0; i < std::ssize(sequences); ++i) {
      const int64_t start = cache.length(i), length = sequences[i].size(0);
      positions.push_back(at::arange(start, start + length, index_options));
      input.sequence_starts.push_back(input.sequence_starts.back() + length);
      input.cache_sequences.push_back(i);
    }
    input.embeddings = at::cat(at::TensorList(sequences.data(), sequences.size()), 0);
    input.positions = at::cat(positions, 0);
    return input;
  }

  // The last sizes[i] rows of each sequence.
  static at::Tensor last_rows(const at::Tensor& hidden,
                              std::span<const at::Tensor> sequences,
                              std::span<const int64_t> sizes) {
    std::vector<at::Tensor> rows;
    int64_t end = 0;
    for (size_t i = 0; i < sequences.size(); ++i) {
      end += sequences[i].size(0);
      rows.push_back(hidden.narrow(0, end - sizes[i], sizes[i]));
    }
    return at::cat(rows, 0);
  }

  // Copies the shared prefix into a sequence of the cache.
  void prefill_prefix(const PartInput& input, KvCache& cache, int64_t sequence) const {
    if (input.prefix == nullptr) return;
    cache.copy_sequence(input.prefix->keys_and_values(decoder_), 0, sequence);
  }

  // [earlier memories, separator, part]
  at::Tensor text_rows(const PartInput& input) const {
    std::vector<TokenId> ids;
    if (config_.separator) ids.push_back(*config_.separator);
    ids.insert(ids.end(), input.tokens.begin(), input.tokens.end());
    std::vector<at::Tensor> rows = input.earlier;
    rows.push_back(decoder_.embed(at::tensor(ids, at::kLong).to(decoder_.options().device())));
    return at::cat(rows, 0);
  }

  at::Tensor tag_rows(const PartInput& input) const {
    return weights_.tag_embedding.to(c10::typeMetaToScalarType(decoder_.options().dtype()))
        .unsqueeze(0)
        .expand({input.num_tags, decoder_.config().hidden_size});
  }

  // LN(W h + b), in the precision of the weights. [m, hidden] -> the same
  at::Tensor connect(const at::Tensor& hidden) const {
    const at::Tensor wide = hidden.to(weights_.connector_weight.scalar_type());
    at::Tensor out = at::linear(wide, weights_.connector_weight, weights_.connector_bias);
    if (config_.layer_norm) {
      out = at::layer_norm(
          out, {out.size(-1)}, weights_.norm_weight, weights_.norm_bias, kLayerNormEpsilon);
    }
    return out.to(hidden.scalar_type());
  }

  SelfCpConfig config_;
  SelfCpWeights weights_;
  const Decoder& decoder_;
};

c10::TensorOptions parameter_options(const Decoder& decoder) {
  const auto options = decoder.options();
  return options.dtype() == at::kDouble ? options : options.dtype(at::kFloat);
}

void check_config(const SelfCpConfig& config,
                  const Decoder& decoder,
                  ErrorKind kind,
                  const std::string& origin) {
  if (!(config.ratio >= 1 && std::isfinite(config.ratio)))
    fail(kind, origin, ": ratio is ", config.ratio, ", expected at least 1");
  if (config.max_segment < 1)
    fail(kind, origin, ": max_segment is ", config.max_segment, ", expected at least 1");
  std::vector<TokenId> ids = config.continuation_mark;
  if (config.separator) ids.push_back(*config.separator);
  for (const TokenId id : ids) {
    if (id >= 0 && id < decoder.config().vocab_size) continue;
    fail(kind,
         origin,
         ": id ",
         id,
         " is outside the model's vocabulary of ",
         decoder.config().vocab_size);
  }
}

SelfCpConfig read_config(const CompressorFiles& files, const Decoder& decoder) {
  const Settings settings(files);
  SelfCpConfig config;
  config.ratio = settings.number("ratio");
  config.max_segment = settings.integer("max_segment");
  config.layer_norm = settings.flag("layer_norm", true);
  config.reads_prefix = settings.flag("reads_prefix", true);
  if (settings.has("separator_id")) config.separator = settings.id("separator_id");
  config.continuation_mark = settings.ids("continuation_mark");
  check_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  return config;
}

}  // namespace

std::unique_ptr<Compressor> make_selfcp(const SelfCpConfig& config,
                                        SelfCpWeights weights,
                                        const Decoder& decoder) {
  check_config(config, decoder, ErrorKind::kInvalidArgument, "selfcp");
  return std::make_unique<SelfCp>(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> load_selfcp(const CompressorFiles& files, const Decoder& decoder) {
  check_base(files, decoder);
  const SelfCpConfig config = read_config(files, decoder);
  const Weights stored = files.weights(parameter_options(decoder));
  const int64_t hidden = decoder.config().hidden_size;
  SelfCpWeights weights;
  weights.connector_weight = stored.take("connector.weight", {hidden, hidden});
  weights.connector_bias = stored.take("connector.bias", {hidden});
  weights.tag_embedding = stored.take("tag_embedding", {hidden});
  if (config.layer_norm) {
    weights.norm_weight = stored.take("norm.weight", {hidden});
    weights.norm_bias = stored.take("norm.bias", {hidden});
  }
  const auto unread = stored.unread();
  PRECIS_CHECK(
      unread.empty(), kBadWeights, stored.source().origin(), ": surplus tensor ", unread.front());
  return make_selfcp(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> create_selfcp(const SelfCpConfig& config, const Decoder& decoder) {
  const auto options = parameter_options(decoder);
  const int64_t hidden = decoder.config().hidden_size;
  const auto all_ids = at::arange(decoder.config().vocab_size,
                                  at::TensorOptions(at::kLong).device(options.device()));
  const at::Tensor table = decoder.embed(all_ids).to(options.dtype());
  const at::Tensor mean = table.mean(0);
  SelfCpWeights weights;
  weights.connector_weight = at::eye(hidden, options);
  weights.connector_bias = at::zeros({hidden}, options);
  weights.tag_embedding = mean.clone();
  if (config.layer_norm) {
    weights.norm_weight = (table.square().mean().sqrt() / 4).expand({hidden}).clone();
    weights.norm_bias = mean.clone();
  }
  return make_selfcp(config, std::move(weights), decoder);
}

}  // namespace precis
