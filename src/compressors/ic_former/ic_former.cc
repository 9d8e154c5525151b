// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/ic_former.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <numeric>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "compressors/chunks.h"
#include "compressors/divide.h"
#include "compressors/ic_former/ic_former_config.h"
#include "compressors/ic_former/ic_former_encoder.h"
#include "compressors/passes.h"
#include "compressors/request_checks.h"

namespace precis {
namespace {

constexpr const char* kMethod = "ic_former";

// Address and version counter of each weight: equal as long as no weight has changed. Tensors made
// in inference mode have no version counter; they cannot be trained.
using Versions = std::vector<std::pair<const void*, int64_t>>;

void add_version(Versions& versions, const at::Tensor& tensor) {
  versions.emplace_back(tensor.const_data_ptr(), tensor.is_inference() ? 0 : tensor._version());
}

// Kept between calls that compress without gradients.
struct Prepared {
  Versions versions;
  ic_former::IcFormerEncoder encoder;
};

struct Fingerprint {
  Versions versions;
  std::string text;
};

class IcFormer final : public Compressor {
 public:
  IcFormer(const IcFormerConfig& config, IcFormerWeights weights, const Decoder& decoder)
      : config_(config), weights_(std::move(weights)), decoder_(decoder) {}

  CompressorInfo info() const override {
    CompressorInfo info;
    info.method = kMethod;
    info.ratio = static_cast<double>(config_.max_segment) / static_cast<double>(config_.slots);
    info.max_segment = config_.max_segment;
    info.slots = config_.slots;
    for (const NamedTensor& named : tensors()) info.num_parameters += named.tensor.numel();
    info.fingerprint = fingerprint();
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    check_not_empty(num_tokens, kMethod);
    return std::ssize(divide(num_tokens, limit_of(options))) * config_.slots;
  }

  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    for (const Segment& segment : segments) check_segment(segment, decoder_, kMethod);
    const Chunks divided = divide_segments(segments, limit_of(options));
    if (wants_gradients()) return compress_with_gradients(divided, options.progress);
    const c10::NoGradGuard no_grad;
    return compress_in_place(divided, options.progress);
  }

  // In all uses there is no BOS before the memories.
  MemoryTemplate memory_template(MemoryUse use) const override {
    MemoryTemplate around;
    if (use == MemoryUse::kAutoencode)
      around.after.push_back(template_embedding(weights_.autoencode));
    if (use != MemoryUse::kInstruct) return around;
    PRECIS_CHECK(weights_.instruct.defined(),
                 kUnsupported,
                 "ic_former: it is not trained to answer prompts (it has no FT vector)");
    around.after.push_back(template_embedding(weights_.instruct));
    const auto add = [](std::vector<TemplateItem>& items, const std::vector<TokenId>& ids) {
      if (!ids.empty()) items.push_back(ids);
    };
    add(around.before, config_.instruct.before);
    add(around.after, config_.instruct.after);
    add(around.end, config_.instruct.end);
    return around;
  }

  std::vector<NamedTensor> parameters() override { return tensors(); }

  void save(const std::filesystem::path& directory) const override {
    save_compressor(directory, describe(kMethod, decoder_, ic_former_settings, config_), tensors());
  }

 private:
  using TakeMemory = std::function<void(int64_t chunk, at::Tensor memory)>;

  std::vector<NamedTensor> tensors() const {
    std::vector<NamedTensor> all{{"digest_embeddings", weights_.digests},
                                 {"autoencode_embedding", weights_.autoencode}};
    if (weights_.instruct.defined()) all.push_back({"instruct_embedding", weights_.instruct});
    ic_former::for_each_tensor(weights_.net,
                               [&](const std::string& name, const at::Tensor& tensor) {
                                 all.push_back({"encoder." + name, tensor});
                               });
    add_tensors(weights_.connector, all);
    return all;
  }

  // A hash of the weights and of the settings that memories depend on. Cached until weights change,
  // since it reads them all.
  std::string fingerprint() const {
    const std::vector<NamedTensor> all = tensors();
    Versions versions;
    for (const NamedTensor& named : all) add_version(versions, named.tensor);
    const std::lock_guard lock(mutex_);
    if (fingerprint_.versions == versions) return fingerprint_.text;
    Hasher hasher;
    hasher.add(fingerprint_of(all));
    hasher.add(config_.num_heads);
    hasher.add(nlohmann::json{config_.rms_norm_epsilon, config_.rope_base}.dump());
    // "after" is not hashed: fingerprints from before spread positions existed stay valid.
    if (config_.spread_positions) hasher.add("spread");
    fingerprint_ = {std::move(versions), hasher.hex()};
    return fingerprint_.text;
  }

  int64_t limit_of(const CompressOptions& options) const {
    refuse_ratio(options, config_.slots, kMethod);
    refuse_chaining(options, kMethod);
    return chunk_limit(options, config_.max_segment, kMethod);
  }

  // [1, hidden] in the decoder's dtype.
  at::Tensor template_embedding(const at::Tensor& vector) const {
    return as_rows(vector, decoder_).unsqueeze(0);
  }

  std::vector<MemoryTensors> compress_with_gradients(const Chunks& divided,
                                                     const CompressProgress& progress) const {
    const ic_former::IcFormerEncoder encoder(config_, weights_, decoder_, /*token_table=*/false);
    std::vector<at::Tensor> slots(divided.chunks.size());
    encode(divided.chunks, encoder, progress, [&](int64_t chunk, at::Tensor memory) {
      slots[chunk] = std::move(memory);
    });
    return join_slots(slots, divided.ends);
  }

  // Allocates the memory of each segment and fills it chunk by chunk. Concatenating the chunks at
  // the end would hold them twice, and the memory of a long text is large (for 5 MB of text and
  // hidden size 576, 350 MB). For inference only, since autograd would record each copy.
  std::vector<MemoryTensors> compress_in_place(const Chunks& divided,
                                               const CompressProgress& progress) const {
    std::vector<MemoryTensors> memories;
    std::vector<at::Tensor> slots;  // of each chunk, views of its segment's memory
    for (const int64_t end : divided.ends) {
      const int64_t count = end - std::ssize(slots);
      const at::Tensor whole =
          at::empty({count * config_.slots, decoder_.config().hidden_size}, decoder_.options());
      for (const at::Tensor& own : whole.split(config_.slots, 0)) slots.push_back(own);
      memories.emplace_back(SoftTokens{whole});
    }
    encode(divided.chunks,
           prepared()->encoder,
           progress,
           [&](int64_t chunk, const at::Tensor& memory) { slots[chunk].copy_(memory); });
    return memories;
  }

  // Calls `take` with the memory of each chunk, [slots, hidden]. Chunks are encoded in passes of a
  // bounded number of tokens, sorted by length, since equal lengths are one batch.
  void encode(std::span<const Chunk> chunks,
              const ic_former::IcFormerEncoder& encoder,
              const CompressProgress& progress,
              const TakeMemory& take) const {
    std::vector<int64_t> order(chunks.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {}, [&](int64_t chunk) { return chunks[chunk].size(); });
    read_in_passes(
        std::ssize(order),
        [&](int64_t input) { return std::ssize(chunks[order[input]]) + config_.slots; },
        [&](int64_t first, int64_t last) {
          std::vector<Chunk> pass;
          for (int64_t i = first; i < last; ++i) pass.push_back(chunks[order[i]]);
          const auto memories = encoder.encode(pass).split(config_.slots, 0);
          for (int64_t i = first; i < last; ++i) take(order[i], memories[i - first]);
        },
        progress);
  }

  bool wants_gradients() const {
    if (!c10::GradMode::is_enabled()) return false;
    const std::vector<NamedTensor> all = tensors();
    return std::ranges::any_of(
        all, [](const NamedTensor& named) { return named.tensor.requires_grad(); });
  }

  // The encoder for inference, rebuilt if weights have changed.
  std::shared_ptr<const Prepared> prepared() const {
    Versions versions = encoder_versions();
    const std::lock_guard lock(mutex_);
    if (prepared_ && prepared_->versions == versions) return prepared_;
    prepared_.reset();  // before the next is built: each is large
    prepared_ = std::make_shared<const Prepared>(
        Prepared{std::move(versions), {config_, weights_, decoder_, config_.token_table}});
    return prepared_;
  }

  // Versions of the weights that an encoder copies.
  Versions encoder_versions() const {
    Versions versions;
    add_version(versions, weights_.digests);
    ic_former::for_each_tensor(weights_.net, [&](const std::string&, const at::Tensor& tensor) {
      add_version(versions, tensor);
    });
    const at::Tensor& connector = weights_.connector.weight;
    if (connector.defined()) add_version(versions, connector);
    return versions;
  }

  IcFormerConfig config_;
  IcFormerWeights weights_;
  const Decoder& decoder_;
  mutable std::mutex mutex_;  // guards the two caches below
  mutable std::shared_ptr<const Prepared> prepared_;
  mutable Fingerprint fingerprint_;
};

}  // namespace

std::unique_ptr<Compressor> make_ic_former(const IcFormerConfig& config,
                                           IcFormerWeights weights,
                                           const Decoder& decoder) {
  check_ic_former_config(config, decoder, ErrorKind::kInvalidArgument, kMethod);
  if (!config.connector) weights.connector = {};
  return std::make_unique<IcFormer>(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> load_ic_former(const CompressorFiles& files, const Decoder& decoder) {
  check_base(files, decoder);
  const IcFormerConfig config = read_ic_former_config(files, decoder);
  const Weights stored = files.weights(parameter_options(decoder));
  const int64_t hidden = decoder.config().hidden_size;
  IcFormerWeights weights;
  weights.net =
      ic_former::load_digest_net(stored.scope("encoder"), digest_net_size(config, decoder));
  weights.digests = stored.take("digest_embeddings", {config.slots, hidden});
  weights.autoencode = stored.take("autoencode_embedding", {hidden});
  if (stored.has("instruct_embedding"))
    weights.instruct = stored.take("instruct_embedding", {hidden});
  if (config.connector)
    weights.connector = take_connector(stored, hidden, ConnectorNorm::kLayerNorm);
  stored.check_all_taken();
  return make_ic_former(config, std::move(weights), decoder);
}

}  // namespace precis
