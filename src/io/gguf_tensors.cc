// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "io/gguf_parts.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

constexpr uint32_t kMaxDimensions = 4;

// A tensor whose data is not located yet; offsets count from the start of the data section.
struct Description {
  GgufTensor tensor;
  uint64_t offset;
};

std::string naming(std::string_view name) { return "tensor " + in_quotes(name); }

std::vector<int64_t> read_shape(ByteReader& reader, const std::string& what) {
  const auto num_dimensions = reader.number<uint32_t>(what);
  if (num_dimensions < 1 || num_dimensions > kMaxDimensions) {
    reader.reject(what, " has ", num_dimensions, " dimensions, expected 1 to ", kMaxDimensions);
  }
  std::vector<int64_t> shape(num_dimensions);
  uint64_t elements = 1;
  for (int64_t& dimension : shape) {
    const auto size = reader.number<uint64_t>(what);
    if (size == 0) reader.reject(what, " has a dimension of size 0");
    constexpr uint64_t kMaxElements = std::numeric_limits<int64_t>::max();
    if (size > kMaxElements / elements) reader.reject(what, " has a shape beyond all memory");
    elements *= size;
    dimension = static_cast<int64_t>(size);
  }
  std::ranges::reverse(shape);
  return shape;
}

GgufType read_type(ByteReader& reader, const std::string& what) {
  const auto type = reader.number<uint32_t>(what);
  PRECIS_CHECK(find_gguf_storage(type),
               kUnsupported,
               reader.source(),
               ": ",
               what,
               " has type ",
               type,
               ", which Precis does not read (it reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, "
               "Q8_0, Q4_K, Q5_K, Q6_K)");
  return static_cast<GgufType>(type);
}

Description read_description(ByteReader& reader, std::string_view name) {
  const std::string what = naming(name);
  Description description;
  description.tensor.name = name;
  description.tensor.shape = read_shape(reader, what);
  description.tensor.type = read_type(reader, what);
  description.offset = reader.number<uint64_t>(what);
  return description;
}

std::vector<Description> read_descriptions(ByteReader& reader, uint64_t count) {
  std::vector<Description> descriptions;
  std::set<std::string_view> names;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view name = reader.text("a tensor's name");
    if (!names.insert(name).second) reader.reject(naming(name), " stands twice");
    descriptions.push_back(read_description(reader, name));
  }
  return descriptions;
}

// The section of the file that holds the data of all tensors.
std::span<const std::byte> data_section(ByteReader& reader, uint64_t alignment) {
  const uint64_t padding = (alignment - reader.position() % alignment) % alignment;
  reader.take(padding, "padding before the data");
  return reader.take(reader.remaining(), "data");
}

uint64_t stored_bytes(const GgufTensor& tensor,
                      std::span<const std::byte> data,
                      const ByteReader& reader) {
  const GgufStorage& storage = *find_gguf_storage(static_cast<uint32_t>(tensor.type));
  if (tensor.shape.back() % storage.block_elements != 0) {
    reader.reject(naming(tensor.name),
                  " has rows of ",
                  tensor.shape.back(),
                  " elements, type ",
                  storage.name,
                  " needs a multiple of ",
                  storage.block_elements);
  }
  const uint64_t blocks = tensor.num_elements() / storage.block_elements;
  // Divides rather than multiplies, so that the number of bytes cannot wrap around.
  if (blocks > data.size() / storage.block_bytes) {
    reader.reject(naming(tensor.name), " is larger than the ", data.size(), " bytes of data");
  }
  return blocks * storage.block_bytes;
}

void place(Description& description,
           std::span<const std::byte> data,
           uint64_t alignment,
           const ByteReader& reader) {
  GgufTensor& tensor = description.tensor;
  const uint64_t bytes = stored_bytes(tensor, data, reader);
  const uint64_t offset = description.offset;
  if (offset % alignment != 0) {
    reader.reject(
        naming(tensor.name), " has offset ", offset, ", expected a multiple of ", alignment);
  }
  if (offset > data.size() - bytes) {
    reader.reject(naming(tensor.name),
                  " has ",
                  bytes,
                  " bytes at offset ",
                  offset,
                  ", the file has ",
                  data.size(),
                  " bytes of data");
  }
  tensor.bytes = data.subspan(offset, bytes);
}

void check_overlaps(const std::vector<GgufTensor>& tensors, const ByteReader& reader) {
  std::vector<const GgufTensor*> order;
  for (const GgufTensor& tensor : tensors) order.push_back(&tensor);
  const auto begin = [](const GgufTensor* tensor) { return tensor->bytes.data(); };
  std::ranges::sort(order, {}, begin);
  const auto overlap = [&](const GgufTensor* a, const GgufTensor* b) {
    return begin(a) + a->bytes.size() > begin(b);
  };
  const auto found = std::ranges::adjacent_find(order, overlap);
  if (found != order.end()) {
    reader.reject(naming((*found)->name), " overlaps ", naming((*std::next(found))->name));
  }
}

}  // namespace

std::vector<GgufTensor> read_gguf_tensors(ByteReader& reader, uint64_t count, uint64_t alignment) {
  std::vector<Description> descriptions = read_descriptions(reader, count);
  std::vector<GgufTensor> tensors;
  if (descriptions.empty()) return tensors;
  const auto data = data_section(reader, alignment);
  for (Description& description : descriptions) {
    place(description, data, alignment, reader);
    tensors.push_back(std::move(description.tensor));
  }
  check_overlaps(tensors, reader);
  return tensors;
}

}  // namespace precis
