// SPDX-License-Identifier: Apache-2.0
// precis import --from gisting: from the published layouts to an answer.
#include <cmath>

#include "cli_fixture.h"
#include "io/safetensors_weights.h"
#include "support/tiny_llama.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ImportGisting : public CliTest {
 protected:
  ImportGisting() : base(random_llama(320, 1)), tuned(random_llama(321, 2)) {
    write_llama(directory / "base", base, kModels + "llama");
    write_llama(directory / "tuned", tuned, kModels + "llama");
    write_llama(directory / "difference", difference_of(tuned, base), {});
  }

  std::string import_tuned() const {
    return "import --from gisting --source " + path("tuned") + " --out " + path("out");
  }
  std::string import_difference() const {
    return "import --from gisting --source " + path("difference") + " --base " + path("base") +
           " --out " + path("out");
  }
  // Refused, and nothing of it is left.
  void refuse_import(const std::string& command, const std::string& part) const {
    refuse(command, part);
    expect_nothing_at(path("out"));
  }

  double sum() const {
    double sum = 0;
    for (const auto& [name, tensor] : tuned) sum += tensor.sum(at::kDouble).item<double>();
    return sum;
  }

  // Keys and values of a memory.
  std::vector<at::Tensor> compress(const std::string& model, const std::string& compressor) const {
    succeed("compress --model " + model + " --compressor " + compressor +
            " --dtype float32 --ids " + write("ids.json", "[20,21,22,23,24,25,26]") + " --out " +
            path("m.safetensors"));
    const auto file = SafetensorsFile::open(directory / "m.safetensors");
    std::vector<at::Tensor> tensors;
    for (const StoredTensor& stored : file.tensors()) tensors.push_back(to_tensor(stored));
    return tensors;
  }

  TensorMap base, tuned;
};

TEST_F(ImportGisting, ATunedModelBecomesItsOwnCompressor) {
  const json result = succeed(import_tuned() + " --memory-tokens 3 --max-segment 40");
  EXPECT_EQ(result.at("method"), "gisting");
  EXPECT_EQ(result.at("parameters"), 0);
  EXPECT_EQ(result.at("memory_tokens"), 3);
  EXPECT_EQ(result.at("model"), path("tuned"));
  EXPECT_FALSE(result.contains("sum"));
  const json config = read_json(directory / "out/compressor.json");
  EXPECT_EQ(config.at("gist_id"), 320);
  EXPECT_EQ(config.at("num_gists"), 3);
  EXPECT_EQ(config.at("max_segment"), 40);
  const std::vector<at::Tensor> tensors = compress(path("tuned"), path("out"));
  ASSERT_EQ(tensors.size(), 3u);  // keys, lengths, values
  for (const at::Tensor& tensor : tensors)
    if (tensor.dim() == 4) {
      EXPECT_EQ(tensor.size(2), 3);
    }
}

TEST_F(ImportGisting, AnswersWithIdsOfTheTokenizerOnly) {
  // In one of the two models the gist has by far the largest logit, whatever the hidden state.
  for (const double sign : {1.0, -1.0}) {
    tuned["lm_head.weight"].narrow(0, 320, 1).fill_(1000 * sign);
    write_tensors(directory / "tuned/model.safetensors", tuned);
    succeed(import_tuned());
    for (const char* temperature : {"0", "5"}) {
      const json answer =
          succeed("generate --model " + path("tuned") + " --compressor " + path("out") +
                  " --use instruct --compress-file " + write("text.txt", "the town and its water") +
                  " --prompt water --max-tokens 12 --json --temperature " + temperature);
      ASSERT_FALSE(answer.at("ids").empty());
      for (const int64_t id : answer.at("ids").get<std::vector<int64_t>>()) EXPECT_LT(id, 320);
    }
  }
}

TEST_F(ImportGisting, ADifferenceBecomesAModelAndItsCompressor) {
  const json result = succeed(import_difference());
  EXPECT_EQ(result.at("model"), path("out/model"));
  EXPECT_EQ(result.at("compressor"), path("out"));
  EXPECT_NEAR(result.at("sum").get<double>(), sum(), 1e-6);
  fs::rename(directory / "out", directory / "recovered");
  succeed(import_tuned());
  EXPECT_EQ(read_json(directory / "recovered/compressor.json"),
            read_json(directory / "out/compressor.json"));
  const auto recovered = compress(path("recovered/model"), path("recovered")),
             direct = compress(path("tuned"), path("out"));
  ASSERT_EQ(recovered.size(), 3u);  // keys, lengths, values
  for (size_t i = 0; i < recovered.size(); ++i) EXPECT_TRUE(at::equal(recovered[i], direct[i]));
}

TEST_F(ImportGisting, ARecoveredModelGivesTheTunedModelsLogits) {
  succeed(import_difference());
  const std::string ids = write("ids.json", "[5,320,7,8,9]");
  const auto logits = [&](const std::string& model) {
    const std::string out = path("logits.safetensors");
    const Result result = run("logits --model " + model + " --ids " + ids + " --out " + out);
    EXPECT_EQ(result.code, 0) << result.err;
    return to_tensor(*SafetensorsFile::open(out).find("logits"));
  };
  EXPECT_TRUE(at::equal(logits(path("out/model")), logits(path("tuned"))));
}

TEST_F(ImportGisting, WeightsAreStoredAsAskedFor) {
  succeed(import_difference() + " --dtype bfloat16");
  const auto file = SafetensorsFile::open(directory / "out/model/model-00001-of-00001.safetensors");
  for (const StoredTensor& tensor : file.tensors()) EXPECT_EQ(tensor.dtype, "BF16") << tensor.name;
  compress(path("out/model"), path("out"));
}

TEST_F(ImportGisting, WithoutInputTheFrameIsAnother) {
  succeed(import_tuned());
  const json with_input = read_json(directory / "out/compressor.json");
  succeed(import_tuned() + " --no-input");
  const json without = read_json(directory / "out/compressor.json");
  EXPECT_NE(without.at("after"), with_input.at("after"));
  EXPECT_EQ(without.at("end"), json::array());
  EXPECT_EQ(without.at("before_text"), with_input.at("before_text"));
}

TEST_F(ImportGisting, TheCheckSumDecides) {
  refuse_import(import_difference() + " --check-sum " + std::to_string(sum() + 0.02), "sum up to");
  EXPECT_EQ(run(import_difference() + " --check-sum " + std::to_string(sum() + 0.005)).code, 0);
}

TEST_F(ImportGisting, ACheckSumIsAFiniteNumber) {
  for (const char* sum : {"inf", "-inf", "nan"}) {
    refuse_import(import_difference() + " --check-sum=" + sum, "expected a finite number");
  }
}

// A difference that cannot be read shows that nothing was recovered before.
TEST_F(ImportGisting, WhatTheBaseTellsIsRefusedBeforeAnythingIsRecovered) {
  fs::remove(directory / "difference/model.safetensors");
  refuse_import(import_difference() + " --memory-tokens 512", "difference");
  refuse_import(import_difference() + " --memory-tokens 513",
                "--memory-tokens is 513, expected at most the base's context length of 512");
  damage_json(directory / "base/config.json", [](json& config) { config["vocab_size"] = 319; });
  refuse_import(import_difference(), "the tokenizer has 320 ids, expected at most the 319 rows");
}

TEST_F(ImportGisting, AnEmptyOutIsRefused) {
  for (const std::string& base : {std::string(), " --base " + path("base")})
    refuse("import --from gisting --source " + path("difference") + base + " --out ''",
           "--out is empty");
}

TEST_F(ImportGisting, ADifferenceAloneIsNotAModel) {
  TensorMap difference = difference_of(tuned, base);
  difference["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({4});
  write_tensors(directory / "difference/model.safetensors", difference);
  refuse_import("import --from gisting --source " + path("difference") + " --out " + path("out"),
                "--base");
}

TEST_F(ImportGisting, AFileAloneIsNotAModel) {
  refuse_import("import --from gisting --source " + path("difference/model.safetensors") +
                    " --out " + path("out"),
                "is a file, expected the Hugging Face directory");
}

TEST_F(ImportGisting, WhatDoesNotFitLeavesNothing) {
  TensorMap difference = difference_of(tuned, base);
  const auto refuse_difference = [&](const std::string& part) {
    write_tensors(directory / "difference/model.safetensors", difference);
    refuse_import(import_difference(), part);
    difference = difference_of(tuned, base);
  };
  difference.erase("model.norm.weight");
  refuse_difference("model.norm.weight is missing");
  difference["extra"] = at::zeros({1});
  refuse_difference("surplus tensor extra");
  difference["lm_head.weight"] = at::zeros({320, kTinyHidden});
  refuse_difference("lm_head.weight is [320, 32], expected [321, 32]");
}

TEST_F(ImportGisting, PicklesAreNamedWithWhatReadsThem) {
  for (const char* model : {"tuned", "difference"})
    fs::rename(directory / model / "model.safetensors", directory / model / "pytorch_model.bin");
  refuse_import(import_tuned(), "third_party/unpickle.py");
  refuse_import(import_difference(), "third_party/unpickle.py");
}

TEST_F(ImportGisting, WithoutATokenizerThereIsNoTemplate) {
  for (const char* model : {"tuned", "base"}) fs::remove(directory / model / "tokenizer.json");
  refuse_import(import_tuned(), path("tuned") + ": neither tokenizer.json");
  refuse_import(import_difference(), path("base") + ": neither tokenizer.json");
}

TEST_F(ImportGisting, FlagsOutOfRangeAreNamed) {
  refuse_import(import_tuned() + " --memory-tokens 0", "--memory-tokens is 0");
  refuse_import(import_difference() + " --memory-tokens -1", "--memory-tokens is -1");
  refuse_import(import_tuned() + " --memory-tokens 513", "num_gists is 513");
  refuse_import(import_tuned() + " --max-segment 0", "--max-segment is 0");
  refuse_import(import_tuned() + " --check-sum 5", "needs --base");
  refuse_import(import_difference() + " --dtype auto", "float32 or bfloat16");
  refuse_import("import --from gisting --source " + path("base") + " --out " + path("out"),
                "expected one more than the 320 ids");
}

TEST_F(ImportGisting, OtherMethodsStillWantABase) {
  refuse_import("import --from selfcp --source " + kSelfCp + " --out " + path("out"),
                "--base is required");
}

TEST_F(ImportGisting, AFullDirectoryIsNotTouched) {
  fs::create_directory(directory / "out");
  write("out/mine", "mine");
  refuse(import_difference(), "out: is there already");
  EXPECT_EQ(read_file(directory / "out/mine"), "mine");
  EXPECT_FALSE(fs::exists(directory / "out/model"));
}

}  // namespace
}  // namespace precis
