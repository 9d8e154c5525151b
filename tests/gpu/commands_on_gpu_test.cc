// SPDX-License-Identifier: Apache-2.0
// Commands that run a model, with and without --device cuda; skipped if there is no GPU.
#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

#include "cli/cli_fixture.h"
#include "io/safetensors.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kTolerance = 2e-3;

class CommandsOnGpu : public CliTest {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no GPU";
    if (fs::exists(PRECIS_TEST_PROGRAM)) return;
    // On another machine the program is in the directory of its tests.
    program = fs::read_symlink("/proc/self/exe").parent_path() / "precis";
    ASSERT_TRUE(fs::exists(program));
    models = "tests/golden/models/";
  }

  struct Answers {
    json here;
    json there;
  };
  // What the command prints on either device.
  Answers both(const std::string& arguments) const {
    return {succeed(arguments), succeed(arguments + " --device cuda")};
  }

  static void expect_near(const json& here, const json& there, const std::string& what) {
    ASSERT_EQ(here.is_array(), there.is_array()) << what;
    if (!here.is_array()) {
      EXPECT_NEAR(here.get<double>(), there.get<double>(), kTolerance) << what;
      return;
    }
    ASSERT_EQ(here.size(), there.size()) << what;
    for (size_t i = 0; i < here.size(); ++i) expect_near(here[i], there[i], what);
  }

  // Compares two files: float32 tensors with a tolerance, integer ones exactly.
  void expect_near_tensors(const std::string& here, const std::string& there) const {
    const auto own = SafetensorsFile::open(directory / here),
               other = SafetensorsFile::open(directory / there);
    ASSERT_EQ(own.tensors().size(), other.tensors().size());
    ASSERT_FALSE(own.tensors().empty());
    for (const StoredTensor& stored : own.tensors()) {
      const StoredTensor* found = other.find(stored.name);
      ASSERT_NE(found, nullptr) << stored.name;
      ASSERT_EQ(stored.shape, found->shape);
      if (stored.dtype == "I64") {  // tokens of each head
        ASSERT_TRUE(std::ranges::equal(stored.bytes, found->bytes)) << stored.name;
        continue;
      }
      ASSERT_EQ(stored.dtype, "F32");
      std::vector<float> a(stored.bytes.size() / sizeof(float)), b(a.size());
      std::memcpy(a.data(), stored.bytes.data(), stored.bytes.size());
      std::memcpy(b.data(), found->bytes.data(), found->bytes.size());
      for (size_t i = 0; i < a.size(); ++i)
        ASSERT_NEAR(a[i], b[i], kTolerance * std::max(1.f, std::abs(a[i]))) << stored.name;
    }
  }

  std::string llama() const { return " --model " + models + "llama --dtype float32 "; }

  std::string texts() const {
    std::string lines;
    for (int i = 0; i < 12; ++i) {
      std::string text = "the town and its water ";
      for (int word = 0; word < 12; ++word) text += std::to_string(i * i + word) + " of the kind ";
      lines += json{{"text", text}}.dump() + "\n";
    }
    return write("texts.jsonl", lines);
  }

  std::string train(const std::string& flags, const std::string& out) const {
    return "train" + llama() + "--data " + texts() + " --out " + path(out) +
           " --batch 2 --min-older 20 --max-older 30 --max-kept 4 --target 8 --warmup 1 "
           "--checkpoint-every 2 " +
           flags;
  }

  std::vector<double> losses(const std::string& run) const {
    std::vector<double> all;
    std::ifstream log(path(run) + "/log.jsonl");
    for (std::string line; std::getline(log, line);) {
      const json entry = json::parse(line);
      if (entry.contains("loss")) all.push_back(entry.at("loss"));
    }
    return all;
  }

  std::string models = kModels;
};

struct Method {
  const char* name;
  const char* flags;
};

class MethodsOnGpu : public CommandsOnGpu, public testing::WithParamInterface<Method> {};

// Trains on both devices, with a run that is resumed, and expects the same losses; then uses the
// result on both.
TEST_P(MethodsOnGpu, LearnAndAnswerAsOnTheCpu) {
  const std::string flags = std::string(GetParam().flags) + " ";
  succeed(train(flags + "--steps 4", "here"));
  succeed(train(flags + "--steps 4 --device cuda --minutes 0.0001", "there"));
  EXPECT_LT(losses("there").size(), 4u);
  succeed(train(flags + "--steps 4 --device cuda", "there"));
  const std::vector<double> here = losses("here"), there = losses("there");
  ASSERT_EQ(here.size(), 4u);
  ASSERT_EQ(there.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(here[i], there[i], kTolerance) << "step " << i;

  const std::string with = llama() + "--compressor " + path("here") + " ";
  const std::string text = write("text.txt", "the water of the town is more of the kind than 17 ");
  for (const char* device : {"cpu", "cuda"})
    succeed("compress" + with + "--file " + text + " --out " + path(device) + " --device " +
            device);
  expect_near_tensors("cpu", "cuda");

  const std::string ask = "--raw --prompt water --max-tokens 6 --json";
  const auto direct = both("generate" + with + "--compress-file " + text + " " + ask);
  EXPECT_EQ(direct.here.at("ids"), direct.there.at("ids"));
  const auto kept = both("generate" + llama() + "--memory " + path("cpu") + " " + ask);
  EXPECT_EQ(kept.here.at("ids"), kept.there.at("ids"));
  EXPECT_EQ(kept.here.at("ids"), direct.here.at("ids"));
  // A cached memory has no embedding that the first id could follow.
  if (SafetensorsFile::open(directory / "cpu").find("embeddings") != nullptr) {
    const auto scores = both("score" + with + "--context-ids " +
                             write("context.json", "[20,21,22,23,24,25,26,27,28,29,30]") +
                             " --ids " + write("ids.json", "[10,11,12,13]"));
    expect_near(scores.here.at("nll"), scores.there.at("nll"), "score");
  }
  const std::string eval = "eval" + with + "--texts " + path("texts.jsonl") +
                           " --older 24 --kept 4 --scored 8 --limit 3 --task continue reconstruct "
                           "--out ";
  succeed(eval + path("eval_here"));
  succeed(eval + path("eval_there") + " --device cuda");
  const auto arms = [&](const char* run) {
    return read_json(directory / run / "results.json")
        .at("tasks")
        .at("continue")
        .at("ratios")
        .at(0);
  };
  const auto cpu_arms = arms("eval_here"), gpu_arms = arms("eval_there");
  for (const auto& [name, arm] : cpu_arms.at("arms").items())
    expect_near(
        arm.at("nll").at("value"), gpu_arms.at("arms").at(name).at("nll").at("value"), name);
  const json rates = succeed("bench" + with +
                             "--device cuda --sweep 24 --batch 2 --prefill 8 --decode 2 --runs 1 "
                             "--json");
  EXPECT_GT(rates.at("decode"), 0);
  // Otherwise all of this would compare the CPU with itself.
  EXPECT_EQ(rates.at("device"), "cuda");
}

INSTANTIATE_TEST_SUITE_P(
    All,
    MethodsOnGpu,
    testing::Values(Method{"SelfCp", "--method selfcp --max-segment 12 --chained-share 0.5"},
                    Method{"Icae", "--method icae --slots 4 --rank 4 --max-segment 16"},
                    Method{"IcFormer", "--method ic-former --slots 4 --max-segment 16"},
                    Method{"IcFormerWithTable",
                           "--method ic-former --slots 4 --max-segment 16 --token-table "
                           "--objectives autoencode=1,distil=1"},
                    Method{"Gisting", "--method gisting --slots 3 --rank 4"},
                    Method{"SpreadGisting",
                           "--method gisting --ratio 4 --rank 4 --objectives distil --recompute"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(CommandsOnGpu, LogitsEqualThoseOfTheCpu) {
  const std::string ids = write("ids.json", "[1,2,3,4,5,6]");
  for (const char* model : {"llama", "qwen2", "gemma3_text"}) {
    const std::string logits =
        "logits --model " + models + model + " --dtype float32 --ids " + ids + " --out ";
    succeed(logits + path("here"));
    succeed(logits + path("there") + " --device cuda");
    expect_near_tensors("here", "there");
  }
}

TEST_F(CommandsOnGpu, DrawsAsOnTheCpu) {
  const auto drawn = both("generate" + llama() +
                          "--raw --prompt the --max-tokens 12 --temperature 0.9 --top-k 20 "
                          "--top-p 0.95 --min-p 0.01 --repetition-penalty 1.1 --seed 5 --json");
  EXPECT_EQ(drawn.here.at("ids"), drawn.there.at("ids"));
}

TEST_F(CommandsOnGpu, WeightsInFewBitsAndBFloat16) {
  for (const char* weights : {"int8", "int4", "bfloat16"}) {
    const auto scores = both("score --model " + models + "gemma3_text --dtype float32 --ids " +
                             write("few.json", "[5,6,7,8,9]") + " --weights " + weights);
    for (size_t i = 0; i < scores.here.at("nll").size(); ++i)
      EXPECT_NEAR(scores.here.at("nll")[i], scores.there.at("nll")[i], 0.1) << weights;
  }
}

TEST_F(CommandsOnGpu, DistilsAnswersAsOnTheCpu) {
  fs::copy(models + "llama", directory / "chats");
  damage_json(directory / "chats/tokenizer_config.json", [](json& config) {
    config["chat_template"] =
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}:";
  });
  const std::string ask =
      "distil-answers --dtype float32 --model " + path("chats") + " --data " + texts() +
      " --rows 3 --min-context 8 --max-context 12 --max-tokens 4 --batch 2 --out ";
  succeed(ask + path("here.jsonl"));
  succeed(ask + path("there.jsonl") + " --device cuda");
  EXPECT_EQ(read_file(directory / "here.jsonl"), read_file(directory / "there.jsonl"));
}

}  // namespace
}  // namespace precis
