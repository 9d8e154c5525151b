// SPDX-License-Identifier: Apache-2.0
// The `precis train` program: killed runs, recipes, and files it leaves.
#include <fstream>

#include "base/check.h"
#include "cli_fixture.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Products of the tiny model are too small for several threads.
constexpr const char* kOneThread = "OMP_NUM_THREADS=1 ";

class Train : public CliTest {
 protected:
  std::vector<json> log(const std::string& directory) const {
    std::vector<json> lines;
    std::ifstream in(directory + "/log.jsonl");
    for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
    return lines;
  }

  static std::vector<double> losses(const std::vector<json>& lines) {
    std::vector<double> all;
    for (const json& line : lines) all.push_back(line.at("loss"));
    return all;
  }

  // Compares a run that is killed at many points with an uninterrupted one.
  void expect_same_when_killed(const std::string& arguments) const {
    const Result whole = run(moved(arguments, "whole"), kOneThread);
    ASSERT_EQ(whole.code, 0) << whole.err;
    int killed = 0, code = -1;
    for (double seconds = 0.2; code != 0 && seconds < 60; seconds *= 1.15) {
      code = run(arguments, concat(kOneThread, "timeout -s KILL ", seconds, " ")).code;
      if (code == 0) break;
      ++killed;
    }
    ASSERT_EQ(code, 0);
    EXPECT_GE(killed, 1);
    expect_same_files("trained", "whole");
  }

  // Every file of a run but its plot, and no draft beside them.
  void expect_same_files(const std::string& one, const std::string& other) const {
    EXPECT_EQ(losses(log(path(one))), losses(log(path(other))));
    for (const auto& entry : fs::recursive_directory_iterator(path(other))) {
      const fs::path name = fs::relative(entry.path(), path(other));
      const std::string extension = name.extension();
      if (extension == ".safetensors" || extension == ".json") {
        EXPECT_EQ(read_file(directory / one / name), read_file(entry.path())) << name;
      }
    }
    for (const auto& entry : fs::recursive_directory_iterator(path(one)))
      EXPECT_NE(entry.path().extension(), ".part") << entry.path();
  }

  // A model that often generates the end token.
  std::string chatting_model() const {
    fs::copy(kModels + "llama", directory / "chats");
    json config = json::parse(read_file(path("chats/tokenizer_config.json")));
    config["eos_token"] = "a";
    config["chat_template"] =
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    overwrite(path("chats/tokenizer_config.json"), config.dump());
    return path("chats");
  }

  // To another place.
  std::string moved(std::string arguments, const std::string& out) const {
    return arguments.replace(arguments.find(path("trained")), path("trained").size(), path(out));
  }
};

TEST_F(Train, AKilledRunResumesWithTheSameLosses) {
  expect_same_when_killed(training() + " --steps 60 --checkpoint-every 2 --learning-rate 0.01");
}

// The same with every feature that has state.
TEST_F(Train, AKilledRunWithEveryFeatureResumesWithTheSameLosses) {
  std::string arguments = training() +
                          " --slots 2 --rank 4 --dtype bfloat16 --embedding-steps 10 --steps 40 "
                          "--objectives distil,autoencode,continue --grow-steps 20 --max-kept 3 "
                          "--checkpoint-every 3 --validate-every 7 --validation-examples 4 "
                          "--learning-rate 0.01 --validation " +
                          path("data.jsonl");
  const std::string method = "--method selfcp";
  arguments.replace(arguments.find(method), method.size(), "--method icae");
  expect_same_when_killed(arguments);
  EXPECT_TRUE(fs::exists(path("trained") + "/best/compressor.safetensors"));
}

// If the disk is full while a checkpoint is written, the one before stays, and the run resumes from
// it once there is room.
TEST_F(Train, AFullDiskLeavesThePreviousCheckpoint) {
  const std::string arguments = training() + " --steps 4 --checkpoint-every 1 ";
  ASSERT_EQ(run(moved(arguments, "whole"), kOneThread).code, 0);
  ASSERT_EQ(run(arguments + "--minutes 1e-9", kOneThread).code, 0);
  const std::string checkpoint = read_file(path("trained/checkpoint.safetensors"));
  const std::string small = "trap '' XFSZ; ulimit -f 4; ";
  ASSERT_GT(checkpoint.size(), 4u * 1024);
  for (int i = 0; i < 2; ++i) {
    refuse(arguments, "checkpoint.safetensors: cannot be written", small + kOneThread);
    EXPECT_EQ(read_file(path("trained/checkpoint.safetensors")), checkpoint);
  }
  ASSERT_EQ(run(arguments, kOneThread).code, 0);
  expect_same_files("trained", "whole");
}

TEST_F(Train, ALogThatCannotBeWrittenStopsTheRun) {
  const std::string arguments = training() + " --steps 40 --checkpoint-every 100";
  refuse(arguments,
         "log.jsonl: cannot be written",
         std::string("trap '' XFSZ; ulimit -f 1; ") + kOneThread);
}

// Stages equal separate runs with --start-from.
TEST_F(Train, ARecipeOfStagesEqualsSeparateRuns) {
  const std::string rest = training() + " ";
  const std::string first = "--steps 6 --stop-after 3 --ratio 2 --learning-rate 0.02",
                    second = "--steps 4 --objectives distil --learning-rate 0.01";
  ASSERT_EQ(run(moved(rest, "one") + first, kOneThread).code, 0);
  std::string further = moved(rest, "two");
  const std::string method = "--method selfcp";
  further.replace(further.find(method), method.size(), "--start-from " + path("one"));
  ASSERT_EQ(run(further + second, kOneThread).code, 0);
  const std::string recipe =
      write("recipe.json",
            R"({"method": "selfcp", "ratio": 2, "learning-rate": 0.01, "stages": [
                {"steps": 6, "stop-after": 3, "learning-rate": 0.02},
                {"steps": 4, "objectives": "distil"}]})");
  std::string staged = rest + "--recipe " + recipe;
  staged.replace(staged.find(method), method.size(), "");
  const Result result = run(staged, kOneThread);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out).at("stage"), 2);
  for (const auto& [made, wanted] : {std::pair("trained/stage-1", "one"), {"trained", "two"}}) {
    EXPECT_EQ(losses(log(path(made))), losses(log(path(wanted))));
    EXPECT_EQ(read_file(path(made) + "/compressor.safetensors"),
              read_file(path(wanted) + "/compressor.safetensors"));
  }
  // One step per call, and from the recipe that the run wrote.
  std::string again = moved(staged, "again");
  again.replace(again.find(recipe), recipe.size(), path("trained/recipe.json"));
  for (int stage : {1, 1, 1, 2, 2, 2, 2}) {
    const Result leg = run(again + " --minutes 1e-9", kOneThread);
    ASSERT_EQ(leg.code, 0) << leg.err;
    EXPECT_EQ(json::parse(leg.out).at("stage"), stage);
  }
  expect_same_files("again", "trained");
  // Flags of the command line override the recipe in every stage.
  const Result brief = run(moved(staged, "brief") + " --steps 2 --stop-after 1", kOneThread);
  ASSERT_EQ(brief.code, 0) << brief.err;
  EXPECT_EQ(log(path("brief/stage-1")).size(), 1u);
  EXPECT_EQ(log(path("brief")).size(), 1u);
}

// All of their keys are known: the only error is the missing data.
TEST_F(Train, RecipesOfShippedCompressorsAreUnderstood) {
  const std::string model = chatting_model();
  int64_t recipes = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(PRECIS_TEST_EXAMPLES_DIR) / "compressors")) {
    if (entry.path().filename() != "recipe.json") continue;
    refuse("train --recipe " + entry.path().string() + " --model " + model + " --data " +
               path("nowhere.jsonl") + " --out " + path("trained"),
           "nowhere.jsonl");
    ++recipes;
  }
  EXPECT_EQ(recipes, 6);
}

TEST_F(Train, AMistakeInAStageIsFoundBeforeTheFirst) {
  const auto refuse_recipe = [&](const std::string& text, const std::string& part) {
    refuse(training() + " --recipe " + write("recipe.json", text), part);
    expect_nothing_at(path("trained"));
  };
  refuse_recipe(R"({"stages": [{"steps": 2}, {"stepps": 2}]})", "no flag --stepps");
  refuse_recipe(R"({"stages": [{"steps": 2}, {"steps": "x"}]})", "steps");
  refuse_recipe(R"({"stages": [{"steps": 2}, {"objectives": "magic"}]})", "magic");
  fs::create_directories(path("anothers"));
  overwrite(path("anothers/compressor.json"), "{}");
  refuse(moved(training(), "anothers") + " --recipe " +
             write("recipe.json", R"({"stages": [{"steps": 2}, {"steps": 2}]})"),
         "no checkpoint belongs to");
  EXPECT_FALSE(fs::exists(path("anothers/stage-1")));
  refuse_recipe(R"({"stages": []})", "stages: not an array of JSON objects");
  refuse_recipe(std::string(100'000, '['), "more than 200 objects and arrays in each other");
  refuse_recipe(R"({"stages": [1]})", "stages: not an array of JSON objects");
  refuse_recipe(R"({"stages": {"steps": 2}})", "stages: not an array of JSON objects");
}

// A run in several calls with --minutes.
TEST_F(Train, ARunInSeveralCallsTakesTheSameSteps) {
  const std::string arguments = training() + " --steps 4 --checkpoint-every 100 ";
  const Result whole = run(moved(arguments, "whole"), kOneThread);
  ASSERT_EQ(whole.code, 0) << whole.err;
  for (int64_t step = 1; step <= 4; ++step) {
    const Result leg = run(arguments + "--minutes 1e-9", kOneThread);
    ASSERT_EQ(leg.code, 0) << leg.err;
    EXPECT_EQ(json::parse(leg.out).at("steps"), step);
    // The smoothed loss continues from call to call.
    if (step == 4) {
      EXPECT_EQ(json::parse(leg.out).at("loss"), json::parse(whole.out).at("loss"));
    }
  }
  EXPECT_EQ(losses(log(path("trained"))), losses(log(path("whole"))));
  EXPECT_EQ(read_file(path("trained") + "/compressor.safetensors"),
            read_file(path("whole") + "/compressor.safetensors"));
  EXPECT_FALSE(json::parse(read_file(path("trained") + "/recipe.json")).contains("minutes"));
  refuse(arguments + "--minutes 0", "--minutes");
  refuse(arguments + "--minutes nan", "--minutes");
  refuse(arguments + "--slot-positions after", "--slot-positions means nothing to method selfcp");
  refuse(arguments + "--token-table", "--token-table means nothing to method selfcp");
}

TEST_F(Train, ARecipeMakesTheSameCompressorAgain) {
  const std::string arguments =
      training() + " --steps 4 --learning-rate 0.01 --ratios 2,4 --objectives continue=2,distil";
  ASSERT_EQ(run(arguments, kOneThread).code, 0);
  const json recipe = json::parse(read_file(path("trained") + "/recipe.json"));
  EXPECT_EQ(recipe.at("method"), "selfcp");
  EXPECT_EQ(recipe.at("learning-rate"), 0.01);
  EXPECT_EQ(recipe.at("max-older"), 12);
  for (const char* key : {"model", "data", "out"}) EXPECT_FALSE(recipe.contains(key)) << key;
  const std::string again = "train --recipe " + path("trained") + "/recipe.json --model " +
                            kModels + "llama --data " + path("data.jsonl") + " --out " +
                            path("again");
  const Result result = run(again, kOneThread);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(losses(log(path("again"))), losses(log(path("trained"))));
  EXPECT_EQ(json::parse(read_file(path("again") + "/recipe.json")), recipe);
  // Flags of the command line override the recipe.
  ASSERT_EQ(run("train --recipe " + path("trained") + "/recipe.json --steps 2 --model " + kModels +
                    "llama --data " + path("data.jsonl") + " --out " + path("short"),
                kOneThread)
                .code,
            0);
  EXPECT_EQ(log(path("short")).size(), 2u);
}

// Flags for a new compressor are ignored with --start-from.
TEST_F(Train, ARecipeCanStartFromACompressor) {
  const std::string arguments = training() + " --steps 2 --ratio 2";
  ASSERT_EQ(run(arguments, kOneThread).code, 0);
  EXPECT_EQ(json::parse(read_file(path("trained") + "/recipe.json")).at("objectives"), "continue");
  const Result result = run("train --recipe " + path("trained") + "/recipe.json --start-from " +
                                path("trained") + " --model " + kModels + "llama --data " +
                                path("data.jsonl") + " --out " + path("further"),
                            kOneThread);
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(Train, ARecipeWithAnUnknownFlagIsRefused) {
  const std::string recipe = write("recipe.json", R"({"stepps": 3})");
  refuse(training() + " --recipe " + recipe, "no flag --stepps");
  refuse(training() + " --recipe " + write("recipe.json", R"({"steps": "many"})"), "steps");
  refuse(training() + " --recipe " + write("recipe.json", "[1]"), "not a JSON object");
  expect_nothing_at(path("trained"));
}

TEST_F(Train, ValidatesAndKeepsTheBest) {
  const std::string arguments = training();
  const Result result = run(arguments + " --validation " + path("data.jsonl") +
                                " --steps 30 --validate-every 5 --validation-examples 6 "
                                "--learning-rate 0.02",
                            kOneThread);
  ASSERT_EQ(result.code, 0) << result.err;
  std::vector<double> validation;
  for (const json& line : log(path("trained"))) {
    EXPECT_EQ(line.contains("validation_loss"), line.at("step").get<int>() % 5 == 0);
    if (line.contains("validation_loss")) validation.push_back(line["validation_loss"]);
  }
  ASSERT_EQ(validation.size(), 6u);
  EXPECT_LT(*std::min_element(validation.begin(), validation.end()), validation.front());
  EXPECT_TRUE(fs::exists(path("trained") + "/best/compressor.json"));
  EXPECT_THAT(read_file(path("trained") + "/log.svg"), testing::HasSubstr("validation"));
}

TEST_F(Train, AnUnknownObjectiveIsRefused) {
  for (const char* bad : {"magic", "continue=", "continue=x", "=1"})
    refuse(training() + " --objectives " + bad, "objective");
}

TEST_F(Train, QuantizedWeightsAreRefused) {
  for (const char* format : {"int8", "int4"})
    refuse(training() + " --weights " + format, std::string("not ") + format);
}

TEST_F(Train, ACacheReplacesTokenizing) {
  const std::string arguments = training() + " --steps 1 --cache " + path("tokens.safetensors");
  ASSERT_EQ(run(arguments, kOneThread).code, 0);
  EXPECT_TRUE(fs::exists(path("tokens.safetensors")));
  ASSERT_EQ(run(moved(arguments, "again"), kOneThread).code, 0);
  EXPECT_EQ(losses(log(path("again"))), losses(log(path("trained"))));
}

// The model's own answers as training data.
TEST_F(Train, OwnAnswersAreTrainedWithInsideAChat) {
  const std::string model = " --model " + chatting_model();
  training();
  const std::string answers = path("answers.jsonl");
  const std::string ask = "distil-answers" + model + " --data " + path("data.jsonl") +
                          " --min-context 8 --max-context 12 --max-tokens 400 --batch 2 --out " +
                          answers + " --rows ";
  ASSERT_EQ(run(ask + "4", kOneThread).code, 0);
  const std::string first = read_file(answers);
  // An incomplete line, as a killed run leaves it.
  overwrite(answers, first + "{\"index\": 3, \"con");
  const Result result = run(ask + "8", kOneThread);
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string all = read_file(answers);
  EXPECT_TRUE(all.starts_with(first));
  EXPECT_GT(all.size(), first.size());
  for (const std::string method : {"icae --slots 2", "gisting --ratio 8"}) {
    const Result trained =
        run("train --method " + method +
                " --rank 4 --chat --objectives instruct --steps 2 --batch 2 --max-older 64"
                " --dtype float32" +
                model + " --data " + answers + " --out " + path(method.substr(0, 4)),
            kOneThread);
    EXPECT_EQ(trained.code, 0) << trained.err;
  }
}

TEST_F(Train, AnswersAreNotAppendedToOtherFiles) {
  training();
  const std::string out = write("notes.txt", "my notes\n");
  refuse("distil-answers --model " + kModels + "llama --min-context 8 --max-context 12 --data " +
             path("data.jsonl") + " --out " + out,
         "use another file");
  EXPECT_EQ(read_file(out), "my notes\n");
}

}  // namespace
}  // namespace precis
