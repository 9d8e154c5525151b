// SPDX-License-Identifier: Apache-2.0
// The messages of `precis train`: progress without a terminal, and the summary at the end.
#include "cli_fixture.h"

namespace precis {
namespace {

using nlohmann::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class TrainingSummary : public CliTest {
 protected:
  Result train(const std::string& flags) const {
    const Result result = run(training() + flags, "OMP_NUM_THREADS=1 ");
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
};

TEST_F(TrainingSummary, AFinishedRunReportsItsLosses) {
  const Result result = train(" --steps 4");
  const json out = json::parse(result.out);
  EXPECT_EQ(out.at("steps"), 4);
  EXPECT_EQ(out.at("finished"), true);
  EXPECT_GT(out.at("loss"), 0);
  EXPECT_GT(out.at("last_loss"), 0);
  EXPECT_FALSE(out.contains("validation_loss"));
  EXPECT_THAT(result.err,
              HasSubstr("precis: training ended with step 4 of 4: finished; --start-from " +
                        path("trained") + " trains its compressor further\n"));
  EXPECT_THAT(result.err,
              ContainsRegex("precis: loss [0-9.]+ in the last step, [0-9.]+ as a running average"));
  EXPECT_THAT(result.err, HasSubstr("nats per predicted token"));
}

TEST_F(TrainingSummary, RemainingTimeIsEstimatedAfterTheFirstStep) {
  EXPECT_THAT(train(" --steps 4").err,
              ContainsRegex("precis: training 25% [0-9]+:[0-9:]+ left step 1 loss [0-9.]+, "));
}

TEST_F(TrainingSummary, AnUnfinishedRunSaysHowToResume) {
  const Result first = train(" --steps 3 --minutes 1e-9");
  EXPECT_EQ(json::parse(first.out).at("steps"), 1);
  EXPECT_EQ(json::parse(first.out).at("finished"), false);
  EXPECT_THAT(first.err,
              HasSubstr("ended with step 1 of 3: unfinished; the same command resumes from the "
                        "checkpoint in " +
                        path("trained")));
  const Result rest = train(" --steps 3");
  EXPECT_EQ(json::parse(rest.out).at("finished"), true);
  // Step 2 of 3 is 66 %.
  EXPECT_THAT(rest.err, ContainsRegex("precis: training 66% [0-9:]+ left step 2 loss "));
}

TEST_F(TrainingSummary, ARunWithNoStepsLeftHasNoLosses) {
  train(" --steps 2");
  const Result again = train(" --steps 2");
  EXPECT_EQ(json::parse(again.out).at("finished"), true);
  EXPECT_FALSE(json::parse(again.out).contains("loss"));
  EXPECT_THAT(again.err, HasSubstr("finished"));
  EXPECT_THAT(again.err, Not(HasSubstr("loss")));
}

TEST_F(TrainingSummary, ARunEndedByStopAfterSaysSo) {
  const Result result = train(" --steps 4 --stop-after 2");
  EXPECT_EQ(json::parse(result.out).at("finished"), true);
  EXPECT_THAT(result.err, HasSubstr("ended with step 2 of 4, as set by --stop-after"));
}

TEST_F(TrainingSummary, ValidationIsReported) {
  const std::string texts =
      write("held_out.jsonl",
            R"({"text": "the town and its water and more of the same kind and yet more of it"})");
  const Result result = train(" --steps 4 --validation " + texts);
  EXPECT_GT(json::parse(result.out).at("validation_loss"), 0);
  EXPECT_THAT(result.err,
              HasSubstr(" on the validation data after step 4; the compressor of the lowest is "
                        "kept in " +
                        path("trained/best")));
}

TEST_F(TrainingSummary, EmbeddingStepsHaveAUnitOfTheirOwn) {
  EXPECT_THAT(train(" --steps 2 --embedding-steps 2").err,
              HasSubstr("in units of the variance of the model's embeddings"));
}

// By default a batch of 10 is read in 5 passes, as its checkpoint records.
TEST_F(TrainingSummary, ALargeBatchIsReadInSeveralPasses) {
  std::string command = training() + " --steps 2";
  command.replace(command.find("--batch 2"), 9, "--batch 10");
  ASSERT_EQ(run(command).code, 0);
  refuse(command + " --accumulate 1", "(accumulate 5, now 1)");
}

}  // namespace
}  // namespace precis
