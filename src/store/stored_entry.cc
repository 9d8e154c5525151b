// SPDX-License-Identifier: Apache-2.0
#include "store/stored_entry.h"

#include <charconv>
#include <limits>
#include <map>

#include "base/check.h"
#include "base/hash.h"
#include "io/in_quotes.h"
#include "io/safetensors.h"
#include "memory/memory_bytes.h"

namespace precis {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr const char *kId = "store_id", *kName = "store_name", *kCreatedAt = "store_created_at",
                     *kExpiresAfter = "store_expires_after",
                     *kExpiresAnchor = "store_expires_anchor",
                     *kMemoryTokens = "store_memory_tokens", *kHash = "store_hash";
constexpr std::string_view kCreated = "created_at", kLastUsed = "last_used_at";
constexpr size_t kLongestName = 512;
// Limits of times, so that sums do not overflow: about 290,000 years.
constexpr int64_t kLongestTime = std::numeric_limits<int64_t>::max() / 1000;

std::string hash_of(const Metadata& metadata) {
  Hasher hasher;
  for (const auto& [key, value] : metadata) {
    if (key == kHash) continue;
    hasher.add(key);
    hasher.add(value);
  }
  return hasher.hex();
}

std::string digits_of(int64_t number) { return std::to_string(number); }

// Metadata of an entry. They match their hash, so that what is wrong was written so.
class MetadataReader {
 public:
  MetadataReader(const Metadata& metadata, const std::string& source)
      : metadata_(metadata), source_(source) {}

  bool has(const char* key) const { return metadata_.contains(key); }

  const std::string& text(const char* key) const {
    const auto found = metadata_.find(key);
    PRECIS_CHECK(found != metadata_.end(), kBadWeights, source_, ": metadata ", key, " is missing");
    return found->second;
  }

  int64_t number(const char* key) const {
    const std::string& digits = text(key);
    int64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    PRECIS_CHECK(error == std::errc() && stop == end && value >= 0 && value <= kLongestTime,
                 kBadWeights,
                 source_,
                 ": metadata ",
                 key,
                 " is ",
                 in_quotes(digits),
                 ", expected a number");
    return value;
  }

  std::optional<Expiry> expiry() const {
    if (!has(kExpiresAfter)) return std::nullopt;
    const bool created = text(kExpiresAnchor) == kCreated;
    return Expiry{created ? Expiry::Anchor::kCreatedAt : Expiry::Anchor::kLastUsedAt,
                  std::chrono::milliseconds(number(kExpiresAfter))};
  }

 private:
  const Metadata& metadata_;
  const std::string& source_;
};

void add_to(Metadata& metadata, const EntryHeader& header) {
  metadata[kId] = header.id;
  metadata[kName] = header.name;
  metadata[kCreatedAt] = digits_of(header.created_at.time_since_epoch().count());
  metadata[kMemoryTokens] = digits_of(header.memory_tokens);
  if (!header.expiry) return;
  const bool created = header.expiry->anchor == Expiry::Anchor::kCreatedAt;
  metadata[kExpiresAfter] = digits_of(header.expiry->after.count());
  metadata[kExpiresAnchor] = created ? kCreated : kLastUsed;
}

}  // namespace

std::optional<StoreTime> EntryHeader::expires_at(StoreTime last_used) const {
  if (!expiry) return std::nullopt;
  return (expiry->anchor == Expiry::Anchor::kCreatedAt ? created_at : last_used) + expiry->after;
}

bool EntryHeader::is_expired(StoreTime last_used, StoreTime now) const {
  const std::optional<StoreTime> end = expires_at(last_used);
  return end && now >= *end;
}

void check_entry_options(const EntryOptions& options) {
  PRECIS_CHECK(options.name.size() <= kLongestName,
               kInvalidArgument,
               "store: a name of ",
               options.name.size(),
               " bytes, expected at most ",
               kLongestName);
  if (!options.expiry) return;
  const int64_t after = options.expiry->after.count();
  PRECIS_CHECK(after > 0 && after <= kLongestTime / 2,
               kInvalidArgument,
               "store: an entry cannot expire after ",
               after,
               " ms, expected 1 to ",
               kLongestTime / 2);
}

EntryHeader make_header(const std::string& id,
                        const Memory& memory,
                        const EntryOptions& options,
                        StoreTime now) {
  check_entry_options(options);
  const Provenance& from = memory.provenance();
  return {id,
          options.name,
          now,
          options.expiry,
          from.source_tokens,
          memory.num_tokens(),
          from.method,
          from.model_fingerprint};
}

std::string entry_bytes(const EntryHeader& header, const Memory& memory) {
  Metadata metadata = memory_metadata(memory);
  add_to(metadata, header);
  metadata[kHash] = hash_of(metadata);
  return memory_bytes(memory, metadata);
}

EntryHeader read_header(std::span<const std::byte> bytes,
                        const std::string& id,
                        const std::string& source) {
  const Metadata metadata = parse_safetensors(bytes, source).metadata;
  const MetadataReader reader(metadata, source);
  PRECIS_CHECK(reader.text(kHash) == hash_of(metadata) && reader.has("content_hash"),
               kBadWeights,
               source,
               ": the metadata do not match their hash");
  PRECIS_CHECK(reader.text(kId) == id,
               kBadWeights,
               source,
               ": holds the entry ",
               in_quotes(reader.text(kId)),
               ", expected ",
               in_quotes(id));
  return {id,
          reader.text(kName),
          StoreTime(std::chrono::milliseconds(reader.number(kCreatedAt))),
          reader.expiry(),
          reader.number("source_tokens"),
          reader.number(kMemoryTokens),
          reader.text("method"),
          reader.text("model_fingerprint")};
}

}  // namespace precis
