// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "io/memory_contents.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"

namespace precis {
namespace {

constexpr std::string_view kFormat = "precis.memory.1";

// Of tokens and positions: far above what there is, far below where sums overflow.
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

  void refuse_others(const std::vector<std::string_view>& names) const {
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

CachedTokens read_cached(const MemoryReader& reader) {
  CachedTokens cached{reader.tensor("keys", 4),
                      reader.tensor("values", 4),
                      reader.integer("first_position"),
                      reader.integer("next_position")};
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
    if (const auto* cached = std::get_if<CachedTokens>(&contents_->tensors)) {
      metadata["first_position"] = std::to_string(cached->first_position);
      metadata["next_position"] = std::to_string(cached->next_position);
    }
    const std::vector<NamedRows> rows = named_rows(contents_->tensors);
    std::vector<StoredTensor> stored;
    for (const NamedRows& one : rows) stored.push_back(to_stored(one.name, one.tensor));
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
                            reader.integer("source_tokens")};
    if (reader.holds("keys")) {
      contents->tensors = read_cached(reader);
      reader.refuse_others({"keys", "values"});
    } else {
      contents->tensors = SoftTokens{reader.tensor("embeddings", 2)};
      reader.refuse_others({"embeddings"});
    }
    Memory memory(std::move(contents));
    PRECIS_CHECK(memory.content_hash() == reader.text("content_hash"),
                 kBadWeights,
                 reader.origin(),
                 ": the rows do not match their hash");
    return memory;
  });
}

}  // namespace precis
