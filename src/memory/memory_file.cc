// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "io/mapped_file.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"
#include "memory/memory_bytes.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

constexpr std::string_view kFormat = "precis.memory.1";

// Limit of tokens and positions: above any real value, and low enough that sums do not overflow.
constexpr int64_t kLargestCount = int64_t{1} << 40;

// The safetensors bytes of a memory. `source` names them in messages.
class MemoryReader {
 public:
  MemoryReader(std::span<const std::byte> bytes, std::string source)
      : origin_(std::move(source)), contents_(parse_safetensors(bytes, origin_)) {
    PRECIS_CHECK(text("format") == kFormat,
                 kBadWeights,
                 origin(),
                 ": not a memory of Precis (format \"",
                 text("format"),
                 "\")");
  }

  std::string text(const std::string& key) const {
    const auto found = contents_.metadata.find(key);
    return found == contents_.metadata.end() ? "" : found->second;
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

  const StoredTensor& stored(const std::string& name) const {
    const StoredTensor* found = contents_.find(name);
    PRECIS_CHECK(found != nullptr, kBadWeights, origin(), ": tensor ", name, " is missing");
    return *found;
  }

  at::Tensor tensor(const std::string& name, size_t dimensions) const {
    const StoredTensor& stored = this->stored(name);
    const bool empty = std::ranges::find(stored.shape, 0) != stored.shape.end();
    PRECIS_CHECK(stored.shape.size() == dimensions && !empty,
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 name,
                 " is [",
                 at::IntArrayRef(stored.shape),
                 "], expected ",
                 dimensions,
                 " dimensions, none of them 0");
    constexpr std::array<std::string_view, 4> kFloating{"F16", "BF16", "F32", "F64"};
    PRECIS_CHECK(std::ranges::find(kFloating, stored.dtype) != kFloating.end(),
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 name,
                 " is of ",
                 stored.dtype,
                 ", expected F16, BF16, F32 or F64");
    at::Tensor values = to_tensor(stored);
    PRECIS_CHECK(values.isfinite().all().item<bool>(),
                 kBadWeights,
                 origin(),
                 ": tensor ",
                 name,
                 " has values that are not finite");
    return values;
  }

  // [num_layers, num_kv_heads] int64.
  at::Tensor lengths() const {
    const StoredTensor& stored = this->stored(kLengths);
    PRECIS_CHECK(stored.dtype == "I64",
                 kBadWeights,
                 origin(),
                 ": tensor lengths is of ",
                 stored.dtype,
                 ", expected I64");
    PRECIS_CHECK(stored.shape.size() == 2,
                 kBadWeights,
                 origin(),
                 ": tensor lengths is [",
                 at::IntArrayRef(stored.shape),
                 "], expected 2 dimensions: layers and heads");
    return to_tensor(stored);
  }

  void refuse_unused(const std::vector<std::string_view>& names) const {
    for (const StoredTensor& stored : contents_.tensors) {
      PRECIS_CHECK(std::ranges::find(names, stored.name) != names.end(),
                   kBadWeights,
                   origin(),
                   ": surplus tensor ",
                   stored.name);
    }
  }

  bool holds(const std::string& name) const { return contents_.find(name) != nullptr; }
  const std::string& origin() const { return origin_; }

 private:
  std::string origin_;
  SafetensorsContents contents_;
};

// Checks the lengths of a memory of uniform heads, if any: files of earlier versions have none.
void check_uniform(const MemoryReader& reader, const at::Tensor& keys) {
  if (!reader.holds(kLengths)) return;
  const at::Tensor lengths = reader.lengths();
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

// Lengths of a ragged memory. Limits come before the sum, so that it cannot overflow.
at::Tensor ragged_lengths(const MemoryReader& reader, const CachedTokens& memory) {
  const at::Tensor lengths = reader.lengths();
  const int64_t total = memory.keys.size(0);
  PRECIS_CHECK(lengths.numel() > 0 && lengths.ge(memory.num_sinks).all().item<bool>() &&
                   lengths.ge(0).all().item<bool>() && lengths.le(total).all().item<bool>() &&
                   lengths.sum().item<int64_t>() == total,
               kBadWeights,
               reader.origin(),
               ": lengths of ",
               lengths.sizes(),
               " heads do not add up to the ",
               total,
               " rows of the keys, or a head has fewer than the ",
               memory.num_sinks,
               " sinks");
  return lengths;
}

CachedTokens read_cached(const MemoryReader& reader) {
  const bool ragged = reader.stored("keys").shape.size() == 2;
  const size_t dimensions = ragged ? 2 : 4;
  CachedTokens cached{reader.tensor("keys", dimensions),
                      reader.tensor("values", dimensions),
                      reader.integer("first_position"),
                      reader.integer("next_position"),
                      reader.text("num_sinks").empty() ? 0 : reader.integer("num_sinks")};
  PRECIS_CHECK(cached.keys.sizes() == cached.values.sizes(),
               kBadWeights,
               reader.origin(),
               ": keys are [",
               cached.keys.sizes(),
               "], values [",
               cached.values.sizes(),
               "]");
  if (ragged)
    cached.lengths = ragged_lengths(reader, cached);
  else
    check_uniform(reader, cached.keys);
  const int64_t num_tokens = cached.num_tokens(), end = cached.first_position + num_tokens;
  PRECIS_CHECK(cached.num_sinks <= num_tokens,
               kBadWeights,
               reader.origin(),
               ": num_sinks is ",
               cached.num_sinks,
               ", there are ",
               num_tokens,
               " rows");
  PRECIS_CHECK(cached.next_position >= end,
               kBadWeights,
               reader.origin(),
               ": next_position is ",
               cached.next_position,
               ", the rows end at ",
               end);
  return cached;
}

// The tensors of a memory's file. Uniform memories get lengths too, for readers of other languages;
// they are not part of the hash.
std::vector<NamedRows> file_tensors(const MemoryTensors& memory) {
  std::vector<NamedRows> tensors = named_rows(memory);
  const auto* cached = std::get_if<CachedTokens>(&memory);
  if (cached != nullptr && !cached->is_ragged()) {
    const at::Tensor& keys = cached->keys;
    tensors.push_back({kLengths, at::full(keys.sizes().slice(0, 2), keys.size(2), at::kLong)});
  }
  return tensors;
}

// Tensors for writing, which they point into.
std::vector<StoredTensor> stored_of(const std::vector<NamedRows>& tensors) {
  std::vector<StoredTensor> stored;
  for (const NamedRows& one : tensors) stored.push_back(to_stored(one.name, one.tensor));
  return stored;
}

Memory read_memory(std::span<const std::byte> bytes, std::string origin) {
  const MemoryReader reader(bytes, std::move(origin));
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
}

}  // namespace

std::map<std::string, std::string> memory_metadata(const Memory& memory) {
  const Provenance& from = memory.provenance();
  std::map<std::string, std::string> metadata{
      {"format", std::string(kFormat)},
      {"method", from.method},
      {"model_fingerprint", from.model_fingerprint},
      {"compressor_fingerprint", from.compressor_fingerprint},
      {"source_hash", from.source_hash},
      {"source_tokens", std::to_string(from.source_tokens)},
      {"content_hash", memory.content_hash()}};
  if (!from.model_name.empty()) metadata["model_name"] = from.model_name;
  if (const auto* tokens = std::get_if<CachedTokens>(&memory.contents().tensors)) {
    metadata["first_position"] = std::to_string(tokens->first_position);
    metadata["next_position"] = std::to_string(tokens->next_position);
    metadata["num_sinks"] = std::to_string(tokens->num_sinks);
  }
  return metadata;
}

std::string memory_bytes(const Memory& memory, const std::map<std::string, std::string>& metadata) {
  const std::vector<NamedRows> tensors = file_tensors(memory.contents().tensors);
  return safetensors_bytes_of(stored_of(tensors), metadata);
}

void Memory::save(const std::filesystem::path& path) const {
  translate_errors([&] {
    const std::vector<NamedRows> tensors = file_tensors(contents_->tensors);
    write_safetensors(path, stored_of(tensors), memory_metadata(*this));
  });
}

std::string Memory::serialize() const {
  return translate_errors([&] { return memory_bytes(*this, memory_metadata(*this)); });
}

Memory Memory::load(const std::filesystem::path& path) {
  return translate_errors([&] {
    const MappedFile file = MappedFile::open(path);
    return read_memory(file.bytes(), path.string());
  });
}

Memory Memory::deserialize(std::string_view bytes) {
  return translate_errors(
      [&] { return read_memory(std::as_bytes(std::span(bytes)), "memory buffer"); });
}

}  // namespace precis
