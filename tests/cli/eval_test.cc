// SPDX-License-Identifier: Apache-2.0
// precis eval: what it writes, prints and refuses.
#include "cli_fixture.h"

namespace precis {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Eval : public CliTest {
 protected:
  // --compressor is the last of `options`, if it is there.
  std::string eval(const std::string& options, const std::string& rest) const {
    return "eval --model " + kModels + "llama " + options +
           " --dtype float32 --older 24 --kept 5 --scored 7 " + rest;
  }
  std::string command(const std::string& rest) const {
    return eval("--compressor " + path("selfcp"), rest);
  }
  std::string texts() const {
    std::string lines;
    for (int i = 1; i <= 4; ++i) {
      std::string text;
      for (int j = 1; j <= 8; ++j) text += "the water of town " + std::to_string(i * j) + " and ";
      lines += json{{"text", text}}.dump() + "\n";
    }
    return " --texts " + write("texts.jsonl", lines);
  }
  std::string questions() const {
    std::string lines;
    for (int i = 1; i <= 3; ++i)
      lines += json{{"context", "the water of town " + std::to_string(i) + " is clean"},
                    {"prompt", "which town"},
                    {"answer", "town " + std::to_string(i)}}
                   .dump() +
               "\n";
    return " --questions " + write("questions.jsonl", lines);
  }
  void SetUp() override { import_selfcp(); }
};

TEST_F(Eval, WritesTableJsonAndPlot) {
  const Result said =
      run(command("--task continue --ratios 2,4 --limit 3 --out " + path("out/new") + texts()));
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("| compressor | texts | ratio |"));
  EXPECT_THAT(said.err, HasSubstr(path("out/new/results.md")));
  EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
  const json results = read_json(path("out/new/results.json"));
  const json& task = results.at("tasks").at("continue");
  EXPECT_EQ(results.at("tasks").size(), 1u);
  EXPECT_EQ(task.at("items"), 3);
  EXPECT_EQ(task.at("ratios").size(), 2u);
  for (const char* arm : {"none", "verbatim", "memory", "other", "other_full", "full"})
    EXPECT_GT(task.at("ratios").at(1).at("arms").at(arm).at("nll").at("value"), 0) << arm;
  EXPECT_EQ(results.at("settings").at("ratios"), json({2, 4}));
  const auto verdict = task.at("ratios").at(1).at("verdict").get<std::string>();
  EXPECT_THAT(verdict, HasSubstr("the full text"));
  EXPECT_THAT(said.out, HasSubstr("- selfcp at 4x: " + verdict));
  EXPECT_THAT(read_file(path("out/new/results.md")), HasSubstr("- selfcp at 4x: " + verdict));
  EXPECT_THAT(read_file(path("out/new/results.md")), HasSubstr("### continue"));
  const bool has_share =
      task.at("ratios").at(0).at("arms").at("memory").contains("recovered_share");
  EXPECT_EQ(std::filesystem::exists(path("out/new/recovered_share.svg")), has_share);
}

TEST_F(Eval, WithoutADirectoryTheTableIsPrinted) {
  const Result result = run(command("--task continue" + texts()));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("## continue\n\n| compressor | texts | ratio |"));
  EXPECT_EQ(result.err, "");
  const json printed = succeed(command("--json --task continue" + texts()));
  EXPECT_EQ(printed.at("method"), "selfcp");
  EXPECT_EQ(printed.at("tasks").at("continue").at("items"), 4);
}

TEST_F(Eval, WithJsonNothingElseIsPrinted) {
  const Result result = run(command("--json --task continue --out " + path("out") + texts()));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out), read_json(path("out/results.json")));
  EXPECT_EQ(result.err, "");
}

TEST_F(Eval, QuestionsHaveAnswersAndAVerdict) {
  const Result result = run(command("--ratios 2,4" + questions()));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("| contained "));
  EXPECT_THAT(result.out, HasSubstr("| F1 "));
  EXPECT_THAT(result.out, HasSubstr("- selfcp at 2x: "));
  EXPECT_THAT(result.out, HasSubstr("- selfcp at 4x: "));
}

TEST_F(Eval, QuestionsOfATextAreCountedBesideIt) {
  std::string lines;
  for (int i = 1; i <= 4; ++i)
    lines += json{{"context", "the water of town " + std::to_string(i % 2) + " is clean"},
                  {"prompt", "which town " + std::to_string(i)},
                  {"answer", "town " + std::to_string(i % 2)}}
                 .dump() +
             "\n";
  const json printed =
      succeed(command("--json --ratios 2 --questions " + write("shared.jsonl", lines)));
  const json& task = printed.at("tasks").at("questions");
  EXPECT_EQ(task.at("items"), 4);
  EXPECT_EQ(task.at("contexts"), 2);
}

TEST_F(Eval, NeedlesAreHiddenInTextsOfTheLengthsGiven) {
  std::string lines;
  for (int i = 1; i <= 6; ++i) {
    std::string text;
    for (int j = 1; j <= 20; ++j)
      text += "The water of town " + std::to_string(100 * i + j) + " is clean. ";
    lines += json{{"text", text}}.dump() + "\n";
  }
  const std::string rest = "--ratios 4 --needles " + write("needles.jsonl", lines) +
                           " --needle-tokens 160,200 --needles-per-text 2 --limit 4 --seed ";
  const Result result = run(command(rest + "7 --out " + path("needles")));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("## needles\n\n| compressor | questions | about texts |"));
  EXPECT_THAT(result.out, HasSubstr("- selfcp at 4x, 200 tokens: "));
  const json results = read_json(path("needles/results.json"));
  EXPECT_EQ(results.at("settings").at("needles").at("seed"), 7);
  for (const char* length : {"160", "200"}) {
    const json& task = results.at("tasks").at(std::string("needles_") + length);
    EXPECT_EQ(task.at("items"), 4);
    EXPECT_EQ(task.at("contexts"), 2);
  }
  const auto loss = [&](const std::string& seed) {
    const json printed = succeed(command("--json " + rest + seed));
    const json& ratio = printed.at("tasks").at("needles_160").at("ratios").at(0);
    return ratio.at("arms").at("none").at("nll").at("value").get<double>();
  };
  EXPECT_EQ(loss("7"), loss("7"));
  EXPECT_NE(loss("7"), loss("8"));
}

TEST_F(Eval, TheDefaultIsAttentionMatching) {
  const json printed = succeed(eval("", "--json --task continue --ratios 2,4" + texts()));
  EXPECT_EQ(printed.at("method"), "attention_matching");
  EXPECT_EQ(printed.at("compressor"), "attention_matching");
  const json named = succeed(
      eval("--compressor attention_matching", "--json --task continue --ratios 2,4" + texts()));
  for (size_t i = 0; i < 2; ++i) {
    const auto loss = [&](const json& results) {
      const json& ratio = results.at("tasks").at("continue").at("ratios").at(i);
      EXPECT_EQ(ratio.at("ratio"), i == 0 ? 2 : 4);
      return ratio.at("arms").at("memory").at("nll").at("value").get<double>();
    };
    EXPECT_EQ(loss(printed), loss(named));
  }
}

TEST_F(Eval, BuiltInsStandBesideDirectories) {
  const json results = succeed(eval("--compressor kvzip " + path("selfcp") + " attention_matching",
                                    "--json --ratios 2,4 --task continue" + texts()))
                           .at("evaluations");
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results.at(0).at("method"), "kvzip");
  EXPECT_EQ(results.at(1).at("method"), "selfcp");
  EXPECT_EQ(results.at(2).at("method"), "attention_matching");
  for (const json& result : results)
    EXPECT_EQ(result.at("tasks").at("continue").at("ratios").size(), 2u);
}

TEST_F(Eval, SetsSeveralCompressorsSideBySide) {
  std::filesystem::copy(path("selfcp"), path("second"), std::filesystem::copy_options::recursive);
  const std::string two = eval("--compressor " + path("selfcp") + " " + path("second"), "");
  const Result result = run(two + "--task continue --ratios 2 --out " + path("both") + texts());
  EXPECT_EQ(result.code, 0) << result.err;
  const json results = read_json(path("both/results.json")).at("evaluations");
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results.at(0).at("compressor"), path("selfcp"));
  EXPECT_EQ(results.at(1).at("compressor"), path("second"));
  const auto value = [&](size_t compressor, const char* arm, const char* metric) {
    const json& ratios = results.at(compressor).at("tasks").at("continue").at("ratios");
    EXPECT_EQ(ratios.size(), 1u);
    return ratios.at(0).at("arms").at(arm).at(metric).at("value").get<double>();
  };
  EXPECT_EQ(value(0, "memory", "nll"), value(1, "memory", "nll"));
  // What reads no memory was read once: its time is the same to the last digit.
  for (const char* arm : {"none", "verbatim", "other_full", "full"})
    EXPECT_EQ(value(0, arm, "score_ms"), value(1, arm, "score_ms")) << arm;
  EXPECT_THAT(result.out, HasSubstr("- selfcp (second) at 2x: "));
  EXPECT_THAT(read_file(path("both/results.md")), HasSubstr("Evaluation of 2 compressors"));
  std::string longer = two;
  longer.replace(longer.find("--older 24"), 10, "--older 600");
  refuse(longer + "--task continue --out " + path("none") + texts(), "a context of 620");
  std::filesystem::remove(path("second/compressor.safetensors"));
  refuse(two + "--task continue --out " + path("none") + texts(), "second");
  EXPECT_FALSE(std::filesystem::exists(path("none/results.json")));
}

TEST_F(Eval, ReconstructionIsLeftOutWithANote) {
  const json printed = succeed(command("--json --task continue,reconstruct" + texts()));
  EXPECT_THAT(printed.at("tasks").at("reconstruct").at("note"), HasSubstr("selfcp"));
}

TEST_F(Eval, BadInputIsNamed) {
  refuse(command(""), "neither texts nor questions");
  refuse(command("--texts " + path("absent")), "absent");
  refuse(command("--task questions" + texts()), "questions needs questions");
  refuse(command("--task magic" + texts()), "magic");
  refuse(command("--ratios 0.5" + texts()), "a ratio is 0.5");
  refuse(command("--limit 0" + texts()), "limit is 0");
  refuse(command("--task needles" + texts()), "needles needs texts for needles");
  refuse(command("--needle-tokens 0 --needles" + texts().substr(8)), "needle tokens is 0");
  refuse(command("--needle-tokens 9000 --needles" + texts().substr(8)), "contexts of 9000 tokens");
  refuse(command("--out " + texts().substr(9) + texts()), "cannot be created");
  refuse(command("--texts " + write("bad.jsonl", "{\"text\": \"a\"}\nno\n")),
         "bad.jsonl: line 2 is not a JSON object");
  refuse(command("--texts " + write("short.jsonl", "{\"text\": \"a\"}\n")),
         "short.jsonl: no text has 36 tokens");
  refuse(command("--questions " + write("questions.jsonl", "{\"context\": \"a\"}\n")),
         "questions.jsonl: line 1 has no string \"prompt\"");
  refuse(eval("--compressor magic", texts()), "magic");
  refuse(eval("--compressor " + path("selfcp") + " magic", texts()), "magic");
}

TEST_F(Eval, NothingIsLeftOfARunThatFails) {
  refuse(command("--task continue --out " + path("out") + " --texts " +
                 write("bad.jsonl", "{\"text\": \"a\"}\nno\n")),
         "line 2");
  EXPECT_FALSE(std::filesystem::exists(path("out/results.json")));
}

}  // namespace
}  // namespace precis
