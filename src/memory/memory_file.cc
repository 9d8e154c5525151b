// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

constexpr std::string_view kFormat = "precis.memory.1";
constexpr const char* kLengths = "lengths";

// Limit of tokens and positions: above any real value, and low enough that sums do not overflow.
constexpr int64_t kLargestCount = int64_t{1} << 40;

class MemoryReader {
 public:
  explicit MemoryReader(const std::filesystem::path& path) : file_(SafetensorsFile::open(path)) {
    PRECIS_CHECK(text("format") == kFormat,
                 kBadWeights,
                 origin(),
                 ": not a memory of Precis (format \"",
                 text("format"),
                 "\")");
  }

  std::string text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    return found == file_.metadata().end() ? "" : found->second;
  }

  int64_t integer(const std::string& key) const {
    const std::string digits = text(key);
    int64_t value = 0;
    const auto end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    PRECIS_CHECK(error == std::errc() && stop == end && value >= 0 && value <= kLargestCount,
                 kBadWeights,
                 origin(),
                 ": metadata ",
                 key,
                 " is \"",
                 digits,
                 "\", expected a number");
    return value;
  }

  at::Tensor tensor(const std::string& name, size_t dimensions) const {
    const StoredTensor* stored = file_.find(name);
    PRECIS_CHECK(stored != nullptr, kBadWeights, origin(), ": tensor ", name, " is missing");
    const bool empty =
        std::find(stored->shape.begin(), stored->shape.end(), 0) != stored->shape.end();
    PRECIS_CHECK(stored->shape.size() == dimensions && !empty,
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 name,
                 " is [",
                 at::IntArrayRef(stored->shape),
                 "], expected ",
                 dimensions,
                 " dimensions, none of them 0");
    if (name == kLengths) return integers(*stored);
    constexpr std::array<std::string_view, 4> kFloating{"F16", "BF16", "F32", "F64"};
    PRECIS_CHECK(std::ranges::find(kFloating, stored->dtype) != kFloating.end(),
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 name,
                 " is of ",
                 stored->dtype,
                 ", expected F16, BF16, F32 or F64");
    at::Tensor values = to_tensor(*stored);
    PRECIS_CHECK(values.isfinite().all().item<bool>(),
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 name,
                 " has values that are not finite");
    return values;
  }

  at::Tensor integers(const StoredTensor& stored) const {
    PRECIS_CHECK(stored.dtype == "I64",
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 stored.name,
                 " is of ",
                 stored.dtype,
                 ", expected I64");
    return to_tensor(stored);
  }

  void refuse_unused(const std::vector<std::string_view>& names) const {
    for (const StoredTensor& stored : file_.tensors()) {
      PRECIS_CHECK(std::ranges::find(names, stored.name) != names.end(),
                   kBadWeights,
                   origin(),
                   ": surplus tensor ",
                   stored.name);
    }
  }

  bool holds(const std::string& name) const { return file_.find(name) != nullptr; }
  std::string origin() const { return file_.path().string(); }

 private:
  SafetensorsFile file_;
};

// Checks the lengths, if any: files of earlier versions have none.
void check_lengths(const MemoryReader& reader, const at::Tensor& keys) {
  if (!reader.holds(kLengths)) return;
  const at::Tensor lengths = reader.tensor(kLengths, 2);
  PRECIS_CHECK(
      lengths.sizes() == keys.sizes().slice(0, 2) && lengths.eq(keys.size(2)).all().item<bool>(),
      kBadWeights,
      reader.origin(),
      ": lengths are not ",
      keys.size(2),
      " in each layer and head, as the keys ",
      keys.sizes(),
      " have it");
}

CachedTokens read_cached(const MemoryReader& reader) {
  CachedTokens cached{reader.tensor("keys", 4),
                      reader.tensor("values", 4),
                      reader.integer("first_position"),
                      reader.integer("next_position"),
                      reader.text("num_sinks").empty() ? 0 : reader.integer("num_sinks")};
  check_lengths(reader, cached.keys);
  PRECIS_CHECK(cached.num_sinks <= cached.keys.size(2),
               kBadWeights,
               reader.origin(),
               ": num_sinks is ",
               cached.num_sinks,
               ", there are ",
               cached.keys.size(2),
               " rows");
  PRECIS_CHECK(cached.keys.sizes() == cached.values.sizes(),
               kBadWeights,
               reader.origin(),
               ": keys are [",
               cached.keys.sizes(),
               "], values [",
               cached.values.sizes(),
               "]");
  const int64_t end = cached.first_position + cached.keys.size(2);
  PRECIS_CHECK(cached.next_position >= end,
               kBadWeights,
               reader.origin(),
               ": next_position is ",
               cached.next_position,
               ", the rows end at ",
               end);
  return cached;
}

// The number of memory tokens of each layer and head, [layers, kv_heads] int64.
// keys: [layers, kv_heads, tokens, head_dim].
at::Tensor lengths_of(const at::Tensor& keys) {
  return at::full(keys.sizes().slice(0, 2), keys.size(2), at::kLong);
}

}  // namespace

void Memory::save(const std::filesystem::path& path) const {
  translate_errors([&] {
    const Provenance& from = contents_->provenance;
    std::map<std::string, std::string> metadata{
        {"format", std::string(kFormat)},
        {"method", from.method},
        {"model_fingerprint", from.model_fingerprint},
        {"compressor_fingerprint", from.compressor_fingerprint},
        {"source_hash", from.source_hash},
        {"source_tokens", std::to_string(from.source_tokens)},
        {"content_hash", content_hash()}};
    if (!from.model_name.empty()) metadata["model_name"] = from.model_name;
    if (const auto* tokens = std::get_if<CachedTokens>(&contents_->tensors)) {
      metadata["first_position"] = std::to_string(tokens->first_position);
      metadata["next_position"] = std::to_string(tokens->next_position);
      metadata["num_sinks"] = std::to_string(tokens->num_sinks);
    }
    const std::vector<NamedRows> rows = named_rows(contents_->tensors);
    std::vector<StoredTensor> stored;
    for (const NamedRows& one : rows) stored.push_back(to_stored(one.name, one.tensor));
    const bool cached = rows.size() == 2;
    const at::Tensor lengths = cached ? lengths_of(rows.front().tensor) : at::Tensor();
    if (cached) stored.push_back(to_stored(kLengths, lengths));
    write_safetensors(path, stored, metadata);
  });
}

Memory Memory::load(const std::filesystem::path& path) {
  return translate_errors([&] {
    const MemoryReader reader(path);
    auto contents = std::make_shared<MemoryContents>();
    contents->provenance = {reader.text("method"),
                            reader.text("model_fingerprint"),
                            reader.text("compressor_fingerprint"),
                            reader.text("source_hash"),
                            reader.integer("source_tokens"),
                            reader.text("model_name")};
    if (reader.holds("keys")) {
      contents->tensors = read_cached(reader);
      reader.refuse_unused({"keys", "values", kLengths});
    } else {
      contents->tensors = SoftTokens{reader.tensor("embeddings", 2)};
      reader.refuse_unused({"embeddings"});
    }
    Memory memory(std::move(contents));
    const std::string hash = reader.text("content_hash");
    PRECIS_CHECK(hash == memory.content_hash() || hash == rows_hash(memory.contents().tensors),
                 kBadWeights,
                 reader.origin(),
                 ": the rows, or what is said of them, do not match their hash");
    return memory;
  });
}

}  // namespace precis
