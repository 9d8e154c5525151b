// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/gisting.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "compressors/chunks.h"
#include "compressors/divide.h"
#include "compressors/gisting/gisting_config.h"
#include "compressors/gisting/gisting_weights.h"
#include "compressors/parameters.h"
#include "compressors/passes.h"
#include "compressors/request_checks.h"
#include "ops/copy_to_device.h"

namespace precis {
namespace {

using Form = GistingConfig::Form;

constexpr const char* kMethod = "gisting";

// Index in the chunk of the token whose position spread gist `index` of `count` takes: the last
// token of its equal share.
constexpr int64_t gist_index(int64_t index, int64_t count, int64_t num_tokens) {
  return (index + 1) * num_tokens / count - 1;
}

class Gisting final : public Compressor {
 public:
  Gisting(const GistingConfig& config, GistingWeights weights, const Decoder& decoder)
      : config_(config), weights_(std::move(weights)), decoder_(decoder) {
    if (config.form == Form::kFrozen) tensors_.push_back({"gist_embeddings", weights_.embeddings});
    for (const AdaptedProjection& one : adapted_projections(weights_.adapter, decoder.config())) {
      one.change.scale = config.alpha / static_cast<double>(config.rank);
      tensors_.push_back({one.name + ".lora_A.weight", one.change.down});
      tensors_.push_back({one.name + ".lora_B.weight", one.change.up});
    }
  }

  CompressorInfo info() const override {
    CompressorInfo info;
    info.method = kMethod;
    info.max_segment = config_.max_segment;
    info.any_ratio = config_.ratio.has_value();
    if (config_.ratio) {
      info.ratio = *config_.ratio;
    } else {
      info.ratio =
          static_cast<double>(config_.max_segment) / static_cast<double>(config_.num_gists);
      info.slots = config_.num_gists;
    }
    info.divides = config_.spread_positions;
    info.cached = true;
    if (config_.gist_id) info.reserved_ids = {*config_.gist_id};
    for (const NamedTensor& named : tensors_) info.num_parameters += named.tensor.numel();
    info.fingerprint = fingerprint();
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    int64_t size = 0;
    for (const TokenRange& chunk : divide(num_tokens, checked_limit(num_tokens, options))) {
      const int64_t gists = num_gists(chunk.size, options);
      size += gists + (keeps_first_token(chunk.size, gists) ? 1 : 0);
    }
    return size;
  }

  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    for (const Segment& segment : segments) check(segment, options);
    const Chunks divided = divide_segments(segments, limit_of(options));
    const std::span<const Chunk> chunks = divided.chunks;
    const bool recompute = std::ranges::any_of(segments, &Segment::recompute_activations);
    std::vector<CachedTokens> memories;
    read_in_passes(
        std::ssize(chunks),
        [&](int64_t chunk) { return num_pass_tokens(std::ssize(chunks[chunk]), options); },
        [&](int64_t first, int64_t last) {
          const auto of_pass = chunks.subspan(first, last - first);
          for (CachedTokens& memory : read_pass(of_pass, options, recompute))
            memories.push_back(std::move(memory));
        },
        options.progress);
    return join_cached(memories,
                       divided.ends,
                       options.positions.value_or(MemoryPositions::kText),
                       decoder_.config());
  }

  // No `before`: before_text is read with the segment when the memory is computed.
  MemoryTemplate memory_template(MemoryUse use) const override {
    PRECIS_CHECK(use != MemoryUse::kAutoencode,
                 kUnsupported,
                 "gisting: it is not trained to say a text again");
    MemoryTemplate around;
    if (use == MemoryUse::kContinue) return around;
    if (!config_.after.empty()) around.after.push_back(config_.after);
    if (!config_.end.empty()) around.end.push_back(config_.end);
    return around;
  }

  std::vector<NamedTensor> parameters() override { return tensors_; }

  void save(const std::filesystem::path& directory) const override {
    save_compressor(directory, describe(kMethod, decoder_, gisting_settings, config_), tensors_);
  }

 private:
  // Hash of the weights and of the settings that memories depend on.
  std::string fingerprint() const {
    Hasher hasher;
    hasher.add(fingerprint_of(tensors_));
    hasher.add(config_.num_gists);
    // Hashed only if there is a ratio, so that fingerprints from before ratios existed stay valid.
    if (config_.ratio) hasher.add(concat("ratio ", *config_.ratio));
    hasher.add(config_.gist_id.value_or(-1));
    if (config_.spread_positions) hasher.add("spread");
    if (!weights_.adapter.layers.empty()) hasher.add(concat(config_.alpha));
    for (const TokenId id : config_.before_text) hasher.add(id);
    return hasher.hex();
  }

  // REQUIRES: options that limit_of() accepts.
  int64_t num_gists(int64_t num_tokens, const CompressOptions& options) const {
    return config_.ratio ? tokens_at_ratio(num_tokens, options.ratio.value_or(*config_.ratio))
                         : config_.num_gists;
  }

  int64_t num_pass_tokens(int64_t num_tokens, const CompressOptions& options) const {
    return std::ssize(config_.before_text) + num_tokens + num_gists(num_tokens, options);
  }

  int64_t limit_of(const CompressOptions& options) const {
    if (config_.ratio)
      ratio_of(options, *config_.ratio, kMethod);
    else
      refuse_ratio(options, config_.num_gists, kMethod);
    refuse_chaining(options, kMethod);
    return chunk_limit(options, config_.max_segment, kMethod);
  }

  // Most tokens of a chunk. With gists after the text, as published, a segment is one chunk.
  int64_t checked_limit(int64_t num_tokens, const CompressOptions& options) const {
    const int64_t limit = limit_of(options);
    check_not_empty(num_tokens, kMethod);
    PRECIS_CHECK(config_.spread_positions || num_tokens <= limit,
                 kInvalidArgument,
                 "gisting: a segment of ",
                 num_tokens,
                 " tokens is over the limit of ",
                 limit,
                 "; a memory of gists behind the text cannot be made of chunks");
    if (!config_.spread_positions) {
      check_window(num_pass_tokens(num_tokens, options),
                   decoder_,
                   kMethod,
                   "the text before the segment, the segment and its gists");
      return limit;
    }
    if (options.positions == MemoryPositions::kRows) return limit;
    // Spread gists take no positions of their own.
    const int64_t before = std::ssize(config_.before_text),
                  window = decoder_.config().context_length;
    const int64_t positions = num_tokens + std::ssize(divide(num_tokens, limit)) * before;
    PRECIS_CHECK(positions <= window,
                 kInvalidArgument,
                 "gisting: spread gists keep the positions of their text, and the ",
                 positions,
                 " of this one are over the model's window of ",
                 window,
                 "; positions of the memory's rows are fewer (CompressOptions::positions, "
                 "--positions rows)");
    return limit;
  }

  // Whether keys and values of the first token read are kept with the spread gists: it is an
  // attention sink, without which models fail (Xiao et al., 2024, arXiv 2309.17453). A gist at its
  // position takes its place.
  bool keeps_first_token(int64_t num_tokens, int64_t gists) const {
    if (!config_.spread_positions) return false;
    return !config_.before_text.empty() || gist_index(0, gists, num_tokens) > 0;
  }

  void check(const Segment& segment, const CompressOptions& options) const {
    checked_limit(std::ssize(segment.tokens), options);
    check_segment(segment, decoder_, kMethod);
    for (const TokenId id : segment.tokens) {
      PRECIS_CHECK(id != config_.gist_id,
                   kInvalidArgument,
                   "gisting: id ",
                   id,
                   " is the gist itself and cannot stand in a text");
    }
  }

  std::vector<CachedTokens> read_pass(std::span<const Chunk> chunks,
                                      const CompressOptions& options,
                                      bool recompute) const {
    return config_.spread_positions ? read_spread(chunks, options, recompute)
                                    : read_after(chunks, options, recompute);
  }

  // One packed pass. With gradients on, the frozen form runs the text first, under no_grad: nothing
  // there is trained, so that only the gists' activations are kept for the backward pass.
  std::vector<CachedTokens> read_after(std::span<const Chunk> chunks,
                                       const CompressOptions& options,
                                       bool recompute) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), std::ssize(chunks));
    const bool text_is_constant = c10::GradMode::is_enabled() && config_.form == Form::kFrozen;
    std::vector<at::Tensor> text, gists, whole;
    for (const Chunk& chunk : chunks) {
      text.push_back(text_embeddings(chunk));
      gists.push_back(gist_embeddings_of(num_gists(std::ssize(chunk), options)));
      whole.push_back(at::cat({text.back(), gists.back()}, 0));
    }
    if (text_is_constant) read_text(text, cache);
    DecoderInput input = pack(decoder_, text_is_constant ? gists : whole, cache);
    if (!text_is_constant)
      input.adapted_rows = gist_marks(text, gists);  // else the pass has gists only
    input.output_indices = last_rows(input, std::vector<int64_t>(chunks.size(), 0));
    input.recompute_activations = recompute;
    decoder_.forward(input, cache, adapter());
    std::vector<CachedTokens> memories;
    for (int64_t i = 0; i < std::ssize(chunks); ++i) {
      const int64_t first = text[i].size(0), count = gists[i].size(0);
      const TokenRange own{first, count};
      memories.push_back(cached_rows(cache, i, {&own, 1}, {first, first + count}));
    }
    return memories;
  }

  // Reads the text, then its gists, each of which attends to the text before its position and to
  // itself.
  std::vector<CachedTokens> read_spread(std::span<const Chunk> chunks,
                                        const CompressOptions& options,
                                        bool recompute) const {
    KvCache cache(decoder_.config().kv_shape(), decoder_.options(), std::ssize(chunks));
    std::vector<at::Tensor> text, gists, positions;
    for (const Chunk& chunk : chunks) {
      text.push_back(text_embeddings(chunk));
      const int64_t count = num_gists(std::ssize(chunk), options);
      positions.push_back(gist_positions(count, std::ssize(chunk)));
      gists.push_back(text.back().index_select(0, positions.back()) + gist_embeddings_of(count));
    }
    read_text(text, cache);
    DecoderInput input = pack(decoder_, gists, cache);
    input.visible_cache_len = input.positions = at::cat(positions, 0);
    input.output_indices = last_rows(input, std::vector<int64_t>(chunks.size(), 0));
    input.recompute_activations = recompute;
    decoder_.forward(input, cache, adapter());
    std::vector<CachedTokens> memories;
    for (int64_t i = 0; i < std::ssize(chunks); ++i) {
      const int64_t read = text[i].size(0), count = gists[i].size(0);
      std::vector<TokenRange> kept{{read, count}};
      if (keeps_first_token(std::ssize(chunks[i]), count)) kept.insert(kept.begin(), {0, 1});
      memories.push_back(cached_rows(cache, i, kept, {0, read}));
    }
    return memories;
  }

  // Under no_grad: keys and values of the text depend on no trained weights.
  void read_text(const std::vector<at::Tensor>& text, KvCache& cache) const {
    const c10::NoGradGuard no_grad;
    fill_cache(decoder_, text, cache);
  }

  // Positions of the gists, counted from the start of before_text, [count] int64.
  at::Tensor gist_positions(int64_t count, int64_t num_tokens) const {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < count; ++i)
      positions.push_back(std::ssize(config_.before_text) + gist_index(i, count, num_tokens));
    return ops::copy_to_device_async(at::tensor(positions, at::kLong), decoder_.options().device());
  }

  // Mask of the pass's tokens, true for the gists, which follow the text of each sequence,
  // [num_tokens] bool.
  at::Tensor gist_marks(const std::vector<at::Tensor>& text,
                        const std::vector<at::Tensor>& gists) const {
    std::vector<at::Tensor> marks;
    for (size_t i = 0; i < text.size(); ++i) {
      marks.push_back(at::zeros({text[i].size(0)}, at::kBool));
      marks.push_back(at::ones({gists[i].size(0)}, at::kBool));
    }
    return ops::copy_to_device_async(at::cat(marks, 0), decoder_.options().device());
  }

  // Embeddings of before_text and chunk, [n, hidden].
  at::Tensor text_embeddings(const Chunk& chunk) const {
    std::vector<TokenId> ids = config_.before_text;
    ids.insert(ids.end(), chunk.begin(), chunk.end());
    return embed(decoder_, ids);
  }

  at::Tensor gist_embeddings_of(int64_t count) const {
    if (config_.form == Form::kTuned)
      return embed(decoder_, std::vector<TokenId>(count, *config_.gist_id));
    const at::Tensor gists = as_rows(weights_.embeddings, decoder_);
    return config_.ratio ? gists.expand({count, gists.size(1)}) : gists;
  }

  const Adapter* adapter() const {
    return weights_.adapter.layers.empty() ? nullptr : &weights_.adapter;
  }

  GistingConfig config_;
  GistingWeights weights_;
  const Decoder& decoder_;
  std::vector<NamedTensor> tensors_;
};

}  // namespace

std::unique_ptr<Compressor> make_gisting(const GistingConfig& config,
                                         GistingWeights weights,
                                         const Decoder& decoder) {
  check_gisting_config(config, decoder, ErrorKind::kInvalidArgument, kMethod);
  check_gisting_weights(weights, config, decoder);
  return std::make_unique<Gisting>(config, std::move(weights), decoder);
}

}  // namespace precis
