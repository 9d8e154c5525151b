// SPDX-License-Identifier: Apache-2.0
// Weights that are read a few rows at a time.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "io/gguf_model.h"
#include "io/safetensors_weights.h"
#include "models/config.h"
#include "models/transformer.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/shapes.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

std::shared_ptr<const WeightSource> weights_of(const fs::path& model) {
  if (fs::is_directory(model)) return safetensors_weights(model);
  return gguf_weights(std::make_shared<const GgufFile>(GgufFile::open(model)));
}

// For every tensor of every model, also those that a file stores in another order. A tensor can be
// read repeatedly.
TEST(WeightRows, EqualThoseOfTheWholeTensor) {
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const auto source = weights_of(entry.path());
    const std::string fingerprint = source->fingerprint();
    for (const std::string& name : source->names()) {
      const int64_t rows = source->shape(name)[0], middle = rows / 3;
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const at::Tensor last = source->load_rows(name, middle, rows - middle, dtype),
                         first = source->load_rows(name, 0, middle, dtype);
        EXPECT_EQ(first.scalar_type(), dtype);
        EXPECT_TRUE(at::equal(at::cat({first, last}), source->load(name, dtype)))
            << entry.path() << " " << name;
      }
    }
    EXPECT_EQ(source->fingerprint(), fingerprint) << entry.path();
  }
}

// Fails the test if the embedding table is read as a whole.
class WithoutTables final : public WeightSource {
 public:
  explicit WithoutTables(std::shared_ptr<const WeightSource> source) : source_(std::move(source)) {}

  const std::string& origin() const override { return source_->origin(); }
  std::vector<std::string> names() const override { return source_->names(); }
  const std::vector<int64_t>& shape(const std::string& name) const override {
    return source_->shape(name);
  }
  at::Tensor load(const std::string& name, c10::ScalarType dtype) const override {
    EXPECT_NE(name, "model.embed_tokens.weight");
    return source_->load(name, dtype);
  }
  at::Tensor load_rows(const std::string& name,
                       int64_t first,
                       int64_t count,
                       c10::ScalarType dtype) const override {
    return source_->load_rows(name, first, count, dtype);
  }
  std::string fingerprint() const override { return source_->fingerprint(); }

 private:
  std::shared_ptr<const WeightSource> source_;
};

// Whole tables in float32 would need the most memory of all tensors.
TEST(WeightRows, TablesAreQuantisedAFewRowsAtATime) {
  const c10::InferenceMode inference;
  const at::Tensor ids = at::arange(4);
  for (const char* name : {"gemma3_text", "gemma3_text.gguf"}) {
    const fs::path model = kModels / name;
    const DecoderConfig config = model_shape(model);
    const Weights weights(std::make_shared<WithoutTables>(weights_of(model)), at::kFloat);
    const auto decoder = load_transformer(config, weights, at::kFloat, WeightFormat::kInt8),
               whole = load_decoder(model, at::kFloat, WeightFormat::kInt8);
    EXPECT_TRUE(at::equal(decoder->embed(ids), whole->embed(ids))) << name;
    EXPECT_EQ(decoder->weight_bytes(), whole->weight_bytes()) << name;
  }
}

TEST(WeightRows, OutOfRangeAreRefused) {
  const auto source = weights_of(kModels / "llama");
  const std::string name = "model.embed_tokens.weight";
  const std::vector<int64_t>& shape = source->shape(name);
  const Weights weights(source, at::kFloat);
  EXPECT_EQ(weights.take_rows(name, shape, shape[0] - 1, 1).size(0), 1);
  for (const auto& [first, count] :
       {std::pair<int64_t, int64_t>{shape[0] - 1, 2}, {-1, 1}, {0, -1}, {shape[0] + 1, 0}})
    expect_error(ErrorKind::kInvalidArgument, "has no rows", [&, first = first, count = count] {
      weights.take_rows(name, shape, first, count);
    });
}

// A value that cannot be quantised is reported with the file's name.
TEST(WeightRows, ANanInATableNamesTheFile) {
  const TemporaryDirectory directory;
  const fs::path model = directory / "model";
  fs::copy(kModels / "gemma3_text", model, fs::copy_options::recursive);
  TensorFile file(model / "model.safetensors");
  std::string& bytes = file.at("model.embed_tokens.weight").bytes;
  bytes.replace(bytes.size() - 8, 8, std::string(8, '\xff'));  // NaN in every format
  file.write(model / "model.safetensors");
  expect_error(ErrorKind::kBadWeights, "model.safetensors: quantize: the weight holds", [&] {
    load_decoder(model, at::kFloat, WeightFormat::kInt8);
  });
}

}  // namespace
}  // namespace precis
