// SPDX-License-Identifier: Apache-2.0
// Gisting's directories: their contents, and errors.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gisting_fixture.h"
#include "support/compressor_directory_test.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Form = GistingConfig::Form;

class GistingFiles : public CompressorDirectoryTest<> {
 protected:
  GistingFiles() : decoder(load_model("llama", at::kFloat)) {}

  std::unique_ptr<Compressor> load() const override {
    return load_gisting(open_compressor(directory.path()), *decoder);
  }

  void save(Form form) {
    CompressorDirectoryTest::save(*make_golden(golden_config(form, 2), *decoder));
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

TEST_F(GistingFiles, TheTunedFormHasAFileWithoutTensors) {
  save(Form::kTuned);
  EXPECT_TRUE(SafetensorsFile::open(tensors).tensors().empty());
  EXPECT_FALSE(good.contains("rank"));
  refuse_tensors(
      [](TensorFile& file) {
        file.add({"extra", "F32", {1}, "four"});
      },
      "surplus tensor extra");
  fs::remove(tensors);
  refuse(tensors, "cannot be read", ErrorKind::kNotFound);
}

TEST_F(GistingFiles, AMissingTensorIsNamed) {
  save(Form::kFrozen);
  for (const std::string name :
       {"gist_embeddings", "layers.0.q_proj.lora_A.weight", "layers.2.v_proj.lora_B.weight"})
    refuse_tensors([&](TensorFile& file) { file.remove(name); }, name + " is missing");
}

TEST_F(GistingFiles, OtherCountsThanTheTensorsHaveAreNamed) {
  save(Form::kFrozen);
  refuse_tensors_with("num_gists", 3, "gist_embeddings is [2, 32], expected [3, 32]");
  refuse_tensors_with("rank", 0, "surplus tensor layers.0.");
  refuse_tensors_with("rank", 5, "lora_A.weight is [4, 32], expected [5, 32]");
}

TEST_F(GistingFiles, ValuesOutOfRangeAreNamed) {
  save(Form::kFrozen);
  refuse_value("form", "melted", "form is \"melted\", expected \"tuned\" or \"frozen\"");
  refuse_value("form", 7, "form");
  for (const char* key : {"num_gists", "max_segment", "rank"}) {
    for (const json& value : {json("2"), json(2.5), json(nullptr), json(-1), json(1e300)})
      refuse_value(key, value, key);
  }
  refuse_value("alpha", "much", "alpha");
  refuse_value("alpha", nullptr, "alpha is missing");
  refuse_value("num_gists", 513, "num_gists is 513, expected 1 to 512");
  refuse_value("gist_id", 311, "the frozen form has no use for a gist_id");
  refuse_value("before_text", 5, "before_text");
  refuse_value("after", {320}, "id 320 is outside the model's vocabulary of 320");
  refuse_value("end", {1, "x"}, "end");
}

TEST_F(GistingFiles, TheTunedFormNeedsItsGistId) {
  save(Form::kTuned);
  refuse_value("gist_id", nullptr, "the tuned form needs a gist_id");
  refuse_value("gist_id", 320, "id 320 is outside the model's vocabulary of 320");
  refuse_value("gist_id", "311", "gist_id");
  refuse_value("before_text", {1, 311}, "the gist 311 stands in the template");
}

TEST_F(GistingFiles, AnotherModelIsNamed) {
  save(Form::kTuned);
  const auto other = load_model("qwen2", at::kFloat);
  expect_error(ErrorKind::kBadWeights, "made for a model", [&] {
    load_gisting(open_compressor(directory.path()), *other);
  });
}

}  // namespace
}  // namespace precis
