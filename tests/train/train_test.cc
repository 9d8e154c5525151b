// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "compressors/selfcp/selfcp.h"
#include "io/json_file.h"
#include "io/safetensors.h"
#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"
#include "support/temporary_directory.h"
#include "train/language_model_loss.h"
#include "train/trainer.h"

namespace precis {
namespace {

const std::filesystem::path kModel =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

class Training : public testing::Test {
 protected:
  Training() {
    at::set_num_threads(1);  // products this small only wait for each other
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(kModel, at::kFloat);
    tokenizer = load_tokenizer(kModel);
    std::ofstream out(directory / "data.jsonl");
    for (int i = 0; i < 8; ++i) {
      std::string text;
      for (int word = 0; word < 60; ++word)
        text += " word" + std::to_string((i * 17 + word * word) % 23);
      out << nlohmann::json{{"text", text}}.dump() << "\n";
    }
  }

  std::unique_ptr<Compressor> fresh() const {
    const c10::NoGradGuard no_grad;
    SelfCpConfig config;
    config.ratio = 4;
    return create_selfcp(config, *decoder);
  }

  template <typename Make>
  std::unique_ptr<Compressor> small(Make make) const {
    const c10::NoGradGuard no_grad;
    return make(*decoder);
  }

  static TrainerOptions few_steps(int64_t steps) {
    TrainerOptions options;
    options.steps = steps;
    options.batch = 4;
    options.examples.lengths = {8, 24, 12};
    options.learning_rate = 0.02;
    options.warmup_steps = 2;
    options.checkpoint_every = 3;
    options.chained_share = 0.3;
    return options;
  }

  std::vector<double> losses(const std::filesystem::path& out,
                             const TrainerOptions& options,
                             int64_t stop_after = 1000) {
    const TokenDataset data = TokenDataset::read(directory / "data.jsonl", *tokenizer);
    std::vector<double> seen;
    const auto compressor = fresh();
    train(*compressor, *decoder, {data}, options, out, [&](const TrainingStep& step) {
      seen.push_back(step.loss);
      return step.step < stop_after;
    });
    return seen;
  }

  // A step read in one pass has the loss and the gradient of one read in a pass for each example.
  template <typename Make>
  void expect_passes_change_nothing(const TokenDataset& data,
                                    TrainerOptions options,
                                    Make make) const {
    options.chained_share = 0;
    const TemporaryDirectory out;
    const auto first_step = [&](int64_t passes) {
      options.accumulate = passes;
      const auto compressor = small(make);
      TrainingStep first;
      const auto keep = [&](const TrainingStep& step) {
        first = step;
        return true;
      };
      train(*compressor, *decoder, {data}, options, out / std::to_string(passes), keep);
      return first;
    };
    const TrainingStep whole = first_step(1), parts = first_step(options.batch);
    EXPECT_NEAR(parts.loss, whole.loss, 1e-5 * whole.loss);
    EXPECT_NEAR(parts.gradient_norm, whole.gradient_norm, 1e-4 * whole.gradient_norm);
  }

  // Each step once and in order.
  static void expect_logged(const std::filesystem::path& out, int64_t steps) {
    std::ifstream log(out / "log.jsonl");
    int64_t expected = 1;
    for (std::string line; std::getline(log, line); ++expected) {
      EXPECT_EQ(nlohmann::json::parse(line).at("step"), expected);
    }
    EXPECT_EQ(expected, steps + 1);
  }

  TemporaryDirectory directory;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Tokenizer> tokenizer;
};

TEST_F(Training, LowersTheLoss) {
  const auto seen = losses(directory / "out", few_steps(40));
  const double first = (seen[0] + seen[1] + seen[2]) / 3,
               last = (seen[37] + seen[38] + seen[39]) / 3;
  EXPECT_LT(last, 0.8 * first);
}

TEST_F(Training, AnInterruptedRunResumesWithTheSameLosses) {
  const auto whole = losses(directory / "whole", few_steps(9));
  auto resumed = losses(directory / "parts", few_steps(9), 5);
  for (const double loss : losses(directory / "parts", few_steps(9))) resumed.push_back(loss);
  ASSERT_EQ(resumed.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_DOUBLE_EQ(resumed[i], whole[i]) << i;
}

// Killed between two checkpoints: steps 4 and 5 are taken again.
TEST_F(Training, AKilledRunResumesFromItsLastCheckpoint) {
  const auto whole = losses(directory / "whole", few_steps(9));
  {
    const TokenDataset data = TokenDataset::read(directory / "data.jsonl", *tokenizer);
    const auto compressor = fresh();
    const auto die = [](const TrainingStep& step) -> bool {
      if (step.step == 5) throw std::runtime_error("killed");
      return true;
    };
    EXPECT_THROW(train(*compressor, *decoder, {data}, few_steps(9), directory / "killed", die),
                 std::runtime_error);
  }
  const auto resumed = losses(directory / "killed", few_steps(9));
  ASSERT_EQ(resumed.size(), 6);
  for (size_t i = 0; i < resumed.size(); ++i) EXPECT_DOUBLE_EQ(resumed[i], whole[i + 3]) << i;
  expect_logged(directory / "killed", 9);
}

TEST_F(Training, ACheckpointOfOtherDataIsRefused) {
  losses(directory / "out", few_steps(3));
  std::ofstream(directory / "data.jsonl", std::ios::app)
      << nlohmann::json{{"text", std::string(200, 'x')}}.dump() << "\n";
  expect_error(ErrorKind::kInvalidArgument, "other options", [&] {
    losses(directory / "out", few_steps(3));
  });
}

TEST_F(Training, ACheckpointOfOtherOptionsIsRefused) {
  losses(directory / "out", few_steps(3));
  TrainerOptions other = few_steps(6);
  other.learning_rate = 0.5;
  expect_error(
      ErrorKind::kInvalidArgument, "other options", [&] { losses(directory / "out", other); });
}

TEST_F(Training, LeavesTheFrozenModelWithoutGradients) {
  const auto compressor = fresh();
  for (const NamedTensor& named : compressor->parameters()) named.tensor.requires_grad_(true);
  const TrainingExample example{{{5, 6, 7, 8, 9, 10, 11, 12}, nullptr}, {13, 14, 15}};
  const at::Tensor before = decoder->embed(at::arange(20)).clone();
  cross_entropy(*decoder, predict(*decoder, *compressor, {&example, 1}, {}), /*backward=*/true);
  EXPECT_FALSE(decoder->embed(at::arange(20)).requires_grad());
  EXPECT_TRUE(at::equal(before, decoder->embed(at::arange(20))));
  for (const NamedTensor& named : compressor->parameters())
    EXPECT_TRUE(named.tensor.grad().defined()) << named.name;
}

// Gradient accumulation and recomputation change results by rounding only.
TEST_F(Training, AccumulatingAndRecomputingGiveTheSameLosses) {
  TrainerOptions options = few_steps(4);
  options.chained_share = 0;
  const auto plain = losses(directory / "plain", options);
  options.accumulate = 2;
  const auto accumulated = losses(directory / "accumulated", options);
  options.accumulate = 1;
  options.recompute = true;
  const auto recomputed = losses(directory / "recomputed", options);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(accumulated[i], plain[i], 1e-3 * plain[i]) << i;
    EXPECT_NEAR(recomputed[i], plain[i], 1e-3 * plain[i]) << i;
  }
  options.accumulate = 3;
  expect_error(
      ErrorKind::kInvalidArgument, "accumulate", [&] { losses(directory / "uneven", options); });
}

// Parameters are in float32 even if the model is in bfloat16, which would round small steps away.
TEST_F(Training, ABFloat16ModelIsTrainedInFloat32) {
  {
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(kModel, at::kBFloat16);
  }
  const auto seen = losses(directory / "out", few_steps(30));
  EXPECT_LT((seen[27] + seen[28] + seen[29]) / 3, 0.9 * (seen[0] + seen[1] + seen[2]) / 3);
  const auto compressor = fresh();
  for (const NamedTensor& named : compressor->parameters())
    EXPECT_EQ(named.tensor.scalar_type(), at::kFloat) << named.name;
}

TEST_F(Training, WritesALogLineForEachStep) {
  losses(directory / "out", few_steps(4));
  expect_logged(directory / "out", 4);
}

// Half of the examples are autoencoded: the AE embedding is updated in some steps only, which the
// checkpoint records.
TEST_F(Training, AnInterruptedRunOfTwoObjectivesResumesWithTheSameLosses) {
  TrainerOptions options = few_steps(9);
  options.chained_share = 0;
  options.batch = 1;
  options.examples.objectives = {.autoencode = 1, .continuation = 1};
  options.examples.end_id = 2;
  const TokenDataset data = TokenDataset::read(directory / "data.jsonl", *tokenizer);
  const auto run = [&](const char* out, int64_t stop_after) {
    const auto compressor = small(make_small_icae);
    std::vector<double> seen;
    train(*compressor, *decoder, {data}, options, directory / out, [&](const TrainingStep& step) {
      seen.push_back(step.loss);
      return step.step < stop_after;
    });
    return seen;
  };
  const auto whole = run("whole", 1000);
  auto resumed = run("parts", 4);
  for (const double loss : run("parts", 1000)) resumed.push_back(loss);
  ASSERT_EQ(resumed.size(), 9);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_DOUBLE_EQ(resumed[i], whole[i]) << i;
}

TEST_F(Training, RefusesOptionsThatTheMethodDoesNotSupport) {
  const TokenDataset data = TokenDataset::read(directory / "data.jsonl", *tokenizer);
  const auto refuse = [&](auto make, ErrorKind kind, const char* what, auto change) {
    TrainerOptions options = few_steps(3);
    options.chained_share = 0;
    change(options);
    const auto compressor = small(make);
    expect_error(
        kind, what, [&] { train(*compressor, *decoder, {data}, options, directory / "refused"); });
    EXPECT_FALSE(std::filesystem::exists(directory / "refused"));
  };
  refuse(make_small_icae,
         ErrorKind::kInvalidArgument,
         "icae has a fixed ratio",
         [](TrainerOptions& o) {
           o.ratios = {4, 8};
         });
  refuse(make_small_ic_former,
         ErrorKind::kInvalidArgument,
         "ic_former does not chain",
         [](TrainerOptions& o) { o.chained_share = 0.5; });
  refuse(make_small_gisting,
         ErrorKind::kInvalidArgument,
         "gisting takes 120 tokens",
         [](TrainerOptions& o) { o.examples.lengths.max_older = 121; });
  refuse(make_small_selfcp, ErrorKind::kUnsupported, "say a text again", [](TrainerOptions& o) {
    o.examples.objectives.autoencode = 0.5;
  });
  refuse(make_small_icae, ErrorKind::kInvalidArgument, "a weight of -1", [](TrainerOptions& o) {
    o.examples.objectives.autoencode = -1;
  });
}

TEST_F(Training, ARunKilledBeforeItsCompressorWasWrittenWritesIt) {
  losses(directory / "out", few_steps(3));
  std::filesystem::remove(directory / "out" / "compressor.json");
  EXPECT_TRUE(losses(directory / "out", few_steps(3)).empty());
  EXPECT_TRUE(std::filesystem::exists(directory / "out" / "compressor.json"));
}

TEST_F(Training, ACompressorOfAnotherRunIsNotOverwritten) {
  fresh()->save(directory / "out");
  const std::string before = read_file(directory / "out" / "compressor.json");
  expect_error(ErrorKind::kInvalidArgument, "use another directory", [&] {
    losses(directory / "out", few_steps(3));
  });
  EXPECT_EQ(read_file(directory / "out" / "compressor.json"), before);
}

TEST_F(Training, ALogOfAnotherProgramIsNotCut) {
  std::filesystem::create_directory(directory / "out");
  for (const char* line :
       {"{\"step\": null}", "{\"event\": 3}", "{\"step\": 10, \"loss\": 2.1}", "[1]"}) {
    std::ofstream(directory / "out" / "log.jsonl") << line << "\n";
    expect_error(ErrorKind::kInvalidArgument, "use another directory", [&] {
      losses(directory / "out", few_steps(3));
    });
    EXPECT_EQ(read_file(directory / "out" / "log.jsonl"), std::string(line) + "\n");
  }
}

// The window has 512 positions; texts of 600 tokens and more are there.
TEST_F(Training, RefusesExamplesOverTheContextBeforeTheFirstStep) {
  std::string text;
  for (int word = 0; word < 600; ++word) text += " word";
  std::ofstream(directory / "data.jsonl", std::ios::app)
      << nlohmann::json{{"text", text}}.dump() << "\n";
  TrainerOptions options = few_steps(3);
  options.examples.lengths = {8, 24, decoder->config().context_length};
  expect_error(ErrorKind::kInvalidArgument, "", [&] { losses(directory / "out", options); });
  EXPECT_FALSE(std::filesystem::exists(directory / "out" / "log.jsonl"));
  options.examples.lengths = {8, 24, INT64_MAX};
  expect_error(
      ErrorKind::kInvalidArgument, "are out of range", [&] { losses(directory / "out", options); });
}

// With answers of different lengths the loss is the mean over tokens, not over passes.
TEST_F(Training, PassesAreWeighedByTheirTokens) {
  std::ofstream out(directory / "answers.jsonl");
  for (const char* answer : {"a", "the town and its water and the river behind it"}) {
    out << nlohmann::json{{"context", "a boat"}, {"prompt", "what?"}, {"answer", answer}}.dump()
        << "\n";
  }
  out.close();
  const TokenDataset data = TokenDataset::read(directory / "answers.jsonl", *tokenizer);
  TrainerOptions options = few_steps(1);
  options.examples.objectives = {.continuation = 0, .instruct = 1};
  expect_passes_change_nothing(data, options, make_small_icae);
  expect_passes_change_nothing(data, options, make_small_gisting);
}

// Behind a gist without kept text the first target is read, not predicted; behind a question all
// are: passes differ in how many of their targets they predict.
TEST_F(Training, PassesAreWeighedByWhatTheyPredict) {
  std::ofstream(directory / "data.jsonl", std::ios::app)
      << nlohmann::json{{"context", "a boat"}, {"prompt", "what?"}, {"answer", "the town"}}.dump()
      << "\n";
  const TokenDataset data = TokenDataset::read(directory / "data.jsonl", *tokenizer);
  TrainerOptions options = few_steps(1);
  options.batch = 8;
  options.examples.lengths = {.min_older = 8, .max_older = 24, .target = 3};
  options.examples.objectives = {.continuation = 1, .instruct = 1};
  expect_passes_change_nothing(data, options, make_small_gisting);
}

TEST_F(Training, ARunThatStopsEarlyCanBeResumed) {
  const auto whole = losses(directory / "whole", few_steps(9));
  TrainerOptions early = few_steps(9);
  early.stop_after = 4;
  auto taken = losses(directory / "early", early);
  ASSERT_EQ(taken.size(), 4u);
  EXPECT_TRUE(losses(directory / "early", early).empty());
  for (const double loss : losses(directory / "early", few_steps(9))) taken.push_back(loss);
  EXPECT_EQ(taken, whole);
  early.stop_after = 10;
  expect_error(
      ErrorKind::kInvalidArgument, "stop_after", [&] { losses(directory / "other", early); });
}

TEST_F(Training, NumbersThatAreNotFiniteStopARunAndTheCheckpointStays) {
  TrainerOptions options = few_steps(9);
  options.checkpoint_every = 1;
  options.learning_rate = 1e30;
  expect_error(ErrorKind::kInvalidArgument, "try a smaller learning rate", [&] {
    losses(directory / "out", options);
  });
  const SafetensorsFile kept = SafetensorsFile::open(directory / "out" / "checkpoint.safetensors");
  EXPECT_EQ(kept.metadata().at("step"), "1");
  for (const StoredTensor& stored : kept.tensors())
    if (stored.dtype == "F32") {
      EXPECT_TRUE(at::isfinite(to_tensor(stored)).all().item<bool>()) << stored.name;
    }
}

// An incomplete line is accepted at the end only.
TEST_F(Training, ADamagedLogIsNamed) {
  losses(directory / "out", few_steps(3));
  const std::string log = read_file(directory / "out" / "log.jsonl");
  std::ofstream(directory / "out" / "log.jsonl") << log.substr(0, 9) << "\n" << log;
  expect_error(
      ErrorKind::kInvalidArgument, "log.jsonl", [&] { losses(directory / "out", few_steps(3)); });
}

// Temporary files of runs that were killed while writing.
TEST_F(Training, DraftsOfKilledRunsAreRemoved) {
  losses(directory / "out", few_steps(3));
  std::filesystem::create_directories(directory / "out" / "best");
  const std::filesystem::path drafts[] = {directory / "out" / ".precis-1a2b.part",
                                          directory / "out" / "best" / ".precis-3c4d.part"};
  for (const std::filesystem::path& draft : drafts) std::ofstream(draft) << "half a checkpoint";
  std::ofstream(directory / "out" / "mine.part") << "another's";
  losses(directory / "out", few_steps(3));
  for (const std::filesystem::path& draft : drafts) EXPECT_FALSE(std::filesystem::exists(draft));
  EXPECT_TRUE(std::filesystem::exists(directory / "out" / "mine.part"));
}

// Validation examples are checked before the first step.
TEST_F(Training, ValidationThatDoesNotFitIsRefusedAtOnce) {
  std::ofstream out(directory / "long.jsonl");
  std::string answer;
  for (int word = 0; word < 700; ++word) answer += " word";
  for (const std::string& said : {std::string("short"), answer})
    out << nlohmann::json{{"context", "a boat"}, {"prompt", "what?"}, {"answer", said}}.dump()
        << "\n";
  out.close();
  std::ofstream(directory / "short.jsonl")
      << nlohmann::json{{"context", "a boat"}, {"prompt", "what?"}, {"answer", "boat"}}.dump()
      << "\n";
  const TokenDataset data = TokenDataset::read(directory / "short.jsonl", *tokenizer);
  const TokenDataset validation = TokenDataset::read(directory / "long.jsonl", *tokenizer);
  TrainerOptions options = few_steps(3);
  options.chained_share = 0;
  options.validate_every = 1;
  options.examples.objectives = {.continuation = 0, .instruct = 1};
  const auto compressor = small(make_small_icae);
  expect_error(ErrorKind::kInvalidArgument, "", [&] {
    train(*compressor, *decoder, {data, &validation}, options, directory / "out");
  });
  EXPECT_FALSE(std::filesystem::exists(directory / "out" / "log.jsonl"));
}

TEST_F(Training, NamesTheLineWithoutAText) {
  std::ofstream(directory / "bad.jsonl") << "{\"text\":\"a\"}\n\n{\"title\":\"b\"}\n";
  expect_error(ErrorKind::kInvalidArgument, "line 3", [&] {
    TokenDataset::read(directory / "bad.jsonl", *tokenizer);
  });
}

TEST_F(Training, RefusesOptionsAndDataOutOfRange) {
  TrainerOptions options = few_steps(3);
  options.examples.lengths = {500, 600, 500};
  expect_error(
      ErrorKind::kInvalidArgument, "no text has", [&] { losses(directory / "out", options); });
  options = few_steps(0);
  expect_error(ErrorKind::kInvalidArgument, "steps", [&] { losses(directory / "out", options); });
}

}  // namespace
}  // namespace precis
