// SPDX-License-Identifier: Apache-2.0
// precis info: what it says of models, compressors and what they cost.
#include "cli_fixture.h"

namespace precis {
namespace {

using nlohmann::json;

const std::string kLlama = " --model " + kModels + "llama ";

class Info : public CliTest {
 protected:
  json cost(const std::string& arguments) const {
    return succeed("info " + arguments).value("cost", json::object());
  }
};

TEST_F(Info, OfPublishedShapesGivesThePublishedFigures) {
  const json icae = cost("--shape llama-2-7b --method icae");
  const json ic_former = cost("--shape llama-2-7b --method ic-former");
  EXPECT_EQ(icae.at("length"), 512);
  EXPECT_EQ(icae.at("memory_tokens"), 128);
  EXPECT_EQ(icae.at("compress_flops"), 8504035246080);
  EXPECT_EQ(ic_former.at("compress_flops"), 262529875968);
  EXPECT_EQ(icae.at("parameters"), 67645440);
  EXPECT_EQ(ic_former.at("parameters"), 607690752);
  EXPECT_EQ(cost("--shape mistral-7b --method icae --rank 512").at("parameters"), 218640384);
  EXPECT_EQ(cost("--shape mistral-7b --method ic-former").at("parameters"), 607690752);
  EXPECT_EQ(cost("--shape llama-2-7b --method selfcp").at("parameters"), 16793600);
  EXPECT_EQ(cost("--shape llama-2-7b --method gisting --tuned").at("parameters"), 0);
}

TEST_F(Info, CountsAreWholeNumbers) {
  const json figures = cost("--shape llama-2-7b --method icae");
  for (const char* name : {"length",
                           "parameters",
                           "memory_tokens",
                           "memory_bytes",
                           "full_kv_bytes",
                           "memory_kv_bytes"})
    EXPECT_TRUE(figures.at(name).is_number_integer()) << name;
  for (const char* name : {"compress_flops",
                           "adapter_flops",
                           "full_prefill_flops",
                           "memory_prefill_flops",
                           "full_decode_flops",
                           "memory_decode_flops"})
    EXPECT_GT(figures.at(name).get<double>(), 0) << name;
}

TEST_F(Info, FlagsShapeTheCompressor) {
  const std::string smollm2 = "--shape smollm2-135m --method ";
  EXPECT_EQ(cost(smollm2 + "icae --slots 16 --max-segment 64 --length 65").at("memory_tokens"), 32);
  EXPECT_EQ(cost(smollm2 + "selfcp --ratio 8").at("memory_tokens"), 64);
  EXPECT_EQ(cost(smollm2 + "gisting --slots 4").at("memory_bytes"), 4 * 2 * 30 * 3 * 64 * 2);
  const int64_t layer = 4 * 576 * 576 + 3 * 576 * 1536 + 3 * 576;
  EXPECT_EQ(cost(smollm2 + "ic-former --slots 8").at("parameters"), 3 * layer + 576 + 8 * 576);
  EXPECT_EQ(cost(smollm2 + "ic-former --slots 8 --layers 1 --ffn-size 100").at("parameters"),
            4 * 576 * 576 + 3 * 576 * 100 + 3 * 576 + 576 + 8 * 576);
  const json info = succeed("info " + smollm2 + "icae");
  EXPECT_EQ(info.at("model").at("parameters"), 134515008);
  EXPECT_EQ(info.at("compressor"),
            json::parse(R"({"method": "icae", "slots": 128, "rank": 128, "max_segment": 512})"));
}

TEST_F(Info, WidthOfElementsIsThatOfTheDtype) {
  const std::string shape = "--shape smollm2-135m --length 10";
  EXPECT_EQ(cost(shape).at("full_kv_bytes"), 10 * 2 * 30 * 3 * 64 * 2);
  EXPECT_EQ(cost(shape + " --dtype float32").at("full_kv_bytes"), 10 * 2 * 30 * 3 * 64 * 4);
}

TEST_F(Info, AModelsFilesAreAShapeToo) {
  const json loaded = succeed("info" + kLlama + "--dtype float32 --length 10");
  for (const char* file : {"llama", "llama/config.json", "llama.gguf"}) {
    const json shape = succeed("info --dtype float32 --length 10 --shape " + kModels + file);
    for (const auto& [name, figure] : shape.at("cost").items())
      EXPECT_EQ(figure, loaded.at("cost").at(name)) << file << " " << name;
    EXPECT_EQ(shape.at("model").at("parameters"), loaded.at("model").at("parameters")) << file;
  }
}

TEST_F(Info, OfACompressorIsWhatCompressingGives) {
  const std::string both = kLlama + "--dtype float32 --compressor " + import_selfcp();
  const std::string ids = write("ids.json", json(std::vector<int64_t>(45, 7)).dump());
  const json made = succeed("compress" + both + " --ids " + ids + " --out " + path("m"));
  const json info = succeed("info" + both + " --length 45");
  EXPECT_EQ(info.at("cost").at("memory_tokens"), made.at("memory_tokens"));
  EXPECT_EQ(info.at("cost").at("memory_bytes"), made.at("bytes"));
  EXPECT_EQ(info.at("cost").at("parameters"), info.at("compressor").at("parameters"));
}

TEST_F(Info, ABuiltInsShapeIsThatOfTheModelsFiles) {
  for (const std::string method : {"attention_matching", "kvzip"}) {
    const json loaded =
        succeed("info" + kLlama + "--dtype float32 --length 100 --compressor " + method);
    const json shape = succeed("info --dtype float32 --length 100 --shape " + kModels +
                               "llama --method " + method);
    EXPECT_EQ(shape.at("cost"), loaded.at("cost")) << method;
    for (const auto& [name, value] : shape.at("compressor").items())
      EXPECT_EQ(value, loaded.at("compressor").at(name)) << method << " " << name;
  }
}

TEST_F(Info, WithoutACompressorItIsOfTheDefault) {
  json info = succeed("info" + kLlama);
  EXPECT_EQ(info.at("compressor").at("method"), "attention_matching");
  EXPECT_EQ(info.at("compressor").at("parameters"), 0);
  EXPECT_EQ(info.at("cost").at("parameters"), 0);
  info.erase("advice");
  EXPECT_EQ(info, succeed("info" + kLlama + "--compressor attention_matching"));
}

TEST_F(Info, OfABuiltInIsWhatCompressingGives) {
  const std::string ids = write("ids.json", json(std::vector<int64_t>(45, 7)).dump());
  for (const std::string method : {"attention_matching", "kvzip"}) {
    const std::string both = kLlama + "--dtype float32 --compressor " + method;
    const json made = succeed("compress" + both + " --ids " + ids + " --out " + path("m"));
    const json info = succeed("info" + both + " --length 45");
    EXPECT_EQ(info.at("cost").at("memory_tokens"), made.at("memory_tokens"));
    EXPECT_EQ(info.at("cost").at("memory_bytes"), made.at("bytes"));
    EXPECT_EQ(info.at("cost").at("memory_prefill_flops"), 0);
  }
}

TEST_F(Info, FlagsShapeABuiltIn) {
  const std::string matching = "--shape llama-2-7b --method attention_matching ";
  EXPECT_EQ(cost(matching).at("length"), 4096 - 256);  // room to repeat it in chunks
  EXPECT_EQ(cost(matching).at("memory_bytes"), 960 * 524288);
  EXPECT_EQ(cost(matching + "--length 512 --ratio 2").at("memory_tokens"), 256);
  EXPECT_EQ(cost(matching + "--length 1000 --ratio 12 --max-segment 100").at("memory_tokens"), 80);
  const std::string length = "--length 512";
  EXPECT_GT(cost("--shape llama-2-7b --method kvzip " + length).at("compress_flops"),
            2 * cost(matching + length).at("full_prefill_flops").get<double>());
  EXPECT_LT(cost(matching + length).at("compress_flops"),
            2.5 * cost(matching + length).at("full_prefill_flops").get<double>());
  EXPECT_EQ(succeed("info " + matching + "--ratio 8").at("compressor"),
            json::parse(R"({"method": "attention_matching", "ratio": 8.0, "max_segment": 3840})"));
}

TEST_F(Info, SaysWhichCompressorToUse) {
  const Result result = run("info --shape smollm2-135m");
  const json advice = json::parse(result.out).at("advice");
  ASSERT_EQ(advice.size(), 5);
  std::string lines;
  for (const json& line : advice) lines += "precis: " + line.get<std::string>() + "\n";
  EXPECT_EQ(result.err, lines);
  EXPECT_THAT(lines, testing::HasSubstr("attention_matching (the default)"));
  EXPECT_THAT(lines, testing::HasSubstr("take 1152 bytes"));  // 576 in bfloat16
  EXPECT_THAT(lines, testing::HasSubstr("take 23040"));       // 2 x 30 layers x 3 heads x 64
  EXPECT_THAT(run("info --shape smollm2-135m --dtype float32").err,
              testing::HasSubstr("take 46080"));
  EXPECT_EQ(succeed("info" + kLlama).at("advice").size(), 5);
}

TEST_F(Info, OfAChosenCompressorGivesNoAdvice) {
  for (const std::string& chosen : {kLlama + "--compressor kvzip",
                                    kLlama + "--compressor " + import_selfcp(),
                                    std::string(" --shape llama-2-7b --method icae")}) {
    const Result result = run("info" + chosen);
    EXPECT_FALSE(json::parse(result.out).contains("advice")) << chosen;
    EXPECT_EQ(result.err, "") << chosen;
  }
}

TEST_F(Info, WithoutALengthCostsAreOfTheLongestPart) {
  for (const std::string& chosen : {std::string(), "--compressor " + import_selfcp()}) {
    const json info = succeed("info" + kLlama + chosen);
    EXPECT_EQ(info.at("cost").at("length"), info.at("compressor").at("max_segment"));
  }
  EXPECT_FALSE(succeed("info --shape llama-2-7b").contains("cost"));
}

TEST_F(Info, WithoutALengthCostsAreOfNoMoreThanCanBeCounted) {
  const std::string both = "info" + kLlama + "--compressor " + import_selfcp();
  damage_json(path("selfcp/compressor.json"),
              [](json& config) { config["max_segment"] = 20000000; });
  const json info = succeed(both);
  EXPECT_EQ(info.at("compressor").at("max_segment"), 20000000);
  EXPECT_EQ(info.at("cost").at("length"), 16777216);
  EXPECT_EQ(cost("--shape llama-2-7b --method icae --max-segment 20000000").at("length"), 16777216);
  refuse(both + " --length 20000000", "expected 1 to 16777216");
}

TEST_F(Info, TellsWhatACompressorObeys) {
  const json compressor =
      succeed("info" + kLlama + "--compressor " + import_selfcp()).at("compressor");
  EXPECT_EQ(compressor.at("slots"), 0);
  EXPECT_EQ(compressor.at("divides"), true);
  EXPECT_EQ(compressor.at("any_ratio"), true);
  EXPECT_EQ(compressor.at("any_chaining"), true);
  EXPECT_EQ(compressor.at("reads_prefix"), true);
}

TEST_F(Info, BadInputIsNamed) {
  const std::string llama = "info --shape llama-2-7b ";
  refuse("info", "give --model or --shape");
  refuse(llama + kLlama, "--model");
  refuse(llama + "--compressor " + import_selfcp(), "--compressor");
  refuse(llama + "--device cpu", "--device");
  refuse("info --shape llama-9", "llama-9: no such file or directory, and no known shape");
  refuse("info --shape " + write("shape.json", "{\"model_type\":\"mamba\"}"), "mamba");
  refuse("info" + kLlama + "--method icae", "--shape");
  refuse(llama + "--slots 4", "--method");
  refuse(llama + "--method magic", "\"magic\" is unknown");
  refuse(llama + "--method selfcp --slots 4", "--slots says nothing of selfcp");
  refuse(llama + "--method icae --ratio 4", "--ratio says nothing of icae");
  refuse(llama + "--method ic-former --rank 4", "--rank says nothing of ic-former");
  refuse(llama + "--method icae --tuned", "--tuned says nothing of icae");
  refuse(llama + "--method gisting --ffn-size 4", "--ffn-size says nothing of gisting");
  refuse(llama + "--method gisting --tuned --rank 4", "frozen form");
  refuse(llama + "--method kvzip --slots 4", "--slots says nothing of kvzip");
  refuse("info" + kLlama + "--compressor magic", "no built-in compressor has this name");
}

TEST_F(Info, NumbersOutOfRangeAreNamed) {
  const std::string llama = "info --shape llama-2-7b ";
  refuse(llama + "--length 0", "length is 0");
  refuse("info" + kLlama + "--length -1", "length is -1");
  refuse(llama + "--length many", "many");
  refuse(llama + "--length 99999999999999999999", "expected 1 to 16777216");
  refuse(llama + "--method icae --slots 0", "slots is 0");
  refuse(llama + "--method icae --slots 9223372036854775807", "more than can be counted");
  refuse(llama + "--method selfcp --ratio 0.5", "ratio is 0.5");
  refuse(llama + "--method selfcp --ratio nan", "ratio is nan");
  refuse(llama + "--method ic-former --layers 0", "num_layers is 0");
  refuse(llama + "--method icae --max-segment 0", "max_segment is 0");
  refuse(llama + "--method gisting --length 513", "does not divide");
  refuse(llama + "--method kvzip --ratio 0.5", "ratio is 0.5");
  refuse(llama + "--method attention_matching --max-segment 0", "max_segment is 0");
}

}  // namespace
}  // namespace precis
