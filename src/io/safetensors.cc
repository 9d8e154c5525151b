// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "io/in_quotes.h"
#include "io/safetensors_header.h"

namespace precis {
namespace {

// Sections of the bytes: the header's length (8 bytes), the header, and the data of all tensors.
struct Sections {
  std::string_view header;
  std::span<const std::byte> data;
};

Sections divide(std::span<const std::byte> bytes, const std::string& source) {
  uint64_t length = 0;
  PRECIS_CHECK(bytes.size() >= sizeof(length),
               kBadWeights,
               source,
               ": ",
               bytes.size(),
               " bytes are no safetensors file, which begins with 8 bytes of header length");
  std::memcpy(&length, bytes.data(), sizeof(length));
  const auto rest = bytes.subspan(sizeof(length));
  const uint64_t limit = std::min<uint64_t>(kMaxSafetensorsHeader, rest.size());
  PRECIS_CHECK(length <= limit,
               kBadWeights,
               source,
               ": header of ",
               length,
               " bytes, expected at most ",
               limit);
  return {{reinterpret_cast<const char*>(rest.data()), length}, rest.subspan(length)};
}

uint64_t expected_bytes(const std::string& name,
                        const SafetensorsEntry& entry,
                        const std::string& source) {
  const auto element_bytes = safetensors_element_bytes(entry.dtype);
  PRECIS_CHECK(element_bytes,
               kUnsupported,
               source,
               ": tensor ",
               in_quotes(name),
               " has dtype ",
               in_quotes(entry.dtype),
               ", which Precis does not read");
  const auto bytes = safetensors_bytes(*element_bytes, entry.shape);
  PRECIS_CHECK(
      bytes, kBadWeights, source, ": tensor ", in_quotes(name), " has a shape beyond all memory");
  return *bytes;
}

StoredTensor place(const std::string& name,
                   SafetensorsEntry entry,
                   std::span<const std::byte> data,
                   const std::string& source) {
  const uint64_t bytes = expected_bytes(name, entry, source);
  PRECIS_CHECK(entry.begin <= entry.end && entry.end <= data.size(),
               kBadWeights,
               source,
               ": tensor ",
               in_quotes(name),
               " lies at bytes ",
               entry.begin,
               " to ",
               entry.end,
               " of the ",
               data.size(),
               " that the file has");
  PRECIS_CHECK(entry.end - entry.begin == bytes,
               kBadWeights,
               source,
               ": tensor ",
               in_quotes(name),
               " takes ",
               entry.end - entry.begin,
               " bytes, its dtype and shape say ",
               bytes);
  return {name, std::move(entry.dtype), std::move(entry.shape), data.subspan(entry.begin, bytes)};
}

// Tensors in the order of their offsets must be contiguous, so that every byte of the data belongs
// to exactly one tensor.
void check_coverage(const std::vector<StoredTensor>& tensors,
                    std::span<const std::byte> data,
                    const std::string& source) {
  const std::byte* covered = data.data();
  for (const StoredTensor& tensor : tensors) {
    PRECIS_CHECK(tensor.bytes.data() == covered,
                 kBadWeights,
                 source,
                 ": tensor ",
                 in_quotes(tensor.name),
                 tensor.bytes.data() < covered ? " overlaps the tensor before it"
                                               : " leaves a gap before it");
    covered += tensor.bytes.size();
  }
  const auto left_over = data.data() + data.size() - covered;
  PRECIS_CHECK(left_over == 0,
               kBadWeights,
               source,
               ": ",
               left_over,
               " bytes at the end belong to no tensor");
}

bool lies_before(const StoredTensor& a, const StoredTensor& b) {
  return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
}

}  // namespace

const StoredTensor* SafetensorsContents::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &StoredTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

SafetensorsContents parse_safetensors(std::span<const std::byte> bytes, const std::string& source) {
  const Sections sections = divide(bytes, source);
  SafetensorsHeader header = parse_safetensors_header(sections.header, source);
  SafetensorsContents contents{{}, std::move(header.metadata)};
  for (auto& [name, entry] : header.entries) {
    contents.tensors.push_back(place(name, std::move(entry), sections.data, source));
  }
  std::ranges::sort(contents.tensors, lies_before);
  check_coverage(contents.tensors, sections.data, source);
  return contents;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  return SafetensorsFile(MappedFile::open(path));
}

SafetensorsFile::SafetensorsFile(MappedFile file)
    : file_(std::move(file)), contents_(parse_safetensors(file_.bytes(), file_.path().string())) {}

}  // namespace precis
