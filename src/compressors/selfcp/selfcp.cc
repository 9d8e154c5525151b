// SPDX-License-Identifier: Apache-2.0
#include "compressors/selfcp/selfcp.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "compressors/divide.h"
#include "compressors/passes.h"
#include "compressors/request_checks.h"
#include "precis/extend/forward_outputs.h"

namespace precis {
namespace {

constexpr const char* kMethod = "selfcp";

// Input of one chunk's pass: what precedes it, the chunk, its tags.
struct ChunkInput {
  const SharedPrefix* prefix;       // null: none
  std::vector<at::Tensor> earlier;  // memories that the chunk reads, [k, hidden] each
  std::span<const TokenId> tokens;
  int64_t num_tags;
  bool recompute_activations;
};

int64_t num_pass_tokens(const ChunkInput& input) {
  int64_t size = std::ssize(input.tokens) + input.num_tags;
  if (input.prefix != nullptr) size += input.prefix->size();
  for (const at::Tensor& memory : input.earlier) size += memory.size(0);
  return size;
}

class SelfCp final : public Compressor {
 public:
  SelfCp(const SelfCpConfig& config, SelfCpWeights weights, const Decoder& decoder)
      : config_(config), weights_(std::move(weights)), decoder_(decoder) {}

  CompressorInfo info() const override {
    CompressorInfo info;
    info.method = kMethod;
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
    check_not_empty(num_tokens, kMethod);
    const auto chunks = divide(num_tokens, chunk_limit(options, config_.max_segment, kMethod));
    if (options.chaining == Chaining::kRecursive) return num_tags(chunks.back().size, options);
    int64_t sum = 0;
    for (const TokenRange& chunk : chunks) sum += num_tags(chunk.size, options);
    return sum;
  }

  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    for (const Segment& segment : segments) check_segment(segment, decoder_, kMethod);
    const auto slots = options.chaining == Chaining::kIndependent
                           ? compress_independent(segments, options)
                           : compress_chained(segments, options);
    std::vector<MemoryTensors> memories;
    for (const std::vector<at::Tensor>& chunks : slots) {
      memories.push_back(SoftTokens{options.chaining == Chaining::kRecursive ? chunks.back()
                                                                             : at::cat(chunks, 0)});
    }
    return memories;
  }

  MemoryTemplate memory_template(MemoryUse use) const override {
    PRECIS_CHECK(use != MemoryUse::kAutoencode,
                 kUnsupported,
                 "selfcp: it is not trained to say a text again");
    MemoryTemplate around;
    if (use == MemoryUse::kContinue && !config_.continuation_mark.empty())
      around.after.push_back(config_.continuation_mark);
    return around;
  }

  std::vector<NamedTensor> parameters() override { return tensors(); }

  void save(const std::filesystem::path& directory) const override {
    save_compressor(directory, describe(kMethod, decoder_, selfcp_settings, config_), tensors());
  }

 private:
  using ChunkSlots = std::vector<std::vector<at::Tensor>>;  // [segment][chunk], [m, hidden] each

  std::vector<NamedTensor> tensors() const {
    std::vector<NamedTensor> all{{"tag_embedding", weights_.tag_embedding}};
    add_tensors(weights_.connector, all);
    return all;
  }

  // Hash of the weights and of the settings that memories depend on.
  std::string fingerprint() const {
    Hasher hasher;
    hasher.add(fingerprint_of(tensors()));
    hasher.add(config_.separator.value_or(-1));
    return hasher.hex();
  }

  int64_t num_tags(int64_t num_tokens, const CompressOptions& options) const {
    return tokens_at_ratio(num_tokens, ratio_of(options, config_.ratio, kMethod));
  }

  ChunkInput chunk_input(const Segment& segment,
                         const TokenRange& range,
                         const CompressOptions& options) const {
    const bool prefixed = config_.reads_prefix && segment.prefix && segment.prefix->size() > 0;
    return {prefixed ? segment.prefix.get() : nullptr,
            {},
            std::span(segment.tokens).subspan(range.first, range.size),
            num_tags(range.size, options),
            segment.recompute_activations};
  }

  // "cat" in the paper: all chunks of all segments in one batch.
  ChunkSlots compress_independent(std::span<const Segment> segments,
                                  const CompressOptions& options) const {
    std::vector<ChunkInput> inputs;
    std::vector<size_t> owner;
    for (size_t i = 0; i < segments.size(); ++i) {
      for (const TokenRange& range : divide(std::ssize(segments[i].tokens),
                                            chunk_limit(options, config_.max_segment, kMethod))) {
        inputs.push_back(chunk_input(segments[i], range, options));
        owner.push_back(i);
      }
    }
    const std::vector<at::Tensor> slots = read(inputs, options.progress);
    ChunkSlots result(segments.size());
    for (size_t i = 0; i < slots.size(); ++i) result[owner[i]].push_back(slots[i]);
    return result;
  }

  // "concat" and "recursive" in the paper: step t runs chunk t of every segment, in one batch.
  ChunkSlots compress_chained(std::span<const Segment> segments,
                              const CompressOptions& options) const {
    std::vector<std::vector<TokenRange>> ranges;
    size_t longest = 0;
    for (const Segment& segment : segments) {
      ranges.push_back(
          divide(std::ssize(segment.tokens), chunk_limit(options, config_.max_segment, kMethod)));
      longest = std::max(longest, ranges.back().size());
    }
    ChunkSlots result(segments.size());
    for (size_t t = 0; t < longest; ++t) {
      std::vector<ChunkInput> inputs;
      std::vector<size_t> owner;
      for (size_t i = 0; i < segments.size(); ++i) {
        if (t >= ranges[i].size()) continue;
        inputs.push_back(chunk_input(segments[i], ranges[i][t], options));
        if (options.chaining == Chaining::kConcat) inputs.back().earlier = result[i];
        if (options.chaining == Chaining::kRecursive && t > 0)
          inputs.back().earlier = {result[i].back()};
        owner.push_back(i);
      }
      const std::vector<at::Tensor> slots = read(inputs, {});
      for (size_t i = 0; i < slots.size(); ++i) result[owner[i]].push_back(slots[i]);
      report_progress(options.progress, static_cast<double>(t + 1) / static_cast<double>(longest));
    }
    return result;
  }

  // The memory of each chunk, in passes of bounded size.
  std::vector<at::Tensor> read(std::span<const ChunkInput> inputs,
                               const CompressProgress& progress) const {
    std::vector<at::Tensor> slots;
    read_in_passes(
        std::ssize(inputs),
        [&](int64_t input) { return num_pass_tokens(inputs[input]); },
        [&](int64_t first, int64_t last) {
          for (at::Tensor& memory : read_pass(inputs.subspan(first, last - first)))
            slots.push_back(std::move(memory));
        },
        progress);
    return slots;
  }

  // One packed pass. With gradients on, the text before the tags runs first, under no_grad: nothing
  // there is trained, so that only the tags' activations are kept for the backward pass. Not so if
  // the text includes memories of earlier chunks, which take gradients.
  std::vector<at::Tensor> read_pass(std::span<const ChunkInput> inputs) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), std::ssize(inputs));
    const bool text_is_constant =
        c10::GradMode::is_enabled() &&
        std::all_of(
            inputs.begin(), inputs.end(), [](const ChunkInput& i) { return i.earlier.empty(); });
    std::vector<at::Tensor> text, tags, whole;
    std::vector<int64_t> sizes;
    for (int64_t i = 0; i < std::ssize(inputs); ++i) {
      prefill_prefix(inputs[i], cache, i);
      text.push_back(text_embeddings(inputs[i]));
      tags.push_back(tag_embeddings(inputs[i]));
      whole.push_back(at::cat({text.back(), tags.back()}, 0));
      check_window(cache.length(i) + whole.back().size(0),
                   decoder_,
                   kMethod,
                   "what stands before the segment, the segment and its tags");
      sizes.push_back(inputs[i].num_tags);
    }
    if (text_is_constant) {
      const c10::NoGradGuard no_grad;
      fill_cache(decoder_, text, cache);
    }
    DecoderInput input = pack(decoder_, text_is_constant ? tags : whole, cache);
    input.output_indices = last_rows(input, sizes);
    input.recompute_activations = std::ranges::any_of(inputs, &ChunkInput::recompute_activations);
    return connect(weights_.connector, forward_outputs(decoder_, input, cache))
        .split_with_sizes(sizes, 0);
  }

  // Copies the shared prefix into a sequence of the cache.
  void prefill_prefix(const ChunkInput& input, KvCache& cache, int64_t sequence) const {
    if (input.prefix == nullptr) return;
    cache.copy_sequence(input.prefix->keys_and_values(decoder_), 0, sequence);
  }

  // Embeddings of earlier memories, separator and chunk, [n, hidden].
  at::Tensor text_embeddings(const ChunkInput& input) const {
    std::vector<at::Tensor> inputs = input.earlier;
    if (config_.separator) inputs.push_back(embed(decoder_, {&*config_.separator, 1}));
    inputs.push_back(embed(decoder_, input.tokens));
    return at::cat(inputs, 0);
  }

  at::Tensor tag_embeddings(const ChunkInput& input) const {
    return as_rows(weights_.tag_embedding, decoder_)
        .unsqueeze(0)
        .expand({input.num_tags, decoder_.config().hidden_size});
  }

  SelfCpConfig config_;
  SelfCpWeights weights_;
  const Decoder& decoder_;
};

void check_config(SelfCpConfig config,
                  const Decoder& decoder,
                  ErrorKind kind,
                  const std::string& origin) {
  check_limits(selfcp_settings(config), kind, origin);
  std::vector<TokenId> ids = config.continuation_mark;
  if (config.separator) ids.push_back(*config.separator);
  check_template_ids(ids, decoder, kind, origin);
}

ConnectorNorm norm_of(const SelfCpConfig& config) {
  return config.layer_norm ? ConnectorNorm::kLayerNorm : ConnectorNorm::kNone;
}

}  // namespace

SettingTable selfcp_settings(SelfCpConfig& config) {
  using enum Setting::Limit;
  return {{"ratio", &config.ratio, kAtLeast1, "text tokens per memory token"},
          {"max_segment", &config.max_segment, kAtLeast1, "text tokens in one pass"},
          {"layer_norm", &config.layer_norm},
          {"reads_prefix", &config.reads_prefix},
          {"separator_id",
           &config.separator,
           kNone,
           "id of a token to read before the text",
           "separator"},
          {"continuation_mark", &config.continuation_mark}};
}

std::unique_ptr<Compressor> make_selfcp(const SelfCpConfig& config,
                                        SelfCpWeights weights,
                                        const Decoder& decoder) {
  check_config(config, decoder, ErrorKind::kInvalidArgument, kMethod);
  return std::make_unique<SelfCp>(config, std::move(weights), decoder);
}

SelfCpWeights take_selfcp_weights(const Weights& stored,
                                  const SelfCpConfig& config,
                                  const Decoder& decoder) {
  const int64_t hidden = decoder.config().hidden_size;
  SelfCpWeights weights;
  weights.connector = take_connector(stored, hidden, norm_of(config));
  weights.tag_embedding = stored.take("tag_embedding", {hidden});
  stored.check_all_taken();
  return weights;
}

std::unique_ptr<Compressor> load_selfcp(const CompressorFiles& files, const Decoder& decoder) {
  check_base(files, decoder);
  SelfCpConfig config;
  read_settings(files, selfcp_settings(config));
  check_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  const Weights stored = files.weights(parameter_options(decoder));
  return make_selfcp(config, take_selfcp_weights(stored, config, decoder), decoder);
}

std::unique_ptr<Compressor> create_selfcp(const SelfCpConfig& config, const Decoder& decoder) {
  const EmbeddingStatistics embeddings = embedding_statistics(decoder);
  return make_selfcp(
      config, {create_connector(embeddings, norm_of(config)), embeddings.mean.clone()}, decoder);
}

}  // namespace precis
