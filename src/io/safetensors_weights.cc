// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_weights.h"

#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/hash.h"
#include "io/json_file.h"
#include "io/mapped_file.h"

namespace precis {
namespace {

struct DtypeName {
  std::string_view name;
  c10::ScalarType type;
};

constexpr DtypeName kDtypes[] = {
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
};

// nullptr for a dtype that ATen lacks.
const DtypeName* find_dtype(std::string_view name) {
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.name == name) return &dtype;
  }
  return nullptr;
}

class SafetensorsWeights final : public WeightSource {
 public:
  // If a tensor is in several files, the last file counts.
  SafetensorsWeights(std::string origin, std::vector<SafetensorsFile> files)
      : origin_(std::move(origin)), files_(std::move(files)) {
    for (const SafetensorsFile& file : files_) {
      for (const StoredTensor& tensor : file.tensors()) tensors_[tensor.name] = &tensor;
    }
  }

  const std::string& origin() const override { return origin_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_) all.push_back(name);
    return all;
  }
  const std::vector<int64_t>& shape(const std::string& name) const override {
    return tensors_.at(name)->shape;
  }

  at::Tensor load(const std::string& name, c10::ScalarType dtype) const override {
    const StoredTensor& stored = floating(name);
    const at::Tensor values = to_tensor(stored).to(dtype);
    release_pages(stored.bytes);
    return values;
  }

  at::Tensor load_rows(const std::string& name,
                       int64_t first,
                       int64_t count,
                       c10::ScalarType dtype) const override {
    StoredTensor rows = floating(name);
    if (rows.shape.empty() || rows.bytes.empty())
      return WeightSource::load_rows(name, first, count, dtype);
    const size_t row_bytes = rows.bytes.size() / rows.shape[0];
    rows.bytes = rows.bytes.subspan(first * row_bytes, count * row_bytes);
    rows.shape[0] = count;
    const at::Tensor values = to_tensor(rows).to(dtype);
    release_pages(rows.bytes);
    return values;
  }

  std::string fingerprint() const override {
    Hasher hasher;
    for (const auto& [name, tensor] : tensors_) {
      hasher.add(name);
      for (const int64_t size : tensor->shape) hasher.add(size);
      hasher.add(tensor->dtype);
      hasher.add(tensor->bytes);
      release_pages(tensor->bytes);
    }
    return hasher.hex();
  }

 private:
  const StoredTensor& floating(const std::string& name) const {
    const StoredTensor& stored = *tensors_.at(name);
    PRECIS_CHECK(stored.dtype[0] == 'F' || stored.dtype == "BF16",
                 kBadWeights,
                 origin_,
                 ": tensor ",
                 name,
                 " is ",
                 stored.dtype,
                 ", expected a floating type");
    PRECIS_CHECK(find_dtype(stored.dtype) != nullptr,
                 kUnsupported,
                 origin_,
                 ": tensor ",
                 name,
                 " is ",
                 stored.dtype,
                 ", which is not supported");
    return stored;
  }

  std::string origin_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, const StoredTensor*> tensors_;
};

std::set<std::string> shard_names(const std::filesystem::path& index) {
  const nlohmann::json parsed = read_json(index);
  PRECIS_CHECK(
      parsed.is_object() && parsed.contains("weight_map") && parsed["weight_map"].is_object(),
      kBadWeights,
      index.string(),
      ": weight_map is missing");
  std::set<std::string> names;
  for (const auto& [tensor, file] : parsed["weight_map"].items()) {
    PRECIS_CHECK(
        file.is_string(), kBadWeights, index.string(), ": weight_map names no file for ", tensor);
    const std::string name = file.get<std::string>();
    PRECIS_CHECK(!name.empty() && std::filesystem::path(name).filename() == name,
                 kBadWeights,
                 index.string(),
                 ": shard \"",
                 name,
                 "\" is not a file beside the index");
    names.insert(name);
  }
  PRECIS_CHECK(!names.empty(), kBadWeights, index.string(), ": weight_map is empty");
  return names;
}

}  // namespace

at::Tensor to_tensor(const StoredTensor& stored) {
  const DtypeName* dtype = find_dtype(stored.dtype);
  PRECIS_CHECK(dtype != nullptr,
               kUnsupported,
               "tensor ",
               stored.name,
               ": dtype ",
               stored.dtype,
               " is not supported");
  at::Tensor tensor = at::empty(stored.shape, dtype->type);
  if (!stored.bytes.empty())
    std::memcpy(tensor.mutable_data_ptr(), stored.bytes.data(), stored.bytes.size());
  return tensor;
}

StoredTensor to_stored(std::string name, const at::Tensor& tensor) {
  PRECIS_CHECK(tensor.is_cpu() && tensor.is_contiguous(),
               kInternal,
               "tensor ",
               name,
               " is to be written, but is not contiguous on the CPU");
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.type != tensor.scalar_type()) continue;
    const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
    return {
        std::move(name), std::string(dtype.name), tensor.sizes().vec(), {data, tensor.nbytes()}};
  }
  fail(ErrorKind::kUnsupported, "tensor ", name, ": its dtype cannot be written");
}

std::shared_ptr<const WeightSource> safetensors_weights(const std::filesystem::path& directory) {
  const auto index = directory / "model.safetensors.index.json",
             single = directory / "model.safetensors";
  std::error_code ignored;
  if (std::filesystem::is_regular_file(single, ignored) || !std::filesystem::exists(index, ignored))
    return safetensors_file_weights(single);
  std::vector<SafetensorsFile> files;
  for (const std::string& name : shard_names(index))
    files.push_back(SafetensorsFile::open(directory / name));
  return std::make_shared<SafetensorsWeights>(directory.string(), std::move(files));
}

std::shared_ptr<const WeightSource> safetensors_file_weights(const std::filesystem::path& file) {
  std::vector<SafetensorsFile> files;
  files.push_back(SafetensorsFile::open(file));
  return std::make_shared<SafetensorsWeights>(file.string(), std::move(files));
}

}  // namespace precis
