// SPDX-License-Identifier: Apache-2.0
#include "io/gguf.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "io/gguf_parts.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

using Values = std::map<std::string, GgufValue, std::less<>>;

// Tensor data is used in place, without byte swapping.
static_assert(std::endian::native == std::endian::little);

// Smallest size of a metadata pair or a tensor description: lengths, types, one byte each of name
// and value, one dimension.
constexpr uint64_t kMinPairBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinDescriptionBytes = 8 + 4 + 8 + 4 + 8;

void check_version(ByteReader& reader) {
  constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
  if (reader.number<uint32_t>("the magic number") != kMagic) {
    reader.reject("no GGUF file, which begins with \"GGUF\"");
  }
  const auto version = reader.number<uint32_t>("the version");
  PRECIS_CHECK(version == 2 || version == 3,
               kUnsupported,
               reader.source(),
               ": GGUF version ",
               version,
               ", expected 2 or 3, little-endian");
}

Values read_metadata(ByteReader& reader, uint64_t count) {
  Values values;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = reader.text("a metadata key");
    if (key.empty()) reader.reject("a metadata key is empty");
    const std::string what = "metadata " + in_quotes(key);
    if (values.contains(key)) reader.reject(what, " stands twice");
    values.emplace(key, read_gguf_value(reader, what));
  }
  return values;
}

std::optional<int64_t> to_integer(const GgufValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  const auto* number = std::get_if<uint64_t>(&value);
  if (number == nullptr || !std::in_range<int64_t>(*number)) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<double> to_number(const GgufValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<uint64_t>(&value)) return static_cast<double>(*number);
  return std::nullopt;
}

template <typename T>
std::optional<T> to_exactly(const GgufValue& value) {
  const auto* exact = std::get_if<T>(&value);
  return exact == nullptr ? std::nullopt : std::optional<T>(*exact);
}

template <typename To, typename From>
std::vector<To> copied(const std::vector<From>& list) {
  return {list.begin(), list.end()};
}

std::optional<std::vector<int64_t>> to_integers(const GgufValue& value) {
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) return *list;
  if (const auto* list = std::get_if<std::vector<uint64_t>>(&value)) {
    if (!std::ranges::all_of(*list, std::in_range<int64_t, uint64_t>)) return std::nullopt;
    return copied<int64_t>(*list);
  }
  const auto single = to_integer(value);
  return single ? std::optional(std::vector{*single}) : std::nullopt;
}

std::optional<std::vector<double>> to_numbers(const GgufValue& value) {
  if (const auto* list = std::get_if<std::vector<double>>(&value)) return *list;
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) return copied<double>(*list);
  if (const auto* list = std::get_if<std::vector<uint64_t>>(&value)) return copied<double>(*list);
  const auto single = to_number(value);
  return single ? std::optional(std::vector{*single}) : std::nullopt;
}

}  // namespace

int64_t GgufTensor::num_elements() const {
  return std::reduce(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile file(MappedFile::open(path));
  GgufSplit split = file.split();
  if (split.count == 1) return file;
  for (const auto& part : other_gguf_parts(path, split)) {
    ++split.index;
    file.add_file(part, split);
  }
  file.check_all_files(split);
  return file;
}

GgufSplit GgufFile::split() const {
  const GgufSplit split{integer("split.no").value_or(0),
                        integer("split.count").value_or(1),
                        integer("split.tensors.count")};
  if (split.count <= 1) return {};
  PRECIS_CHECK(split.index >= 0 && split.index < split.count,
               kBadWeights,
               path().string(),
               ": split.no is ",
               split.index,
               ", expected 0 to ",
               split.count - 1,
               ", since split.count is ",
               split.count);
  return split;
}

void GgufFile::add_file(const std::filesystem::path& path, const GgufSplit& expected) {
  GgufFile part(MappedFile::open(path));
  const GgufSplit own = part.split();
  PRECIS_CHECK(own.index == expected.index && own.count == expected.count,
               kBadWeights,
               path.string(),
               ": says that it is part ",
               own.index + 1,
               " of ",
               own.count,
               ", expected part ",
               expected.index + 1,
               " of ",
               expected.count);
  std::ranges::move(part.tensors_, std::back_inserter(tensors_));
  other_files_.push_back(std::move(part.file_));
}

GgufFile::GgufFile(MappedFile file) : file_(std::move(file)) {
  ByteReader reader(file_.bytes(), file_.path().string());
  check_version(reader);
  const uint64_t num_tensors = reader.count(kMinDescriptionBytes, "the number of tensors");
  const uint64_t num_pairs = reader.count(kMinPairBytes, "the number of metadata pairs");
  values_ = read_metadata(reader, num_pairs);
  const int64_t alignment = integer("general.alignment").value_or(32);
  if (alignment < 8 || !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    reader.reject("general.alignment is ", alignment, ", expected a power of two from 8 on");
  }
  tensors_ = read_gguf_tensors(reader, num_tensors, static_cast<uint64_t>(alignment));
}

void GgufFile::check_all_files(const GgufSplit& split) const {
  PRECIS_CHECK(!split.num_tensors || *split.num_tensors == std::ssize(tensors_),
               kBadWeights,
               path().string(),
               ": its ",
               split.count,
               " files hold ",
               tensors_.size(),
               " tensors, split.tensors.count is ",
               split.num_tensors.value_or(0));
  std::vector<std::string_view> names;
  for (const GgufTensor& tensor : tensors_) names.push_back(tensor.name);
  std::ranges::sort(names);
  const auto twin = std::ranges::adjacent_find(names);
  PRECIS_CHECK(twin == names.end(),
               kBadWeights,
               path().string(),
               ": tensor ",
               in_quotes(*twin),
               " stands in two of its files");
}

template <typename Convert>
auto GgufFile::convert(std::string_view key, std::string_view expected, Convert to) const
    -> decltype(to(GgufValue())) {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  auto value = to(found->second);
  PRECIS_CHECK(value,
               kBadWeights,
               path().string(),
               ": metadata ",
               in_quotes(key),
               " has another type, expected ",
               expected);
  return value;
}

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  return convert(key, "an integer", to_integer);
}

std::optional<double> GgufFile::number(std::string_view key) const {
  return convert(key, "a number", to_number);
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  return convert(key, "a boolean", to_exactly<bool>);
}

std::optional<std::string_view> GgufFile::string(std::string_view key) const {
  return convert(key, "a string", to_exactly<std::string_view>);
}

std::optional<std::vector<std::string_view>> GgufFile::strings(std::string_view key) const {
  return convert(key, "an array of strings", to_exactly<std::vector<std::string_view>>);
}

std::optional<std::vector<int64_t>> GgufFile::integers(std::string_view key) const {
  return convert(key, "integers", to_integers);
}

std::optional<std::vector<double>> GgufFile::numbers(std::string_view key) const {
  return convert(key, "numbers", to_numbers);
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors_, name, &GgufTensor::name);
  return found == tensors_.end() ? nullptr : &*found;
}

}  // namespace precis
