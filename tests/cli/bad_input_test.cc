// SPDX-License-Identifier: Apache-2.0
// Bad input of the `precis` program: exit code 2, one line of error, no files left.
#include <array>

#include "cli_fixture.h"
#include "io/safetensors.h"
#include "support/tensor_file.h"
#include "support/tiny_llama.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kLlama = " --model " + kModels + "llama ";

class BadInput : public CliTest {
 protected:
  std::string ids(const std::string& list) const { return " --ids " + write("ids.json", list); }
  // Many ids, one after the other.
  std::string many_ids(int64_t count) const {
    return ids(json(std::vector<int64_t>(static_cast<size_t>(count), 7)).dump());
  }
};

TEST_F(BadInput, IsNamedOnOneLine) {
  const std::string out = " --out " + path("never.safetensors");
  refuse("info --model nowhere.gguf", "nowhere.gguf");
  refuse("info --model " + write("junk.gguf", "not a model at all, sorry"), "junk.gguf");
  refuse("logits" + kLlama + ids("[999999]") + out, "999999");
  refuse("logits" + kLlama + ids("{\"a\":1}") + out, "array");
  refuse("logits" + kLlama + ids("[1,2") + out, "not valid JSON");
  refuse("logits" + kLlama + ids("[1,2]") + " --out /nowhere/out.safetensors", "/nowhere");
  refuse("tokenize" + kLlama + "--file " + write("latin1.txt", "caf\xe9"),
         "latin1.txt: not valid UTF-8 at byte 3");
  refuse("score" + kLlama + ids("[1]"), "at least 2");
  refuse("score" + kLlama + ids("[1,2]") + " --weights int3", "--weights");
  refuse("score" + kLlama + ids("[1,2]") + " --weights int8",
         "48 numbers; weights in int8 or int4");
  refuse("score" + kLlama + "--compressor kvzip" + ids("[1,2]"),
         "score: --compressor needs --context-ids");
  expect_nothing_at(path("never.safetensors"));
}

TEST_F(BadInput, UnknownAndMissingFlagsAreNamed) {
  const std::string whole = "logits" + kLlama + ids("[1,2]") + " --out " + path("out.safetensors");
  refuse(whole + " --nonsense", "--nonsense");
  refuse(whole + " --dtype float8", "float8");
  refuse("logits" + kLlama + ids("[1,2]"), "--out is required");
  expect_nothing_at(path("out.safetensors"));
}

TEST_F(BadInput, WhatIsNoListOfIdsIsRefused) {
  for (const char* list : {"[1.5]", "[\"1\"]", "[null]", "[[1]]", "[-1]"})
    refuse("detokenize" + kLlama + ids(list), "is not a token id");
  for (const char* list : {"[9223372036854775808]", "[18446744073709551615]", "[1e30]"})
    refuse("detokenize" + kLlama + ids(list), "is not a token id");
  refuse("score" + kLlama + ids("[]"), "holds no token ids");
  refuse("detokenize" + kLlama + ids("7"), "expected a JSON array");
  refuse("detokenize" + kLlama + ids(""), "not valid JSON");
}

TEST_F(BadInput, IdsOutOfRangeAreNotDetokenized) {
  const std::array<std::pair<std::string, int>, 3> models{{{kModels + "llama", 320},
                                                           {kModels + "gemma3_text.gguf", 320},
                                                           {kTokenizers + "sentencepiece", 600}}};
  for (const auto& [model, size] : models) {
    const std::string command = "detokenize --model " + model;
    succeed(command + ids(json::array({size - 1}).dump()));
    refuse(command + ids(json::array({3, size}).dump()),
           "id " + std::to_string(size) + " is out of range");
    refuse(command + ids("[3,999999999999]"), "999999999999");
  }
}

// Context limits: the model's window is 512.

TEST_F(BadInput, LogitsKeepToTheContextLimit) {
  const std::string out = path("out.safetensors");
  refuse("logits" + kLlama + many_ids(513) + " --out " + out,
         "513 ids are over the context limit of 512");
  expect_nothing_at(out);
  EXPECT_EQ(run("logits" + kLlama + many_ids(512) + " --out " + out).code, 0);
}

TEST_F(BadInput, ScoreKeepsToTheContextLimit) {
  refuse("score" + kLlama + many_ids(513), "513 ids are over the context limit of 512");
  EXPECT_EQ(succeed("score" + kLlama + many_ids(512)).at("nll").size(), 511u);
}

TEST_F(BadInput, ScoreAfterAMemoryKeepsToTheContextLimit) {
  const std::string command = "score" + kLlama + "--compressor " + import_selfcp() +
                              " --context-ids " + write("context.json", "[20,21,22,23]");
  refuse(command + many_ids(512), "over the limit");
  EXPECT_EQ(succeed(command + many_ids(511)).at("nll").size(), 511u);
}

// Memories and compressors

TEST_F(BadInput, CompressionInputIsNamed) {
  const std::string compressor = import_selfcp(), out = " --out " + path("m");
  refuse("compress" + kLlama + "--compressor " + path("none") + ids("[1]") + out, "none");
  refuse("compress" + kLlama + "--compressor attention_maching" + ids("[1]") + out,
         "attention_maching: no such directory, and no built-in compressor has this name (built "
         "in: attention_matching, kvzip");
  refuse("compress" + kLlama + ids("[1]") + " --positions sideways" + out, "--positions");
  refuse("generate" + kLlama + "--prompt x --raw --overflow sideways", "sideways");
  refuse("generate" + kLlama + "--prompt x --raw --context-limit 10 --max-tokens 20",
         "over the limit");
  refuse("generate --model " + kModels + "qwen3 --memory " + kSelfCp + " --prompt x --raw",
         "not a memory");
  refuse("info --model " + kModels + "qwen3 --compressor " + compressor, "made for a model");
  damage_json(compressor + "/compressor.json", [](json& config) { config["method"] = "magic"; });
  refuse("info" + kLlama + "--compressor " + compressor, "magic");
}

TEST_F(BadInput, UseLeavesNoRoomForAContext) {
  refuse("generate" + kLlama + "--use instruct --prompt x --compressor " + import_selfcp() +
             " --compress-file " + write("text.txt", "the town") + " --context-file " +
             path("text.txt"),
         "--context-file cannot be used with --use");
}

TEST_F(BadInput, AMemoryOfOtherWeightsIsRefusedByName) {
  succeed("compress" + kLlama + "--compressor " + import_selfcp() + ids("[20,21,22,23]") +
          " --out " + path("m.safetensors"));
  const std::string made_for =
      SafetensorsFile::open(path("m.safetensors")).metadata().at("model_fingerprint");
  const std::string rest =
      " --memory " + path("m.safetensors") + " --prompt so --raw --max-tokens 2 --dtype float32";
  refuse("generate --model " + kModels + "llama.gguf" + rest, "made for model " + made_for);
  EXPECT_EQ(run("generate" + kLlama + rest).code, 0);
}

TEST_F(BadInput, ADamagedMemoryIsNamed) {
  succeed("compress" + kLlama + "--compressor " + import_selfcp() + ids("[20,21,22,23]") +
          " --out " + path("m.safetensors"));
  cut_end(path("m.safetensors"), 5);
  refuse("generate" + kLlama + "--memory " + path("m.safetensors") + " --prompt so --raw",
         "m.safetensors: tensor \"embeddings\" lies at");
}

// Models

TEST_F(BadInput, DamagedModelsAreRefused) {
  const std::string copy = path("model"), weights = copy + "/model.safetensors";
  fs::copy(kModels + "qwen2", copy, fs::copy_options::recursive);
  const json good = read_json(copy + "/config.json");
  const auto refuse_value =
      [&](const std::string& key, const json& value, const std::string& part) {
        json config = good;
        config[key] = value;
        overwrite(copy + "/config.json", config.dump());
        refuse("info --model " + copy, part);
      };
  refuse_value("model_type", "mamba", "mamba");
  refuse_value("num_hidden_layers", 1, "does not use");
  refuse_value("num_hidden_layers", 50, "is missing");
  refuse_value("intermediate_size", 7, "expected [7");
  refuse_value("hidden_size", -3, "hidden_size");
  refuse_value("rope_theta", "large", "rope_theta");
  overwrite(copy + "/config.json", good.dump());
  succeed("info --model " + copy);
  cut_end(weights, 10);
  refuse("info --model " + copy, "that the file has");
  fs::remove(weights);
  refuse("info --model " + copy, "model.safetensors: cannot be read");
}

// Nothing is left where a command was to write.

TEST_F(BadInput, FailedCompressionLeavesNothing) {
  const std::string out = path("m.safetensors");
  const std::string command =
      "compress" + kLlama + "--compressor " + import_selfcp() + " --out " + out;
  refuse(command, "give --file or --ids");
  refuse(command + " --file " + write("empty.txt", ""), "empty");
  refuse(command + " --file " + write("latin1.txt", "caf\xe9"),
         "latin1.txt: not valid UTF-8 at byte 3");
  refuse(command + " --file " + path("nowhere.txt"), "nowhere.txt");
  refuse(command + ids("[20,320]"), "id 320 is outside the vocabulary");
  refuse(command + ids("[20]") + " --ratio 0.5", "ratio is 0.5");
  refuse(command + ids("[20]") + " --ratio 0", "ratio is 0");
  refuse(command + ids("[20]") + " --segment 513", "a segment of 513");
  refuse(command + ids("[20]") + " --segment 0", "a segment of 0");
  expect_nothing_at(out);
}

TEST_F(BadInput, FailedLogitsLeaveNothing) {
  const std::string out = path("out.safetensors"), tail = " --out " + out;
  refuse("logits" + kLlama + ids("[1,320]") + tail, "id 320 is outside the vocabulary");
  refuse("logits" + kLlama + " --ids " + path("nowhere.json") + tail, "nowhere.json");
  refuse("logits --model " + path("nowhere.gguf") + ids("[1]") + tail, "nowhere.gguf");
  expect_nothing_at(out);
}

// A model that is not there shows that nothing was loaded before.
TEST_F(BadInput, AnOutputThatCannotBeWrittenIsRefusedBeforeTheWork) {
  const std::string input = " --model " + path("nowhere.gguf") + ids("[1,2]") + " --out ";
  write("file", "");
  for (const std::string command : {"logits", "compress --compressor nowhere"}) {
    refuse(command + input + path("nowhere/m.safetensors"),
           "nowhere/m.safetensors: cannot be written: No such file or directory");
    refuse(command + input + path("file/m.safetensors"),
           "file/m.safetensors: cannot be written: Not a directory");
    for (const std::string& out : {path(""), directory.path().string(), std::string("''")})
      refuse(command + input + out, "cannot be written: a file's name was expected");
    refuse(command + input + path("m.safetensors"), "nowhere.gguf");
  }
}

TEST_F(BadInput, BenchKeepsToTheContextLimit) {
  for (const char* tokens : {"0", "497", "9223372036854775807"})
    refuse("bench" + kLlama + "--prefill 8 --runs 1 --decode " + tokens,
           "--decode is " + std::string(tokens) + ", expected 1 to 496");
  refuse("bench" + kLlama + "--prefill 8 --runs 1 --decode 4 --context 512", "expected 1 to 511");
  refuse("bench" + kLlama + "--prefill 8 --runs 1 --decode 4 --context 0", "expected 1 to 511");
  refuse("bench" + kLlama + "--prefill 8 --runs 1 --decode 4 --batch 0", "expected 1 to 1024");
  refuse("bench" + kLlama + "--sweep 8",
         "--sweep and --compressor (or, with --shape, --method) go together");
  refuse("bench --prefill 8", "give --model or --shape");
  refuse("bench --shape llama-3-900b", "llama-3-900b: no such");
  refuse("bench --shape llama-2-13b --sweep 8 --method magic", "method \"magic\" is unknown");
  refuse("bench --shape llama-2-13b --sweep 8", "go together");
  refuse("bench --shape llama-2-13b --prefill 999999", "999999 is outside 1 to 4096");
  refuse("bench --shape llama-2-13b --compressor x --sweep 8", "--compressor");
}

TEST_F(BadInput, AFailedWriteLeavesNoDraft) {
  const std::string out = path("out.safetensors");
  refuse("logits" + kLlama + ids("[1,2,3,4]") + " --out " + out,
         "out.safetensors: cannot be written",
         "trap '' XFSZ; ulimit -f 1; ");
  expect_nothing_at(out);
}

TEST_F(BadInput, AFailedCommandLeavesAnOldFileAlone) {
  const std::string out = write("out.safetensors", "old");
  refuse("logits" + kLlama + ids("[1,320]") + " --out " + out, "320");
  refuse("logits" + kLlama + ids("[1,2,3,4]") + " --out " + out,
         "cannot be written",
         "trap '' XFSZ; ulimit -f 1; ");
  EXPECT_EQ(read_file(out), "old");
}

// Import

class BadImport : public BadInput {
 protected:
  void refuse_import(const std::string& source,
                     const std::string& part,
                     const std::string& flags = "") const {
    refuse("import --from selfcp --base " + kModels + "llama --source " + source + " --out " +
               path("imported") + flags,
           part);
    expect_nothing_at(path("imported"));
  }

  template <typename Damage>
  void refuse_damaged(const Damage& damage, const std::string& part) const {
    TensorFile file(kSelfCp);
    damage(file);
    file.write(path("source.safetensors"));
    refuse_import(path("source.safetensors"), part);
  }
};

TEST_F(BadImport, AMissingKeyIsNamed) {
  for (const std::string name :
       {"connector.weight", "connector.bias", "tag_embedding", "norm.weight", "norm.bias"}) {
    refuse_damaged([&](TensorFile& file) { file.remove(name); }, name + " is missing");
  }
}

TEST_F(BadImport, ASurplusKeyIsNamed) {
  refuse_damaged(
      [](TensorFile& file) {
        file.add({"gist", "F32", {1}, "four"});
      },
      "surplus tensor gist");
}

TEST_F(BadImport, AnotherShapeOrDtypeIsNamed) {
  refuse_damaged(
      [](TensorFile& file) {
        file.at("connector.bias").shape = {2, 16};
      },
      "connector.bias is [2, 16], expected [32]");
  refuse_damaged([](TensorFile& file) { file.at("tag_embedding").dtype = "I32"; },
                 "tag_embedding is I32, expected a floating type");
}

TEST_F(BadImport, ADamagedSourceIsNamed) {
  fs::copy(kSelfCp, path("source.safetensors"));
  cut_end(path("source.safetensors"), 10);
  refuse_import(path("source.safetensors"), "that the file has");
  refuse_import(path("nowhere.safetensors"), "nowhere.safetensors: cannot be read");
}

TEST_F(BadImport, SettingsThatCannotBeAreNamed) {
  refuse_import(kSelfCp, "separator 5000", " --separator 5000");
  refuse_import(kSelfCp, "ratio is 0.5", " --ratio 0.5");
  refuse_import(kSelfCp, "ratio is nan", " --ratio nan");
  refuse_import(kSelfCp, "max_segment is 0", " --max-segment 0");
  refuse_import(kSelfCp, "--separator is -2", " --separator -2");
  refuse_import(kSelfCp, "--alpha is of icae, not of selfcp", " --alpha 16");
  refuse_import(kSelfCp, "--no-input is of gisting", " --no-input");
  refuse("import --from nothing --source " + kSelfCp + " --base " + kModels + "llama --out " +
             path("imported"),
         "\"nothing\" is unknown");
  expect_nothing_at(path("imported"));
}

TEST_F(BadImport, AFileInTheWayIsNamedAndKept) {
  refuse("import --from selfcp --source " + kSelfCp + " --base " + kModels + "llama --out " +
             write("imported", "mine"),
         "imported");
  EXPECT_EQ(read_file(path("imported")), "mine");
}

// Training

class BadTraining : public BadInput {
 protected:
  void refuse_training(const std::string& flags, const std::string& part) const {
    refuse(training() + flags, part);
    expect_nothing_at(path("trained"));
  }
  void refuse_data(const std::string& data, const std::string& part) const {
    refuse("train --method selfcp" + kLlama + "--data " + write("bad.jsonl", data) + " --out " +
               path("trained"),
           part);
    expect_nothing_at(path("trained"));
  }

  // After a run of two steps, `damage` being done to the tensors of its checkpoint.
  template <typename Damage>
  void refuse_checkpoint(const Damage& damage, const std::string& part) const {
    fs::remove_all(path("trained"));
    succeed(training() + " --steps 2");
    const std::string compressor = read_file(path("trained") + "/compressor.safetensors");
    damage_tensors(path("trained") + "/checkpoint.safetensors", damage);
    refuse(training() + " --steps 2", part);
    EXPECT_EQ(read_file(path("trained") + "/compressor.safetensors"), compressor);
  }
};

TEST_F(BadTraining, OptionsThatCannotBeLeaveNothing) {
  refuse_training(" --steps 0", "steps is 0");
  refuse_training(" --ratio 0.5", "ratio is 0.5");
  refuse_training(" --ratios 4,0.5", "ratio is 0.5");
  refuse_training(" --max-segment 0", "max_segment is 0");
  refuse_training(" --separator 320", "id 320 is outside the model's vocabulary of 320");
  refuse_training(" --learning-rate nan", "learning_rate is nan");
}

TEST_F(BadTraining, LengthsThatCannotBeLeaveNothing) {
  refuse("train --method selfcp" + kLlama + "--data " +
             write("short.jsonl", "{\"text\":\"too short\"}\n") + " --out " + path("trained"),
         "no text has");
  expect_nothing_at(path("trained"));
}

TEST_F(BadTraining, DataThatIsNoneLeavesNothing) {
  refuse_data("", "holds no text");
  refuse_data("\n \n", "holds no text");
  refuse_data("{\"text\":\"a\"}\n{\"title\":\"b\"}\n", "line 2");
  refuse_data("{\"text\":\"a\"}\n{\"text\":\"b\"\n", "line 2");
  refuse_data("{\"text\":\"a\"}\n{\"text\":\"\"}\n", "line 2: \"text\" is empty");
  refuse("train --method selfcp" + kLlama + "--data " + path("nowhere.jsonl") + " --out " +
             path("trained"),
         "nowhere.jsonl");
  expect_nothing_at(path("trained"));
}

TEST_F(BadTraining, AnUnknownMethodIsNamed) {
  refuse("train --method magic" + kLlama + "--data " + write("data.jsonl", "{\"text\":\"a\"}\n") +
             " --out " + path("trained"),
         "\"magic\"");
  expect_nothing_at(path("trained"));
}

TEST_F(BadTraining, AnOddWidthHasNoHeadsForIcFormer) {
  TensorMap tensors = random_llama(320, 1);
  for (auto& [name, tensor] : tensors) {
    const bool rows = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    tensor = at::cat({tensor, tensor.narrow(rows ? 0 : -1, 0, 1)}, rows ? 0 : -1);
  }
  write_llama(path("odd"), tensors, kModels + "llama");
  damage_json(path("odd") + "/config.json", [](json& config) {
    config["hidden_size"] = kTinyHidden + 1;
    config["head_dim"] = kTinyHeadDim;
  });
  succeed("info --model " + path("odd"));
  refuse("train --method ic-former --model " + path("odd") + " --data " +
             write("data.jsonl", "{\"text\":\"a\"}\n") + " --out " + path("trained"),
         "divides the width of 33 into even parts");
  expect_nothing_at(path("trained"));
}

TEST_F(BadTraining, ATruncatedCheckpointIsNamed) {
  succeed(training() + " --steps 2");
  cut_end(path("trained") + "/checkpoint.safetensors", 10);
  refuse(training() + " --steps 2", "checkpoint.safetensors: tensor");
  refuse(training() + " --steps 4", "checkpoint.safetensors: tensor");
  overwrite(path("trained") + "/checkpoint.safetensors", "");
  refuse(training() + " --steps 4", "checkpoint.safetensors: 0 bytes");
}

TEST_F(BadTraining, ACheckpointOfAnotherSeparatorIsRefused) {
  succeed(training() + " --steps 2 --separator 3");
  refuse(training() + " --steps 2 --separator 4",
         "checkpoint.safetensors: made with other options");
}

TEST_F(BadTraining, ACheckpointOfMoreStepsIsRefused) {
  succeed(training() + " --steps 2");
  refuse(training() + " --steps 4",
         "checkpoint.safetensors: made with other options (steps 2, now 4); use the same options");
}

TEST_F(BadTraining, ACheckpointOfAnotherMethodOrModelIsRefused) {
  const std::string arguments = training() + " --steps 2";
  succeed(arguments);
  const std::string checkpoint = read_file(path("trained/checkpoint.safetensors"));
  const auto with = [&](const std::string& old, const std::string& other) {
    return std::string(arguments).replace(arguments.find(old), old.size(), other);
  };
  refuse(with("--method selfcp", "--method icae"), "method \"selfcp\", now \"icae\"");
  write_llama(path("other"), random_llama(320, 1), kModels + "llama");
  refuse(with(kModels + "llama", path("other")), "; model \"");
  EXPECT_EQ(read_file(path("trained/checkpoint.safetensors")), checkpoint);
}

TEST_F(BadTraining, NumbersThatAreNotFiniteStopTheRun) {
  refuse(training() + " --steps 4 --warmup 0 --learning-rate 1e30",
         "training: step 2 has a loss of ");
}

TEST_F(BadTraining, ACheckpointThatIsNoneIsNamed) {
  refuse_checkpoint([](TensorFile& file) { file.metadata.clear(); },
                    "checkpoint.safetensors: not a checkpoint");
  refuse_checkpoint([](TensorFile& file) { file.metadata["step"] = "two"; },
                    "checkpoint.safetensors: not a checkpoint");
}

TEST_F(BadTraining, ACheckpointOfOtherTensorsIsNamed) {
  refuse_checkpoint([](TensorFile& file) { file.remove("connector.bias.second_moment"); },
                    "connector.bias.second_moment is missing");
  refuse_checkpoint(
      [](TensorFile& file) {
        file.at("tag_embedding").shape = {2, 16};
      },
      "tensor tag_embedding is");
}

}  // namespace
}  // namespace precis
