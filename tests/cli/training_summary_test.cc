// SPDX-License-Identifier: Apache-2.0
// What `precis train` says of a run: while it goes, where there is no terminal, and at its end.
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

TEST_F(TrainingSummary, AFinishedRunSaysSoAndWhatItsLossesAre) {
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
              ContainsRegex("precis: loss [0-9.]+ in the last step, [0-9.]+ on average"));
  EXPECT_THAT(result.err, HasSubstr("nats per predicted token"));
}

TEST_F(TrainingSummary, TheTimeThatIsLeftIsEstimatedAfterTheFirstStep) {
  EXPECT_THAT(train(" --steps 4").err,
              ContainsRegex("precis: training 25% [0-9]+:[0-9:]+ left step 1 loss [0-9.]+, "));
}

TEST_F(TrainingSummary, AnUnfinishedRunSaysHowToGoOn) {
  const Result first = train(" --steps 3 --minutes 1e-9");
  EXPECT_EQ(json::parse(first.out).at("steps"), 1);
  EXPECT_EQ(json::parse(first.out).at("finished"), false);
  EXPECT_THAT(first.err,
              HasSubstr("ended with step 1 of 3: unfinished; the same command goes on from the "
                        "checkpoint in " +
                        path("trained")));
  const Result rest = train(" --steps 3");
  EXPECT_EQ(json::parse(rest.out).at("finished"), true);
  // Two of three steps were left: the first of them is two thirds of the way.
  EXPECT_THAT(rest.err, ContainsRegex("precis: training 66% [0-9:]+ left step 2 loss "));
}

TEST_F(TrainingSummary, ARunThatWasFinishedHasNoLosses) {
  train(" --steps 2");
  const Result again = train(" --steps 2");
  EXPECT_EQ(json::parse(again.out).at("finished"), true);
  EXPECT_FALSE(json::parse(again.out).contains("loss"));
  EXPECT_THAT(again.err, HasSubstr("finished"));
  EXPECT_THAT(again.err, Not(HasSubstr("loss")));
}

TEST_F(TrainingSummary, ARunThatWasToStopSaysSo) {
  const Result result = train(" --steps 4 --stop-after 2");
  EXPECT_EQ(json::parse(result.out).at("finished"), true);
  EXPECT_THAT(result.err, HasSubstr("ended with step 2 of 4, as --stop-after says"));
}

TEST_F(TrainingSummary, ValidationIsTold) {
  const std::string texts =
      write("held_out.jsonl",
            R"({"text": "the town and its water and more of the same kind and yet more of it"})");
  const Result result = train(" --steps 4 --validation " + texts);
  EXPECT_GT(json::parse(result.out).at("validation_loss"), 0);
  EXPECT_THAT(result.err,
              HasSubstr(" on the validation texts at step 4; the lowest of these is kept in " +
                        path("trained/best")));
}

TEST_F(TrainingSummary, RowsThatLearnToBeEmbeddingsHaveLossesOfTheirOwn) {
  EXPECT_THAT(train(" --steps 2 --embedding-steps 2").err, HasSubstr("variances of the model's"));
}

// The checkpoint remembers: a batch of 10 is read in 5 passes of 2 where nobody says otherwise.
TEST_F(TrainingSummary, AWholeBatchIsNotReadAtOnce) {
  std::string command = training() + " --steps 2";
  command.replace(command.find("--batch 2"), 9, "--batch 10");
  ASSERT_EQ(run(command).code, 0);
  refuse(command + " --accumulate 1", "(accumulate 5, now 1)");
}

}  // namespace
}  // namespace precis
