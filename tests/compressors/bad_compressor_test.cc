// SPDX-License-Identifier: Apache-2.0
// Compressor directories that are damaged, incomplete or of another kind are refused; the error
// names the fault.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "precis/extend/load_decoder.h"
#include "precis/extend/registry.h"
#include "support/compressor_directory_test.h"
#include "support/small_compressors.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class BadCompressor : public CompressorDirectoryTest<> {
 protected:
  BadCompressor()
      : decoder(load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "qwen2", at::kFloat)) {
    save(*make_small_selfcp(*decoder));
  }

  std::unique_ptr<Compressor> load() const override {
    return load_compressor(directory.path(), *decoder);
  }

  void refuse_base(const std::string& key, const json& value, const std::string& part) const {
    json base = good.at("base");
    base[key] = value;
    refuse_value("base", base, part);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

TEST_F(BadCompressor, WithoutDamageItLoads) {
  const std::string fingerprint = load()->info().fingerprint;
  overwrite(description, good.dump());
  damage_tensors(tensors, [](TensorFile&) {});
  EXPECT_EQ(load()->info().fingerprint, fingerprint);
}

TEST_F(BadCompressor, AMissingDirectoryIsNamed) {
  expect_error(ErrorKind::kNotFound, (directory / "nowhere").string(), [&] {
    load_compressor(directory / "nowhere", *decoder);
  });
}

TEST_F(BadCompressor, AMissingFileIsNamed) {
  fs::remove(tensors);
  refuse(tensors, "cannot be read", ErrorKind::kNotFound);
  fs::remove(description);
  refuse(description, "cannot be read", ErrorKind::kNotFound);
}

// compressor.safetensors

TEST_F(BadCompressor, TruncatedTensorsAreRefused) {
  cut_end(tensors, 10);
  refuse(tensors, "that the file has");
  overwrite(tensors, "");
  refuse(tensors, "0 bytes are no safetensors file");
}

TEST_F(BadCompressor, AMissingTensorIsNamed) {
  for (const std::string name :
       {"connector.weight", "connector.bias", "tag_embedding", "norm.weight", "norm.bias"})
    refuse_tensors([&](TensorFile& file) { file.remove(name); }, name + " is missing");
}

TEST_F(BadCompressor, ASurplusTensorIsNamed) {
  refuse_tensors(
      [](TensorFile& file) {
        file.add({"extra", "F32", {1}, "four"});
      },
      "surplus tensor extra");
}

TEST_F(BadCompressor, ANormIsSurplusInAVariantWithout) {
  refuse_tensors_with("layer_norm", false, "surplus tensor norm.");
}

TEST_F(BadCompressor, ATensorOfAnotherShapeIsNamed) {
  refuse_tensors(
      [](TensorFile& file) {
        file.at("connector.bias").shape = {2, 16};
      },
      "connector.bias is [2, 16], expected [32]");
}

TEST_F(BadCompressor, IntegerWeightsAreNamed) {
  refuse_tensors([](TensorFile& file) { file.at("tag_embedding").dtype = "I32"; },
                 "tag_embedding is I32, expected a floating type");
}

// compressor.json

TEST_F(BadCompressor, OtherThanAJsonObjectIsRefused) {
  refuse_text("", "not valid JSON");
  refuse_text("{\"format\": 1,", "not valid JSON");
  refuse_text(std::string(100'000, '['), "more than 200 objects and arrays in each other");
  refuse_text("[1]", "not a compressor of format 1");
  refuse_text("{}", "not a compressor of format 1");
}

TEST_F(BadCompressor, OtherFormatsAreRefused) {
  for (const json& format : {json(2), json("1"), json(nullptr), json(true), json::array({1})})
    refuse_value("format", format, "not a compressor of format 1");
}

TEST_F(BadCompressor, AnUnknownMethodIsNamed) {
  refuse_value("method", "magic", "\"magic\" is not supported", ErrorKind::kUnsupported);
  refuse_value("method", nullptr, "method is missing");
  refuse_value("method", 7, "method is missing");
}

TEST_F(BadCompressor, RatiosOutOfRangeAreNamed) {
  for (const json& ratio : {json(0.5), json(0), json(-4)})
    refuse_value("ratio", ratio, "ratio is " + ratio.dump());
  for (const json& ratio : {json("NaN"), json("4"), json(nullptr), json(true), json::array({4})})
    refuse_value("ratio", ratio, "ratio");
}

TEST_F(BadCompressor, SegmentsOutOfRangeAreNamed) {
  for (const json& size : {json(0), json(-20)})
    refuse_value("max_segment", size, "max_segment is " + size.dump());
  for (const json& size : {json("20"), json(nullptr), json(20.5), json(1e300)})
    refuse_value("max_segment", size, "max_segment");
}

TEST_F(BadCompressor, AMissingSettingIsNamed) {
  for (const std::string key : {"ratio", "max_segment"}) {
    json changed = good;
    changed.erase(key);
    refuse_text(changed.dump(), key);
  }
}

TEST_F(BadCompressor, IdsOutsideTheVocabularyAreNamed) {
  refuse_value("separator_id", 320, "id 320 is outside the model's vocabulary of 320");
  refuse_value("separator_id", -1, "id -1 is outside");
  refuse_value("continuation_mark", {320}, "id 320 is outside");
  refuse_value("continuation_mark", {5, -1}, "id -1 is outside");
}

TEST_F(BadCompressor, ValuesOfAnotherTypeAreNamed) {
  refuse_value("separator_id", "3", "separator_id");
  refuse_value("separator_id", 3.5, "separator_id");
  refuse_value("continuation_mark", 5, "continuation_mark");
  refuse_value("continuation_mark", {5.5}, "continuation_mark");
  refuse_value("layer_norm", "yes", "layer_norm");
  refuse_value("reads_prefix", 1, "reads_prefix");
}

TEST_F(BadCompressor, AnotherBaseIsNamed) {
  refuse_base("fingerprint", "0123", "made for a model with fingerprint \"0123\"");
  refuse_base("hidden_size", 64, "made for a model with hidden_size 64, this one has 32");
  refuse_base("num_layers", 7, "made for a model with num_layers 7, this one has 3");
  refuse_base("hidden_size", nullptr, "hidden_size");
  refuse_value("base", nullptr, "base is missing");
  refuse_value("base", json::object(), "hidden_size");
}

}  // namespace
}  // namespace precis
