// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/atomic_file.h"
#include "io/in_quotes.h"
#include "io/safetensors.h"
#include "io/safetensors_header.h"

namespace precis {
namespace {

using Json = nlohmann::json;

void check_writable(const StoredTensor& tensor) {
  const auto element_bytes = safetensors_element_bytes(tensor.dtype);
  PRECIS_CHECK(element_bytes && tensor.name != kSafetensorsMetadataKey,
               kInvalidArgument,
               "write_safetensors: tensor ",
               in_quotes(tensor.name),
               " of dtype ",
               in_quotes(tensor.dtype),
               " has no place in the format");
  const auto bytes = safetensors_bytes(*element_bytes, tensor.shape);
  PRECIS_CHECK(bytes == tensor.bytes.size(),
               kInvalidArgument,
               "write_safetensors: tensor ",
               in_quotes(tensor.name),
               " has ",
               tensor.bytes.size(),
               " bytes, its dtype and shape say ",
               bytes.value_or(0));
}

// Large elements first: the data begins at a multiple of 8, so that every tensor is aligned to its
// element size.
std::vector<const StoredTensor*> in_file_order(std::span<const StoredTensor> tensors) {
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& tensor : tensors) {
    check_writable(tensor);
    order.push_back(&tensor);
  }
  std::ranges::stable_sort(order, std::ranges::greater{}, [](const StoredTensor* tensor) {
    return safetensors_element_bytes(tensor->dtype);
  });
  return order;
}

std::string serialized(const Json& header) {
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    fail(ErrorKind::kInvalidArgument, "write_safetensors: names and metadata must be UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  PRECIS_CHECK(text.size() <= kMaxSafetensorsHeader,
               kInvalidArgument,
               "write_safetensors: names and metadata take ",
               text.size(),
               " bytes, expected at most ",
               kMaxSafetensorsHeader);
  return text;
}

std::string header_text(std::span<const StoredTensor* const> order,
                        const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kSafetensorsMetadataKey)] = metadata;
  uint64_t begin = 0;
  for (const StoredTensor* tensor : order) {
    PRECIS_CHECK(!header.contains(tensor->name),
                 kInvalidArgument,
                 "write_safetensors: two tensors are named ",
                 in_quotes(tensor->name));
    const uint64_t end = begin + tensor->bytes.size();
    header[tensor->name] = {
        {"dtype", tensor->dtype}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  return serialized(header);
}

// The parts of a file, in order: the header's length, the header, the data of all tensors.
class Parts {
 public:
  Parts(std::span<const StoredTensor> tensors, const std::map<std::string, std::string>& metadata)
      : order_(in_file_order(tensors)), header_(header_text(order_, metadata)) {}

  template <typename Append>
  void hand_to(const Append& append) const {
    const uint64_t length = header_.size();
    append(std::as_bytes(std::span(&length, 1)));
    append(std::as_bytes(std::span(header_)));
    for (const StoredTensor* tensor : order_) append(tensor->bytes);
  }

  size_t size() const {
    size_t size = 0;
    hand_to([&](std::span<const std::byte> part) { size += part.size(); });
    return size;
  }

 private:
  std::vector<const StoredTensor*> order_;
  std::string header_;
};

}  // namespace

void write_safetensors(const std::filesystem::path& path,
                       std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const Parts parts(tensors, metadata);
  AtomicFile file(path);
  parts.hand_to([&](std::span<const std::byte> part) { file.append(part); });
  file.commit();
}

std::string safetensors_bytes_of(std::span<const StoredTensor> tensors,
                                 const std::map<std::string, std::string>& metadata) {
  const Parts parts(tensors, metadata);
  std::string bytes;
  bytes.reserve(parts.size());
  parts.hand_to([&](std::span<const std::byte> part) {
    bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return bytes;
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.append(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace precis
