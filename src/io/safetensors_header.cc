// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/check.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDimensions = 64;
constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

struct ElementSize {
  std::string_view dtype;
  uint64_t bytes;
};

constexpr ElementSize kElementSizes[] = {
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"U16", 2},
    {"I16", 2},
    {"F16", 2},
    {"BF16", 2},
    {"U32", 4},
    {"I32", 4},
    {"F32", 4},
    {"U64", 8},
    {"I64", 8},
    {"F64", 8},
};

// Reads the JSON as a stream of events and stops at the first one that a header cannot have: a
// hostile header is never built as a tree, and duplicate keys are found.
class HeaderReader final : public Json::json_sax_t {
 public:
  explicit HeaderReader(const std::string& source) : source_(source) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      open_entry();
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::kTop) {
      if (!names_.insert(name).second) reject(in_quotes(name), " stands twice");
      name_ = name;
    } else {
      if (!fields_.insert(name).second)
        reject(in_quotes(name_), " has ", in_quotes(name), " twice");
      field_ = name;
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) close_tensor();
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kTensor && field_ == "shape") {
      place_ = Place::kShape;
    } else if (place_ == Place::kTensor && field_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace(field_, std::move(text));
    } else if (place_ == Place::kTensor && field_ == "dtype") {
      entry_.dtype = std::move(text);
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (place_ == Place::kShape) {
      if (number > kMaxInt64 || entry_.shape.size() == kMaxDimensions) unexpected("a huge shape");
      entry_.shape.push_back(static_cast<int64_t>(number));
    } else if (place_ == Place::kOffsets && offsets_.size() < 2) {
      offsets_.push_back(number);
    } else {
      unexpected("a number");
    }
    return true;
  }

  // null in place of the metadata object is accepted.
  bool null() override {
    if (place_ == Place::kTop && name_ == kSafetensorsMetadataKey) return true;
    unexpected("null");
  }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { unexpected("a fraction"); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t position,
                   const std::string&,
                   const nlohmann::detail::exception&) override {
    reject("not valid JSON near byte ", position);
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kTensor, kShape, kOffsets };

  void open_entry() {
    place_ = name_ == kSafetensorsMetadataKey ? Place::kMetadata : Place::kTensor;
    fields_.clear();
    offsets_.clear();
    entry_ = {};
  }

  void close_tensor() {
    const std::set<std::string, std::less<>> expected = {"data_offsets", "dtype", "shape"};
    if (fields_ != expected || offsets_.size() != 2) {
      reject("tensor ", in_quotes(name_), " needs exactly a dtype, a shape and two data_offsets");
    }
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header_.entries.emplace(name_, std::move(entry_));
  }

  template <typename... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    fail(ErrorKind::kBadWeights, source_, ": header: ", parts...);
  }

  [[noreturn]] void unexpected(std::string_view what) const {
    if (place_ == Place::kOutside) reject(what, " where an object was expected");
    reject(what, " is out of place in ", in_quotes(name_));
  }

  const std::string& source_;
  SafetensorsHeader header_;
  Place place_ = Place::kOutside;
  std::set<std::string, std::less<>> names_;   // keys of the header
  std::set<std::string, std::less<>> fields_;  // keys of the entry being read
  std::string name_;
  std::string field_;
  SafetensorsEntry entry_;
  std::vector<uint64_t> offsets_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& source) {
  // The format requires "{" as the first byte; the JSON parser would take a NUL byte as the end.
  PRECIS_CHECK(text.starts_with('{') && text.find('\0') == std::string_view::npos,
               kBadWeights,
               source,
               ": header: not a JSON object");
  HeaderReader reader(source);
  Json::sax_parse(text, &reader);
  return reader.take();
}

std::optional<uint64_t> safetensors_element_bytes(std::string_view dtype) {
  for (const ElementSize& size : kElementSizes) {
    if (size.dtype == dtype) return size.bytes;
  }
  return std::nullopt;
}

std::optional<uint64_t> safetensors_bytes(uint64_t element_bytes, std::span<const int64_t> shape) {
  uint64_t bytes = element_bytes;
  for (const int64_t dimension : shape) {
    const auto size = static_cast<uint64_t>(dimension);
    if (size != 0 && bytes > kMaxInt64 / size) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

}  // namespace precis
