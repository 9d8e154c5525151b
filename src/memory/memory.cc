// SPDX-License-Identifier: Apache-2.0
#include "precis/memory.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "base/hash.h"
#include "io/in_quotes.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"
#include "memory/ragged.h"

namespace precis {
namespace {

// Memories to be joined: the embeddings of each on the CPU, and the common provenance.
struct Joined {
  std::vector<at::Tensor> embeddings;
  Provenance provenance;
};

void check_same_model(const Memory& memory, const Memory& first) {
  const Provenance &own = memory.provenance(), &wanted = first.provenance();
  PRECIS_CHECK(own.model_fingerprint == wanted.model_fingerprint,
               kInvalidArgument,
               "memory: made for model ",
               model_in_words(own.model_fingerprint, own.model_name),
               ", the first one for ",
               model_in_words(wanted.model_fingerprint, wanted.model_name));
  PRECIS_CHECK(memory.hidden_size() == first.hidden_size(),
               kInvalidArgument,
               "memory: rows of ",
               memory.hidden_size(),
               ", the first one has rows of ",
               first.hidden_size());
}

Joined join(std::span<const Memory> memories) {
  PRECIS_CHECK(!memories.empty(), kInvalidArgument, "memory: there is nothing to join");
  Joined joined{{}, memories.front().provenance()};
  joined.provenance.source_tokens = 0;
  Hasher hasher;
  for (const Memory& memory : memories) {
    const auto* soft = std::get_if<SoftTokens>(&memory.contents().tensors);
    PRECIS_CHECK(soft != nullptr, kInvalidArgument, "memory: cached memories cannot be joined");
    check_same_model(memory, memories.front());
    const Provenance& own = memory.provenance();
    if (own.method != joined.provenance.method) joined.provenance.method = "mixed";
    if (own.compressor_fingerprint != joined.provenance.compressor_fingerprint)
      joined.provenance.compressor_fingerprint = "mixed";
    joined.provenance.source_tokens += own.source_tokens;
    hasher.add(own.source_hash);
    joined.embeddings.push_back(soft->embeddings.cpu());
  }
  joined.provenance.source_hash = hasher.hex();
  return joined;
}

Memory memory_of(at::Tensor embeddings, Provenance provenance) {
  return Memory(std::make_shared<MemoryContents>(
      MemoryContents{SoftTokens{std::move(embeddings)}, std::move(provenance)}));
}

at::Tensor sum_of(const std::vector<at::Tensor>& rows) {
  at::ScalarType dtype = rows.front().scalar_type();
  for (const at::Tensor& one : rows) {
    PRECIS_CHECK(one.size(0) == rows.front().size(0),
                 kInvalidArgument,
                 "memory: ",
                 one.size(0),
                 " memory tokens cannot be added to the ",
                 rows.front().size(0),
                 " of the first one");
    dtype = at::promote_types(dtype, one.scalar_type());
  }
  const at::ScalarType wide = at::promote_types(dtype, at::kFloat);
  at::Tensor sum = rows.front().to(wide);
  for (size_t i = 1; i < rows.size(); ++i) sum = sum.add(rows[i].to(wide));
  sum = sum.to(dtype);
  PRECIS_CHECK(sum.isfinite().all().item<bool>(),
               kInvalidArgument,
               "memory: the sum is out of the range of ",
               at::toString(dtype));
  return sum;
}

int64_t bytes_of(const MemoryTensors& memory) {
  const auto bytes = [](const at::Tensor& t) { return static_cast<int64_t>(t.nbytes()); };
  if (const auto* soft = std::get_if<SoftTokens>(&memory)) return bytes(soft->embeddings);
  const auto& cached = std::get<CachedTokens>(memory);
  return bytes(cached.keys) + bytes(cached.values);
}

}  // namespace

std::vector<NamedRows> named_rows(const MemoryTensors& memory) {
  const auto plain = [](const at::Tensor& t) { return t.detach().cpu().contiguous(); };
  if (const auto* soft = std::get_if<SoftTokens>(&memory))
    return {{"embeddings", plain(soft->embeddings)}};
  const auto& cached = std::get<CachedTokens>(memory);
  std::vector<NamedRows> named{{"keys", plain(cached.keys)}, {"values", plain(cached.values)}};
  if (cached.is_ragged()) named.push_back({kLengths, plain(cached.lengths)});
  return named;
}

std::string model_in_words(const std::string& fingerprint, const std::string& name) {
  return name.empty() ? fingerprint : concat(fingerprint, " (", in_quotes(name), ")");
}

int64_t num_memory_tokens(const MemoryTensors& memory) {
  if (const auto* soft = std::get_if<SoftTokens>(&memory)) return soft->embeddings.size(0);
  return std::get<CachedTokens>(memory).num_tokens();
}

Memory::Memory(std::shared_ptr<const MemoryContents> contents) : contents_(std::move(contents)) {}

int64_t Memory::num_tokens() const { return num_memory_tokens(contents_->tensors); }

int64_t Memory::hidden_size() const {
  if (const auto* soft = std::get_if<SoftTokens>(&contents_->tensors))
    return soft->embeddings.size(1);
  const KvShape shape = kv_shape_of(std::get<CachedTokens>(contents_->tensors));
  return shape.num_kv_heads * shape.head_dim;
}

int64_t Memory::bytes() const { return bytes_of(contents_->tensors); }

const Provenance& Memory::provenance() const { return contents_->provenance; }

std::string rows_hash(const MemoryTensors& memory) {
  Hasher hasher;
  for (const NamedRows& rows : named_rows(memory)) {
    const StoredTensor stored = to_stored(rows.name, rows.tensor);
    hasher.add(stored.name);
    hasher.add(stored.dtype);
    for (const int64_t size : stored.shape) hasher.add(size);
    hasher.add(stored.bytes);
  }
  if (const auto* cached = std::get_if<CachedTokens>(&memory)) {
    hasher.add(cached->first_position);
    hasher.add(cached->next_position);
    // Hashed only if there are sinks, so that hashes of files of earlier versions stay valid.
    if (cached->num_sinks > 0) hasher.add(precis::concat("sinks ", cached->num_sinks));
  }
  return hasher.hex();
}

std::string Memory::content_hash() const {
  const Provenance& from = contents_->provenance;
  Hasher hasher;
  hasher.add(rows_hash(contents_->tensors));
  hasher.add(from.method);
  hasher.add(from.model_fingerprint);
  hasher.add(from.compressor_fingerprint);
  hasher.add(from.source_hash);
  hasher.add(from.source_tokens);
  return hasher.hex();
}

Memory Memory::concat(std::span<const Memory> memories) {
  return translate_errors([&] {
    const Joined joined = join(memories);
    return memory_of(at::cat(joined.embeddings, 0), joined.provenance);
  });
}

Memory Memory::sum(std::span<const Memory> memories) {
  return translate_errors([&] {
    const Joined joined = join(memories);
    if (memories.size() == 1) return memories.front();
    return memory_of(sum_of(joined.embeddings), joined.provenance);
  });
}

}  // namespace precis
