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
#include "compressors/divide.h"
#include "compressors/ic_former/ic_former_config.h"
#include "compressors/parts.h"
#include "compressors/passes.h"
#include "compressors/request_checks.h"
#include "ops/copy_to_device.h"

namespace precis {
namespace {

constexpr const char* kMethod = "ic_former";

// Ids of the vocabulary whose keys and values are computed at a time.
constexpr int64_t kIdsPerProduct = 4096;

// Tells whether weights have changed since: where they lie and how often they were written. Those
// made in inference mode keep no count, and cannot be trained.
using Versions = std::vector<std::pair<const void*, int64_t>>;

void add_version(Versions& versions, const at::Tensor& tensor) {
  versions.emplace_back(tensor.const_data_ptr(), tensor.is_inference() ? 0 : tensor._version());
}

// What compressing without gradients keeps from one call to the next.
struct Prepared {
  Versions versions;
  ic_former::DigestReader reader;
  at::Tensor table;  // [vocab_size + slots, row_width]: the rows of every id, then of the digests
  ops::PackedWeight connector;  // its product, if there is one
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
    const Parts divided = divide_segments(segments, limit_of(options));
    if (!wants_gradients()) return fill(divided, options.progress);
    std::vector<at::Tensor> slots(divided.parts.size());
    read(divided.parts, differentiable(), options.progress, [&](int64_t part, at::Tensor rows) {
      slots[part] = std::move(rows);
    });
    return join_slots(slots, divided.ends);
  }

  // No BOS before memories, in no use.
  MemoryTemplate memory_template(MemoryUse use) const override {
    MemoryTemplate around;
    if (use == MemoryUse::kAutoencode) around.after.push_back(template_row(weights_.autoencode));
    if (use != MemoryUse::kInstruct) return around;
    PRECIS_CHECK(weights_.instruct.defined(),
                 kUnsupported,
                 "ic_former: it is not trained to answer prompts (it has no FT vector)");
    around.after.push_back(template_row(weights_.instruct));
    const auto add = [](std::vector<TemplateItem>& parts, const std::vector<TokenId>& ids) {
      if (!ids.empty()) parts.push_back(ids);
    };
    add(around.before, config_.instruct.before);
    add(around.after, config_.instruct.after);
    add(around.end, config_.instruct.end);
    return around;
  }

  std::vector<NamedTensor> parameters() override { return tensors(); }

  void save(const std::filesystem::path& directory) const override {
    nlohmann::json described = {{"method", kMethod},
                                {"base", describe_base(decoder_)},
                                {"slots", config_.slots},
                                {"max_segment", config_.max_segment},
                                {"num_layers", config_.num_layers},
                                {"num_heads", config_.num_heads},
                                {"ffn_size", config_.ffn_size},
                                {"rms_norm_epsilon", config_.rms_norm_epsilon},
                                {"rope_base", config_.rope_base},
                                {"connector", config_.connector},
                                {"token_table", config_.token_table},
                                {"slot_positions", config_.spread_positions ? "spread" : "after"},
                                {"instruct_before", config_.instruct.before},
                                {"instruct_after", config_.instruct.after},
                                {"instruct_end", config_.instruct.end}};
    if (config_.num_kv_heads) described["num_kv_heads"] = *config_.num_kv_heads;
    save_compressor(directory, described, tensors());
  }

 private:
  using ReadParts = std::function<at::Tensor(std::span<const Part>)>;
  using HearSlots = std::function<void(int64_t part, at::Tensor rows)>;

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

  // Of the weights and of the numbers that memories depend on; computed anew only where weights
  // have changed, for it reads them all.
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
    // "after" adds nothing: it is what fingerprints were made of before there was a choice.
    if (config_.spread_positions) hasher.add("spread");
    fingerprint_ = {std::move(versions), hasher.hex()};
    return fingerprint_.text;
  }

  int64_t limit_of(const CompressOptions& options) const {
    refuse_ratio(options, config_.slots, kMethod);
    refuse_chaining(options, kMethod);
    return part_limit(options, config_.max_segment, kMethod);
  }

  c10::ScalarType dtype() const { return c10::typeMetaToScalarType(decoder_.options().dtype()); }

  // [1, hidden] in the decoder's dtype.
  at::Tensor template_row(const at::Tensor& vector) const {
    return as_rows(vector, decoder_).unsqueeze(0);
  }

  // The memory of each segment, made whole and filled part by part: parts that are joined at the
  // end would be held twice, and a memory of a long text is large (of 5 MB with 576 numbers a row
  // 350 MB).
  std::vector<MemoryTensors> fill(const Parts& divided, const CompressProgress& progress) const {
    std::vector<MemoryTensors> memories;
    std::vector<at::Tensor> places;  // of each part
    for (const int64_t end : divided.ends) {
      const int64_t count = end - std::ssize(places);
      const at::Tensor whole =
          at::empty({count * config_.slots, decoder_.config().hidden_size}, decoder_.options());
      for (const at::Tensor& place : whole.split(config_.slots, 0)) places.push_back(place);
      memories.emplace_back(SoftTokens{whole});
    }
    read(divided.parts, prepared(), progress, [&](int64_t part, const at::Tensor& rows) {
      places[part].copy_(rows);
    });
    return memories;
  }

  // Tells the memory of each part, [slots, hidden]: in passes of a bounded number of rows, each
  // over parts of similar length.
  void read(std::span<const Part> parts,
            const ReadParts& read_pass,
            const CompressProgress& progress,
            const HearSlots& hear) const {
    std::vector<int64_t> order(parts.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return parts[a].size() < parts[b].size();
    });
    read_in_passes(
        std::ssize(order),
        [&](int64_t place) { return std::ssize(parts[order[place]]) + config_.slots; },
        [&](int64_t first, int64_t last) {
          std::vector<Part> pass;
          for (int64_t i = first; i < last; ++i) pass.push_back(parts[order[i]]);
          const auto memories = read_pass(pass).split(config_.slots, 0);
          for (int64_t i = first; i < last; ++i) hear(order[i], memories[i - first]);
        },
        progress);
  }

  bool wants_gradients() const {
    if (!c10::GradMode::is_enabled()) return false;
    const std::vector<NamedTensor> all = tensors();
    return std::ranges::any_of(
        all, [](const NamedTensor& named) { return named.tensor.requires_grad(); });
  }

  // Parts of one length are one batch of the reference.
  ReadParts differentiable() const {
    return [this,
            net = ic_former::converted(weights_.net, dtype()),
            digests = weights_.digests.to(dtype())](std::span<const Part> parts) {
      std::vector<at::Tensor> slots;
      for (size_t first = 0, last = 0; first < parts.size(); first = last) {
        std::vector<at::Tensor> rows;
        for (; last < parts.size() && parts[last].size() == parts[first].size(); ++last)
          rows.push_back(embed(decoder_, parts[last]));
        slots.push_back(
            ic_former::reference::digest(net, digests, at::stack(rows, 0), digest_shape())
                .flatten(0, 1));
      }
      return connect(weights_.connector, at::cat(slots, 0));
    };
  }

  ic_former::DigestShape digest_shape() const {
    return {
        config_.num_heads, config_.rms_norm_epsilon, config_.rope_base, config_.spread_positions};
  }

  ReadParts prepared() const {
    return [this, state = current()](std::span<const Part> parts) {
      std::vector<int64_t> lengths;
      for (const Part& part : parts) lengths.push_back(std::ssize(part));
      const at::Tensor digests = state->reader.read(
          state->table.defined() ? look_up(parts, *state) : multiply(parts, lengths, *state),
          lengths);
      return weights_.connector.weight.defined()
                 ? connect(weights_.connector, state->connector, digests)
                 : digests;
    };
  }

  // What was prepared, anew where weights have changed since.
  std::shared_ptr<const Prepared> current() const {
    Versions versions;
    add_version(versions, weights_.digests);
    ic_former::for_each_tensor(weights_.net, [&](const std::string&, const at::Tensor& tensor) {
      add_version(versions, tensor);
    });
    const at::Tensor& connector = weights_.connector.weight;
    if (connector.defined()) add_version(versions, connector);
    const std::lock_guard lock(mutex_);
    if (prepared_ && prepared_->versions == versions) return prepared_;
    prepared_.reset();  // not both at a time: they are large
    const c10::NoGradGuard no_grad;
    ic_former::DigestReader reader(weights_.net, weights_.digests, digest_shape(), dtype());
    const at::Tensor table = config_.token_table ? token_table(reader) : at::Tensor();
    const ops::PackedWeight product =
        connector.defined() ? ops::PackedWeight(connector.to(dtype())) : ops::PackedWeight();
    prepared_ = std::make_shared<const Prepared>(
        Prepared{std::move(versions), std::move(reader), table, product});
    return prepared_;
  }

  at::Tensor token_table(const ic_former::DigestReader& reader) const {
    const int64_t vocabulary = decoder_.config().vocab_size;
    const auto index = at::TensorOptions(at::kLong).device(decoder_.options().device());
    at::Tensor table =
        at::empty({vocabulary + config_.slots, reader.row_width()}, decoder_.options());
    for (int64_t first = 0; first < vocabulary; first += kIdsPerProduct) {
      const int64_t last = std::min(first + kIdsPerProduct, vocabulary);
      table.narrow(0, first, last - first)
          .copy_(reader.context_rows(decoder_.embed(at::arange(first, last, index))));
    }
    table.narrow(0, vocabulary, config_.slots).copy_(reader.digest_rows());
    return table;
  }

  // The rows that DigestReader::read wants, from the table: the digests' stand after the ids'.
  at::Tensor look_up(std::span<const Part> parts, const Prepared& state) const {
    std::vector<TokenId> ids;
    for (const Part& part : parts) {
      ids.insert(ids.end(), part.begin(), part.end());
      const size_t end = ids.size();
      ids.resize(end + config_.slots);
      std::iota(ids.begin() + static_cast<int64_t>(end), ids.end(), decoder_.config().vocab_size);
    }
    return state.table.index_select(
        0, ops::copy_to_device_async(at::tensor(ids, at::kLong), state.table.device()));
  }

  // The same from one product over the embeddings of all parts.
  at::Tensor multiply(std::span<const Part> parts,
                      const std::vector<int64_t>& lengths,
                      const Prepared& state) const {
    std::vector<TokenId> ids;
    for (const Part& part : parts) ids.insert(ids.end(), part.begin(), part.end());
    std::vector<at::Tensor> rows;
    for (const at::Tensor& own :
         state.reader.context_rows(embed(decoder_, ids)).split_with_sizes(lengths, 0)) {
      rows.push_back(own);
      rows.push_back(state.reader.digest_rows());
    }
    return at::cat(rows, 0);
  }

  IcFormerConfig config_;
  IcFormerWeights weights_;
  const Decoder& decoder_;
  mutable std::mutex mutex_;  // guards what follows
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
