// SPDX-License-Identifier: Apache-2.0
// Calls on files that fail at any moment of a load, of writing a memory, a bank, a step of
// training: what stood there or the new content is there afterwards, and no draft of it.
#include "failures/failures_fixture.h"

namespace precis::failures {
namespace {

class FailingFiles : public FailuresTest {};

TEST_F(FailingFiles, InALoad) {
  sweep(
      Layer::kFiles, [] { load(); }, [] {});
}

TEST_F(FailingFiles, InAMemoryFileThatIsReplaced) { sweep_a_replaced_memory(Layer::kFiles); }

TEST_F(FailingFiles, InABankThatIsReplaced) {
  const Memory first = soft_memory({{1, 2}, {3, 4}}), second = soft_memory({{5, 6}});
  MemoryBank before, after;
  before.add("first", first);
  after.add("first", first);
  after.add("second", second);
  const auto bank = directory_ / "bank";
  sweep(
      Layer::kFiles,
      [&] {
        after.save(bank);
        MemoryBank::load(bank);
      },
      [&] {
        const int64_t found = MemoryBank::load(bank).size();
        EXPECT_TRUE(found == before.size() || found == after.size()) << found;
        expect_no_drafts(directory_.path());
        std::filesystem::remove_all(bank);
        before.save(bank);
      });
}

// Whatever fails, the same command goes on to the end the next time.
TEST_F(FailingFiles, InTwoStepsOfTraining) {
  const auto decoder = load_decoder(model(), at::kFloat);
  const auto tokenizer = load_tokenizer(model());
  const TokenDataset dataset = TokenDataset::read(data(), *tokenizer);
  const auto out = directory_ / "out";
  sweep(
      Layer::kFiles,
      [&] {
        std::filesystem::remove_all(out);
        train_two_steps(*decoder, dataset, out);
      },
      [&] {
        expect_no_drafts(directory_.path());
        train_two_steps(*decoder, dataset, out);
        load_compressor(out, *decoder);
      });
}

}  // namespace
}  // namespace precis::failures
