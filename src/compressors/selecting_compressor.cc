// SPDX-License-Identifier: Apache-2.0
#include "compressors/selecting_compressor.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/hash.h"
#include "compressors/chunks.h"
#include "compressors/divide.h"
#include "compressors/passes.h"
#include "compressors/request_checks.h"
#include "compressors/row_layout.h"
#include "compressors/setting_table.h"

namespace precis {
namespace {

constexpr double kRatio = 4.0;

class SelectingCompressor final : public Compressor {
 public:
  SelectingCompressor(const SelectionMethod& method,
                      SelectionPrompts prompts,
                      const Decoder& decoder)
      : method_(method),
        prompts_(std::move(prompts)),
        selector_(method.make_selector(prompts_, decoder)),
        decoder_(decoder) {}

  CompressorInfo info() const override {
    CompressorInfo info;
    info.method = method_.name;
    info.ratio = kRatio;
    info.any_ratio = true;
    info.max_segment = max_segment();
    info.cached = true;
    info.fingerprint = fingerprint();
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    check_not_empty(num_tokens, method_.name);
    int64_t total = 0;
    for (const TokenRange& chunk : divide(num_tokens, limit_of(options))) {
      const ChunkSize size = size_of(chunk.size, ratio(options), total == 0);
      total += total == 0 ? size.count : size.count - size.num_sinks;
    }
    return total;
  }

  // One chunk per pass, so that a memory does not depend on the rest of the batch.
  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    const c10::NoGradGuard no_grad;
    for (const Segment& segment : segments) check_segment(segment, decoder_, method_.name);
    const Chunks divided = divide_segments(segments, limit_of(options));
    const int64_t num_chunks = std::ssize(divided.chunks);
    std::vector<MemoryTensors> memories;
    std::vector<PlacedRows> chunks;  // of the current segment
    for (int64_t i = 0; i < num_chunks; ++i) {
      const auto report = [&](double done) {
        report_progress(options.progress,
                        (static_cast<double>(i) + done) / static_cast<double>(num_chunks));
        return true;
      };
      chunks.push_back(read(divided.chunks[i], ratio(options), chunks.empty(), report));
      report(1.0);
      if (i + 1 < divided.ends[memories.size()]) continue;
      memories.emplace_back(laid_out(chunks, positions_of(options), decoder_.config()));
      chunks.clear();
    }
    return memories;
  }

  MemoryTemplate memory_template(MemoryUse use) const override {
    PRECIS_CHECK(use != MemoryUse::kAutoencode,
                 kUnsupported,
                 method_.name,
                 ": it is not trained to say a text again; ask for it in the model's chat");
    return {};
  }

  std::vector<NamedTensor> parameters() override { return {}; }

  void save(const std::filesystem::path& directory) const override {
    save_compressor(directory,
                    {{"method", method_.name},
                     {"base", describe_base(decoder_)},
                     {"bos", prompts_.bos},
                     {"repeat", prompts_.repeat}},
                    {});
  }

 private:
  static MemoryPositions positions_of(const CompressOptions& options) {
    return options.positions.value_or(MemoryPositions::kRows);
  }

  std::string fingerprint() const {
    Hasher hasher;
    hasher.add(method_.name);
    for (const TokenId id : prompts_.bos) hasher.add(id);
    hasher.add(selector_->settings());
    return hasher.hex();
  }

  int64_t num_kept() const { return std::max<int64_t>(1, std::ssize(prompts_.bos)); }

  int64_t max_segment() const {
    return method_.longest_text(decoder_.config().context_length, std::ssize(prompts_.repeat)) -
           std::ssize(prompts_.bos);
  }

  double ratio(const CompressOptions& options) const {
    return ratio_of(options, kRatio, method_.name);
  }

  int64_t limit_of(const CompressOptions& options) const {
    ratio(options);
    refuse_chaining(options, method_.name);
    PRECIS_CHECK(max_segment() >= 1,
                 kUnsupported,
                 method_.name,
                 ": the model's window of ",
                 decoder_.config().context_length,
                 " tokens has no room for a text and what is read beside it");
    return chunk_limit(options, max_segment(), method_.name);
  }

  // Number of tokens kept of a chunk. The first chunk keeps floor(num_tokens / ratio), including
  // the sinks, but at least the sinks and one more, if the text has it; all at a ratio of one.
  // Later chunks are read with sinks of their own, which are then dropped.
  struct ChunkSize {
    int64_t count;      // tokens kept of those read
    int64_t num_sinks;  // sinks at the beginning of them
  };

  ChunkSize size_of(int64_t num_tokens, double ratio, bool first) const {
    const int64_t before = std::ssize(prompts_.bos), read = before + num_tokens;
    const int64_t wanted = tokens_at_ratio(num_tokens, ratio);
    if (wanted == num_tokens) return {read, first ? num_kept() : before};
    if (!first) return {std::min(read, wanted + num_kept()), num_kept()};
    return {std::min(read, std::max(wanted, num_kept() + 1)), num_kept()};
  }

  PlacedRows read(const Chunk& chunk,
                  double ratio,
                  bool first,
                  const CompressProgress& report) const {
    std::vector<TokenId> ids = prompts_.bos;
    ids.insert(ids.end(), chunk.begin(), chunk.end());
    const ChunkSize size = size_of(std::ssize(chunk), ratio, first);
    const SelectionRequest request{ids, num_kept(), size.count, report};
    PlacedRows placed{size.count == std::ssize(ids) ? all_tokens(ids) : selector_->select(request),
                      std::ssize(ids),
                      size.num_sinks,
                      std::ssize(prompts_.bos)};
    PRECIS_CHECK(placed.selected.keys.isfinite().all().item<bool>() &&
                     placed.selected.values.isfinite().all().item<bool>(),
                 kBadWeights,
                 method_.name,
                 ": the model's keys or values are not finite; its weights are damaged");
    return placed;
  }

  SelectedRows all_tokens(std::span<const TokenId> ids) const {
    const KvShape shape = decoder_.config().kv_shape();
    const int64_t n = std::ssize(ids);
    KvCache cache(shape, decoder_.options());
    const at::Tensor text = embed(decoder_, ids);
    fill_cache(decoder_, {&text, 1}, cache);
    const TokenRange all{0, n};
    const CachedTokens read = cached_rows(cache, 0, {&all, 1}, {0, n});
    const int64_t heads = shape.num_layers * shape.num_kv_heads;
    return {read.keys.flatten(0, 2),
            read.values.flatten(0, 2),
            at::arange(n, read.keys.options().dtype(at::kLong)).repeat(heads),
            at::full({shape.num_layers, shape.num_kv_heads}, n, at::kLong)};
  }

  SelectionMethod method_;
  SelectionPrompts prompts_;
  std::unique_ptr<RowSelector> selector_;
  const Decoder& decoder_;
};

}  // namespace

std::unique_ptr<Compressor> make_selecting_compressor(const SelectionMethod& method,
                                                      SelectionPrompts prompts,
                                                      const Decoder& decoder) {
  const std::string origin = method.name;
  check_template_ids(prompts.bos, decoder, ErrorKind::kInvalidArgument, origin + ": bos");
  check_template_ids(prompts.repeat, decoder, ErrorKind::kInvalidArgument, origin + ": repeat");
  return std::make_unique<SelectingCompressor>(method, std::move(prompts), decoder);
}

std::unique_ptr<Compressor> load_selecting_compressor(const SelectionMethod& method,
                                                      const CompressorFiles& files,
                                                      const Decoder& decoder) {
  SelectionPrompts prompts;
  read_settings(files, {{"bos", &prompts.bos}, {"repeat", &prompts.repeat}});
  for (const std::vector<TokenId>* ids : {&prompts.bos, &prompts.repeat})
    check_template_ids(*ids, decoder, ErrorKind::kBadWeights, files.origin());
  files.weights(decoder.options());  // throws where the file is missing or damaged
  return make_selecting_compressor(method, std::move(prompts), decoder);
}

}  // namespace precis
