// SPDX-License-Identifier: Apache-2.0
// The `precis` program from outside: what it prints and writes.
#include <ATen/Context.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "cli_fixture.h"
#include "io/safetensors.h"
#include "support/tiny_llama.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Contains;
using testing::Not;

using Ids = std::vector<int64_t>;

class Cli : public CliTest {
 protected:
  Ids tokenize(const std::string& model, const std::string& text, const char* flags = "") const {
    return succeed("tokenize --model " + model + " --file " + write("text.txt", text) + flags)
        .at("ids")
        .get<Ids>();
  }
};

TEST_F(Cli, TokenizesThereAndBack) {
  const std::string file = write("text.txt", "the town <|im_end|> wäter");
  const json ids = succeed("tokenize --model " + kModels + "llama --file " + file);
  const std::string list = write("ids.json", ids.at("ids").dump());
  EXPECT_EQ(succeed("detokenize --model " + kModels + "llama --ids " + list).at("text"),
            "the town <|im_end|> wäter");
}

TEST_F(Cli, SpecialTokensAreRecognisedOnRequestOnly) {
  const std::string text = "<|im_start|>the town<|im_end|>", model = kModels + "llama";
  const Ids plain = tokenize(model, text), special = tokenize(model, text, " --special");
  EXPECT_THAT(plain, Not(Contains(1)));
  EXPECT_THAT(plain, Not(Contains(2)));
  ASSERT_GE(special.size(), 3u);
  EXPECT_EQ(special.front(), 1);
  EXPECT_EQ(special.back(), 2);
  for (const Ids& ids : {plain, special}) {
    const std::string list = write("ids.json", json(ids).dump());
    EXPECT_EQ(succeed("detokenize --model " + model + " --ids " + list).at("text"), text);
  }
}

TEST_F(Cli, BosAndEosAreAddedAsTheModelWantsThem) {
  const auto surrounded = [&](const std::string& model, const Ids& before, const Ids& after) {
    Ids wanted = before;
    for (const int64_t id : tokenize(model, "the town")) wanted.push_back(id);
    wanted.insert(wanted.end(), after.begin(), after.end());
    EXPECT_EQ(tokenize(model, "the town", " --special"), wanted) << model;
  };
  surrounded(kModels + "llama", {}, {});
  surrounded(kModels + "gemma3_text.gguf", {2}, {});
  surrounded(kTokenizers + "llama3", {1}, {});
  fs::copy(kTokenizers + "llama3", directory / "own");
  overwrite(directory / "own/tokenizer_config.json",
            R"({"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>",
                "add_bos_token": true, "add_eos_token": true})");
  surrounded(path("own"), {0}, {2});
}

TEST_F(Cli, WritesLogitsAndHiddenStates) {
  const std::string ids = write("ids.json", "[1,2,3,4]");
  const Result result =
      run("logits --model " + kModels + "qwen2 --ids " + ids + " --out " + path("out.safetensors"));
  ASSERT_EQ(result.code, 0) << result.err;
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

TEST_F(Cli, WeightsInFewBitsScoreAlmostAlike) {
  const std::string score = "score --model " + kModels + "gemma3_text --dtype float32 --ids " +
                            write("few.json", "[5,6,7,8,9]");
  const auto mean = [&](const std::string& flags) {
    const std::vector<double> nll = succeed(score + flags).at("nll");
    return std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size());
  };
  const double whole = mean("");
  EXPECT_EQ(mean(" --weights float32"), whole);
  const double int8 = mean(" --weights int8"), int4 = mean(" --weights int4");
  EXPECT_NE(int8, whole);
  EXPECT_NE(int4, int8);
  EXPECT_NEAR(int8, whole, 0.05);
  EXPECT_NEAR(int4, whole, 0.5);
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
  ASSERT_EQ(scored.at("nll").size(), one.at("suffix").size());
  ASSERT_EQ(scored.at("nll").size(), bytes.size() / sizeof(float));
  for (size_t i = 0; i < scored.at("nll").size(); ++i) {
    float wanted;
    std::memcpy(&wanted, bytes.data() + i * sizeof wanted, sizeof wanted);
    EXPECT_NEAR(scored["nll"][i].get<double>(), wanted, 1e-3);
  }
}

TEST_F(Cli, ScoresAfterTheContinuationMarkOfTheCompressor) {
  const std::string compressor = import_selfcp(),
                    context = write("context.json", "[20,21,22,23,24,25,26,27,28]");
  const auto score = [&](const std::string& ids) {
    return succeed("score --model " + kModels + "llama --compressor " + compressor +
                   " --context-ids " + context + " --ids " + write("ids.json", ids))
        .at("nll")
        .get<std::vector<double>>();
  };
  const auto unmarked = score("[10,11,12,13]");
  auto behind_the_id = score("[5,10,11,12,13]");
  behind_the_id.erase(behind_the_id.begin());
  damage_json(compressor + "/compressor.json",
              [](json& config) { config["continuation_mark"] = json::array({5}); });
  const auto marked = score("[10,11,12,13]");
  ASSERT_EQ(marked.size(), 4u);
  EXPECT_THAT(marked, testing::Pointwise(testing::DoubleNear(1e-4), behind_the_id));
  EXPECT_GT(std::abs(marked[0] - unmarked[0]), 1e-2);
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
  const json read = succeed("compress" + model + "--compressor " + compressor + " --file " +
                            document + " --prefill --out " + path("read.safetensors"));
  EXPECT_GT(read.at("bytes"), made.at("bytes"));
  EXPECT_EQ(SafetensorsFile::open(directory / "read.safetensors").find("keys")->shape[2], rows[0]);
  EXPECT_EQ(succeed("generate" + model + "--memory " + path("read.safetensors") + rest).at("ids"),
            ready.at("ids"));
  EXPECT_GT(direct.at("kv_bytes_saved"), 0);
}

// 45 tokens as 11 rows: of keys and values of 3 layers, 2 heads and 8 numbers in float32.
TEST_F(Cli, CompressesWithoutACompressorOfOnesOwn) {
  const std::string ids = write("ids.json", json(Ids(45, 7)).dump()),
                    command = "compress --model " + kModels + "llama --ids " + ids;
  const Result result = run(command + " --dtype float32 --out " + path("m.safetensors"));
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out),
            json({{"source_tokens", 45},
                  {"memory_tokens", 11},
                  {"ratio", 45.0 / 11},
                  {"bytes", 11 * 2 * 3 * 2 * 8 * 4},
                  {"kv_bytes_full", 45 * 2 * 3 * 2 * 8 * 4}}));
  EXPECT_EQ(result.err,
            "precis: 45 tokens -> 11 rows (4.1x), 4 kB; the keys and values of the text take 17 "
            "kB\n");
  const auto file = SafetensorsFile::open(directory / "m.safetensors");
  EXPECT_EQ(file.find("keys")->shape, (std::vector<int64_t>{3 * 2 * 11, 8}));  // ragged
  EXPECT_EQ(file.find("lengths")->shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(file.metadata().at("method"), "attention_matching");
}

TEST_F(Cli, CompressesInTheDtypeInWhichItAnswers) {
  const std::string ids = write("ids.json", json(Ids(45, 7)).dump()),
                    model = " --model " + kModels + "llama";
  const auto made = [&](const std::string& flags) {
    return succeed("compress" + model + " --ids " + ids + " --out " + path("m.safetensors") +
                   flags);
  };
  EXPECT_EQ(made(""), made(" --dtype auto"));
  EXPECT_EQ(succeed("generate" + model + " --memory " + path("m.safetensors") +
                    " --raw --prompt so --max-tokens 2 --json")
                .at("memory_rows"),
            11);
}

TEST_F(Cli, AMemoryTakesThePositionsOfItsTextOrOfItsRows) {
  const std::string command = "compress --model " + kModels + "llama --ids " +
                              write("ids.json", json(Ids(45, 7)).dump()) + " --out " +
                              path("m.safetensors");
  const auto next_position = [&](const std::string& flags) {
    succeed(command + flags);
    return SafetensorsFile::open(directory / "m.safetensors").metadata().at("next_position");
  };
  EXPECT_EQ(next_position(" --positions text"), "45");
  EXPECT_EQ(next_position(" --positions rows"), "11");
  EXPECT_EQ(next_position(""), "11");
}

TEST_F(Cli, AnAnswerTellsWhatWasSaved) {
  const std::string command =
      "generate --model " + kModels + "llama --raw --prompt ' so' " +
      "--max-tokens 4 --compress-file " +
      write("text.txt", "the water of the town and the bridge by the river");
  const json answer = succeed(command + " --json");
  EXPECT_EQ(answer.at("prompt_rows").get<int64_t>() - answer.at("rows_read").get<int64_t>(),
            answer.at("memory_rows").get<int64_t>());
  EXPECT_GT(answer.at("memory_rows"), 0);
  const Result plain = run(command);
  EXPECT_THAT(plain.err,
              testing::StartsWith("precis: " + answer.at("prompt_tokens").dump() + " -> " +
                                  answer.at("prompt_rows").dump() + " tokens ("));
  EXPECT_THAT(
      plain.err,
      testing::HasSubstr("; compressed " + answer.at("compressed_tokens").dump() + " tokens in "));
}

// What the template's memory was made of is counted, though the prompt finds it ready.
TEST_F(Cli, AFramedAnswerTellsWhatWasCompressed) {
  const std::string text = write("text.txt", "the water of the town and the bridge by the river"),
                    command = "generate --model " + kModels + "llama --compressor " +
                              import_selfcp() + " --use instruct --prompt so --max-tokens 2";
  const json answer = succeed(command + " --json --compress-file " + text);
  EXPECT_EQ(
      answer.at("compressed_tokens"),
      std::ssize(tokenize(kModels + "llama", "the water of the town and the bridge by the river")));
  EXPECT_GT(answer.at("compress_ms"), 0);
}

TEST_F(Cli, AUseWithoutAFrameOfItsOwnIsWarnedOf) {
  const std::string rest = " --prompt so --max-tokens 2 --compress-file " +
                           write("text.txt", "the water of the town and the bridge") + " --model " +
                           kModels + "llama";
  const auto warning = testing::HasSubstr("has no template of its own for --use instruct");
  const std::string instruct = "generate --use instruct" + rest;
  EXPECT_THAT(run(instruct).err, testing::StartsWith("precis: attention_matching has no template"));
  EXPECT_THAT(run(instruct + " --compressor kvzip").err, warning);
  EXPECT_THAT(run(instruct + " --compressor " + import_selfcp()).err, Not(warning));
  EXPECT_THAT(run("generate --use continue" + rest).err, Not(warning));
  EXPECT_THAT(run("generate --raw" + rest).err, Not(warning));
}

TEST_F(Cli, ScoresBehindAMemoryOfTheBuiltIn) {
  const std::string command = "score --model " + kModels + "llama --ids " +
                              write("ids.json", "[10,11,12,13]") + " --context-ids " +
                              write("context.json", "[20,21,22,23,24,25,26,27,28]");
  const json scored = succeed(command);
  ASSERT_TRUE(scored.contains("nll"));
  EXPECT_FALSE(scored.at("nll").empty());
  EXPECT_EQ(scored, succeed(command + " --compressor attention_matching"));
}

// As the released scripts tokenize the two: together.
TEST_F(Cli, AnImportedIcFormersTemplateAndAPromptAreTheIdsOfOneText) {
  const std::string base = path("base");
  write_llama(base, random_llama(700, 1), kTokenizers + "llama2");
  succeed("import --from ic-former --source " PRECIS_TEST_GOLDEN_DIR
          "/ic_former/published --base " +
          base + " --out " + path("out"));
  const Ids after = read_json(path("out") + "/compressor.json").at("instruct_after").get<Ids>();
  EXPECT_EQ(after, tokenize(base, "\n\nPrompt:"));
  for (const std::string prompt : {"What", "the town", " a"}) {
    Ids ids = after;
    for (const int64_t id : tokenize(base, prompt)) ids.push_back(id);
    EXPECT_EQ(ids, tokenize(base, "\n\nPrompt: " + prompt)) << prompt;
  }
}

TEST_F(Cli, StreamsPlainText) {
  const std::string command =
      "generate --model " + kModels + "llama --raw --prompt the --max-tokens 4";
  const std::string text = succeed(command + " --json").at("text");
  EXPECT_FALSE(text.empty());
  const Result result = run(command);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, text + "\n");
}

TEST_F(Cli, TrainsACompressor) {
  EXPECT_EQ(succeed(training() + " --steps 4").at("steps"), 4);
  EXPECT_EQ(succeed("info --model " + kModels + "llama --compressor " + path("trained"))
                .at("compressor")
                .at("method"),
            "selfcp");
}

TEST_F(Cli, AFinishedTrainingIsLeftAsItIs) {
  const std::string command = training() + " --steps 4";
  succeed(command);
  const std::string compressor = read_file(directory / "trained/compressor.safetensors"),
                    log = read_file(directory / "trained/log.jsonl");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 4);
  EXPECT_EQ(succeed(command).at("steps"), 4);
  EXPECT_EQ(read_file(directory / "trained/compressor.safetensors"), compressor);
  EXPECT_EQ(read_file(directory / "trained/log.jsonl"), log);
}

TEST_F(Cli, BenchGivesRates) {
  const json rates =
      succeed("bench --model " + kModels + "llama --prefill 8,16 --decode 4 --runs 2 --json");
  EXPECT_GT(rates.at("prefill").at("16"), 0);
  EXPECT_GT(rates.at("decode"), 0);
  EXPECT_GT(rates.at("peak_bytes"), 0);
  const json batched = succeed("bench --model " + kModels +
                               "llama --prefill 8 --decode 4 --context 20 --batch 3 --runs 1 "
                               "--weights bfloat16 --json");
  EXPECT_GT(batched.at("decode"), 0);
  EXPECT_EQ(batched.at("batch"), 3);
  EXPECT_EQ(batched.at("context"), 20);
  EXPECT_EQ(batched.at("weights"), "bfloat16");
  EXPECT_EQ(batched.at("dtype"), "bfloat16");
}

TEST_F(Cli, BenchSweepsOverLengthsOfContexts) {
  const json sweep = succeed("bench --model " + kModels + "llama --compressor " + import_selfcp() +
                             " --sweep 16,64 --prefill 8 --decode 4 --runs 1 --json")
                         .at("sweep");
  ASSERT_EQ(sweep.size(), 2);
  for (const json& own : sweep) {
    EXPECT_GT(own.at("compress_s"), 0);
    EXPECT_GT(own.at("first_token_full_s"), 0);
    EXPECT_GT(own.at("first_token_memory_s"), 0);
    EXPECT_GT(own.at("first_token_prefilled_s"), 0);
    EXPECT_LT(own.at("rows"), own.at("tokens"));
    const double full = own.at("kv_bytes_full"), rows = own.at("rows"), tokens = own.at("tokens");
    EXPECT_DOUBLE_EQ(own.at("kv_bytes_memory"), full * rows / tokens);
  }
  EXPECT_EQ(sweep[1].at("tokens"), 64);
  EXPECT_EQ(sweep[1].at("batch"), 1);
}

// Of one context, whatever is compressed beside it.
TEST_F(Cli, BenchSweepsInBatches) {
  const std::string bench = "bench --model " + kModels + "llama --compressor " + import_selfcp() +
                            " --sweep 64 --prefill 8 --decode 4 --runs 1 --json --batch ";
  const json one = succeed(bench + "1").at("sweep")[0], five = succeed(bench + "5").at("sweep")[0];
  EXPECT_EQ(five.at("batch"), 5);
  EXPECT_EQ(five.at("rows"), one.at("rows"));
  EXPECT_GT(five.at("compress_s"), one.at("compress_s"));
}

TEST_F(Cli, RunsOnTheCpuWhereThereIsNoGpu) {
  if (at::hasCUDA()) GTEST_SKIP() << "there is one";
  const std::string bench = "bench --model " + kModels + "llama --prefill 8 --decode 4 --runs 1";
  const Result result = run(bench + " --json --device cuda");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(json::parse(result.out).at("device"), "cpu");
  EXPECT_THAT(result.err, testing::HasSubstr("running on the CPU"));
  EXPECT_THAT(run(bench).err, Not(testing::HasSubstr("running on the CPU")));
}

// No weights at hand: random ones of the shape, and an untrained compressor of each method.
TEST_F(Cli, BenchOfAShapeNeedsNoModel) {
  const std::string shape =
      " --shape " + kModels + "gemma3_text/config.json --prefill 8 --decode 4 --runs 1 --json";
  const json rates = succeed("bench" + shape + " --weights int8");
  EXPECT_GT(rates.at("decode"), 0);
  EXPECT_EQ(rates.at("weights"), "int8");
  for (const char* method : {"selfcp",
                             "icae --slots 8 --rank 4",
                             "gisting --ratio 4",
                             "ic-former --slots 8 --layers 2",
                             "ic-former --slots 8 --layers 2 --token-table"}) {
    const json sweep =
        succeed("bench" + shape + " --sweep 32 --max-segment 32 --method " + method).at("sweep");
    EXPECT_EQ(sweep[0].at("tokens"), 32) << method;
    EXPECT_GT(sweep[0].at("compress_s"), 0) << method;
    EXPECT_GE(sweep[0].at("rows"), 8) << method;
  }
}

// Half the bytes, and nearly the same memories.
TEST_F(Cli, ConvertsACompressor) {
  const std::string wide = import_selfcp(), narrow = path("narrow");
  succeed("convert --compressor " + wide + " --out " + narrow);
  const auto bytes = [](const std::string& directory) {
    const SafetensorsFile file = SafetensorsFile::open(directory + "/compressor.safetensors");
    int64_t sum = 0;
    for (const StoredTensor& tensor : file.tensors()) sum += std::ssize(tensor.bytes);
    return sum;
  };
  EXPECT_EQ(2 * bytes(narrow), bytes(wide));
  const std::string text = write("text.txt", "the town and its water and more of it");
  const auto memory = [&](const std::string& compressor) {
    const std::string out = path("memory.safetensors");
    succeed("compress --model " + kModels + "llama --compressor " + compressor + " --file " + text +
            " --dtype float32 --out " + out);
    return SafetensorsFile::open(out);
  };
  const SafetensorsFile first = memory(wide);
  const auto rows = [](const SafetensorsFile& file) {
    const auto& found = *file.find("embeddings");
    std::vector<float> values(found.bytes.size() / sizeof(float));
    std::memcpy(values.data(), found.bytes.data(), found.bytes.size());
    return values;
  };
  const std::vector<float> before = rows(first), after = rows(memory(narrow));
  ASSERT_EQ(before.size(), after.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    difference += std::pow(before[i] - after[i], 2);
    size += std::pow(before[i], 2);
  }
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 1e-4 * size);
  refuse("convert --compressor " + wide + " --out " + narrow, "already");
  refuse("convert --dtype int3 --compressor " + wide + " --out " + path("other"), "int3");
  refuse("convert --compressor " + path("nowhere") + " --out " + path("other"), "no such");
}

}  // namespace
}  // namespace precis
