// SPDX-License-Identifier: Apache-2.0
// The `precis` program from outside: what it prints, its exit codes, and that bad input is one
// clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/json_file.h"
#include "io/safetensors.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const std::string kModels = PRECIS_TEST_GOLDEN_DIR "/models/";
const std::string kSelfCp = PRECIS_TEST_GOLDEN_DIR "/selfcp/selfcp.safetensors";

struct Result {
  int code;
  std::string out;
  std::string err;
};

class Cli : public testing::Test {
 protected:
  Result run(const std::string& arguments) const {
    const fs::path out = directory / "stdout", err = directory / "stderr";
    const std::string command = std::string(PRECIS_TEST_PROGRAM) + " " + arguments + " >" +
                                out.string() + " 2>" + err.string();
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(out), text_of(err)};
  }

  json succeed(const std::string& arguments) const {
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 0) << arguments << "\n" << result.err;
    return json::parse(result.out, nullptr, false);
  }

  // Exit code 2, one line on standard error with `part` in it, nothing on standard output.
  void refuse(const std::string& arguments, const std::string& part) const {
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 2) << arguments << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr(part)) << arguments;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "") << arguments;
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(directory / name, std::ios::binary) << text;
    return (directory / name).string();
  }
  static std::string text_of(const fs::path& path) {
    return fs::file_size(path) == 0 ? "" : read_file(path);
  }
  std::string path(const std::string& name) const { return (directory / name).string(); }

  std::string import_selfcp() const {
    succeed("import --from selfcp --source " + kSelfCp + " --base " + kModels +
            "llama --ratio 8 --out " + path("selfcp"));
    return path("selfcp");
  }

  TemporaryDirectory directory;
};

TEST_F(Cli, TokenizesThereAndBack) {
  const std::string file = write("text.txt", "the town <|im_end|> wäter");
  const json ids = succeed("tokenize --model " + kModels + "llama --file " + file);
  const std::string list = write("ids.json", ids.at("ids").dump());
  EXPECT_EQ(succeed("detokenize --model " + kModels + "llama --ids " + list).at("text"),
            "the town <|im_end|> wäter");
}

TEST_F(Cli, WritesLogitsAndHiddenStates) {
  const std::string ids = write("ids.json", "[1,2,3,4]");
  run("logits --model " + kModels + "qwen2 --ids " + ids + " --out " + path("out.safetensors"));
  const auto file = SafetensorsFile::open(directory / "out.safetensors");
  EXPECT_EQ(file.find("logits")->shape, (std::vector<int64_t>{4, 320}));
  EXPECT_EQ(file.find("hidden")->shape, (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(file.find("logits")->dtype, "F32");
}

TEST_F(Cli, ScoresWithAndWithoutAMemory) {
  const std::string compressor = import_selfcp();
  const std::string ids = write("ids.json", "[10,11,12,13]"),
                    context = write("context.json", "[20,21,22,23,24,25,26,27,28]");
  EXPECT_EQ(succeed("score --model " + kModels + "llama --ids " + ids).at("nll").size(), 3u);
  const json with = succeed("score --model " + kModels + "llama --compressor " + compressor +
                            " --context-ids " + context + " --ids " + ids);
  EXPECT_EQ(with.at("nll").size(), 4u);
}

TEST_F(Cli, ScoreAfterAMemoryIsWhatTheSpecificationGives) {
  const json cases = read_json(PRECIS_TEST_GOLDEN_DIR "/selfcp/cases.json");
  const auto expected =
      SafetensorsFile::open(PRECIS_TEST_GOLDEN_DIR "/selfcp/expected.safetensors");
  const json& one = cases.at("many_tags");
  const std::string context = write("context.json", one.at("segments").at(0).dump());
  const std::string ids = write("ids.json", one.at("suffix").dump());
  const json scored = succeed("score --model " + kModels + "llama --compressor " + import_selfcp() +
                              " --ratio 4 --context-ids " + context + " --ids " + ids);
  const auto bytes = expected.find("many_tags.nll")->bytes;
  for (size_t i = 0; i < scored.at("nll").size(); ++i) {
    float wanted;
    std::memcpy(&wanted, bytes.data() + i * sizeof wanted, sizeof wanted);
    EXPECT_NEAR(scored["nll"][i].get<double>(), wanted, 1e-3);
  }
}

TEST_F(Cli, CompressesAndGenerates) {
  const std::string compressor = import_selfcp();
  const std::string document =
      write("document.txt", "the water of the town and the town of the water");
  const std::string model = " --model " + kModels + "llama --dtype float32 ";
  const json made = succeed("compress" + model + "--compressor " + compressor + " --file " +
                            document + " --out " + path("m.safetensors"));
  const auto rows = SafetensorsFile::open(directory / "m.safetensors").find("embeddings")->shape;
  EXPECT_EQ(rows, (std::vector<int64_t>{made.at("memory_tokens").get<int64_t>(), 32}));
  const std::string rest = " --raw --prompt ' so' --max-tokens 5 --json";
  const json direct = succeed("generate" + model + "--compressor " + compressor +
                              " --compress-file " + document + rest);
  const json ready = succeed("generate" + model + "--memory " + path("m.safetensors") + rest);
  EXPECT_EQ(direct.at("ids"), ready.at("ids"));
  EXPECT_EQ(direct.at("memory_rows"), made.at("memory_tokens"));
  EXPECT_GT(direct.at("kv_bytes_saved"), 0);
}

TEST_F(Cli, StreamsPlainText) {
  const Result result =
      run("generate --model " + kModels + "llama --raw --prompt the --max-tokens 4");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_FALSE(result.out.empty());
}

TEST_F(Cli, TrainsAndResumes) {
  std::string data;
  for (int i = 0; i < 30; ++i)
    data += json{{"text",
                  "the town and its water " + std::to_string(i * i) + " and more of the same kind"}}
                .dump() +
            "\n";
  const std::string command = "train --method selfcp --model " + kModels + "llama --data " +
                              write("data.jsonl", data) + " --out " + path("trained") +
                              " --steps 4 --batch 2 --min-older 8 --max-older 12 --target 6";
  EXPECT_EQ(succeed(command).at("steps"), 4);
  EXPECT_TRUE(fs::exists(directory / "trained/compressor.safetensors"));
  EXPECT_EQ(succeed("info --model " + kModels + "llama --compressor " + path("trained"))
                .at("compressor")
                .at("method"),
            "selfcp");
  succeed(command);
}

TEST_F(Cli, BenchGivesRates) {
  const json rates =
      succeed("bench --model " + kModels + "llama --prefill 8,16 --decode 4 --runs 2 --json");
  EXPECT_GT(rates.at("prefill").at("16"), 0);
  EXPECT_GT(rates.at("decode"), 0);
  EXPECT_GT(rates.at("peak_bytes"), 0);
}

TEST_F(Cli, BadInputIsOneLineAndExitCodeTwo) {
  const std::string ids = write("ids.json", "[1,2]"), out = path("never.safetensors");
  refuse("", "subcommand");
  refuse("logits --nonsense", "required");
  refuse("info --model nowhere.gguf", "nowhere.gguf");
  refuse("info --model " + write("junk.gguf", "not a model at all, sorry"), "junk.gguf");
  refuse("logits --model " + kModels + "llama --ids " + write("far.json", "[999999]") + " --out " +
             out,
         "999999");
  refuse("logits --model " + kModels + "llama --ids " + write("text.json", "{\"a\":1}") +
             " --out " + out,
         "array");
  refuse(
      "logits --model " + kModels + "llama --ids " + write("half.json", "[1,2") + " --out " + out,
      "JSON");
  refuse("logits --model " + kModels + "llama --ids " + ids + " --out /nowhere/out.safetensors",
         "/nowhere");
  refuse("tokenize --model " + kModels + "llama --file " + write("latin1.txt", "caf\xe9"), "UTF-8");
  refuse("import --from nothing --source " + kSelfCp + " --base " + kModels + "llama --out " +
             path("x"),
         "nothing");
  refuse("import --from selfcp --source " + kSelfCp + " --base " + kModels +
             "gemma3_text --separator 5000 --out " + path("x"),
         "separator");
  refuse("score --model " + kModels + "llama --ids " + write("one.json", "[1]"), "at least 2");
  refuse("score --model " + kModels + "llama --context-ids " + ids + " --ids " + ids,
         "need each other");
  EXPECT_FALSE(fs::exists(out));
}

TEST_F(Cli, BadCompressionInputIsNamed) {
  const std::string compressor = import_selfcp(), model = "--model " + kModels + "llama ";
  refuse("compress " + model + "--compressor " + compressor + " --file " + write("empty.txt", "") +
             " --out " + path("m"),
         "empty");
  refuse("compress " + model + "--compressor " + path("none") + " --ids " +
             write("ids.json", "[1]") + " --out " + path("m"),
         "none");
  refuse("generate " + model + "--prompt x --raw --overflow sideways", "sideways");
  refuse("generate " + model + "--prompt x --raw --context-limit 10 --max-tokens 20",
         "over the limit");
  refuse("generate --model " + kModels + "qwen3 --memory " + kSelfCp + " --prompt x --raw",
         "not a memory");
  refuse("info --model " + kModels + "qwen3 --compressor " + compressor, "made for a model");
  std::string config = read_file(compressor + "/compressor.json");
  std::ofstream(compressor + "/compressor.json")
      << config.replace(config.find("selfcp"), 6, "magic!");
  refuse("info " + model + "--compressor " + compressor, "magic!");
}

TEST_F(Cli, DamagedModelsAreRefused) {
  const std::string copy = path("model");
  fs::copy(kModels + "qwen2", copy, fs::copy_options::recursive);
  const auto damage_config = [&](const std::string& key, const json& value) {
    json config = read_json(kModels + "qwen2/config.json");
    config[key] = value;
    std::ofstream(copy + "/config.json") << config.dump();
  };
  damage_config("model_type", "mamba");
  refuse("info --model " + copy, "mamba");
  damage_config("num_hidden_layers", 1);
  refuse("info --model " + copy, "no use for");
  damage_config("num_hidden_layers", 50);
  refuse("info --model " + copy, "is missing");
  damage_config("intermediate_size", 7);
  refuse("info --model " + copy, "expected [7");
  damage_config("hidden_size", -3);
  refuse("info --model " + copy, "hidden_size");
  damage_config("rope_theta", "large");
  fs::copy(
      kModels + "qwen3/config.json", copy + "/config.json", fs::copy_options::overwrite_existing);
  fs::resize_file(copy + "/model.safetensors", fs::file_size(copy + "/model.safetensors") - 10);
  refuse("info --model " + copy, "model.safetensors");
  fs::remove(copy + "/model.safetensors");
  refuse("info --model " + copy, "model.safetensors");
}

}  // namespace
}  // namespace precis
