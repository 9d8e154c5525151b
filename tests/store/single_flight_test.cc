// SPDX-License-Identifier: Apache-2.0
#include "store/single_flight.h"

#include <future>
#include <stdexcept>
#include <thread>

#include "store/store_fixture.h"

namespace precis {
namespace {

const EntryKey kKey{"tenant", "id"};

// Calls run() in threads of its own, until the test lets the work end.
class SingleFlightTest : public testing::Test {
 protected:
  using Outcome = std::future<StoreResult>;

  Outcome start(const SingleFlight::Work& work) {
    return std::async(std::launch::async, [this, work] { return flights.run(kKey, work); });
  }
  // A call whose work waits for `released`.
  Outcome lead(const SingleFlight::Work& end = [] { return StoreResult{numbered_memory(1)}; }) {
    const auto begun = std::make_shared<std::promise<void>>();
    Outcome outcome = start([this, end, begun] {
      begun->set_value();
      released.get_future().wait();
      return end();
    });
    begun->get_future().wait();
    return outcome;
  }
  void wait_for_joined(int64_t count) const {
    while (flights.joined() < count) std::this_thread::yield();
  }
  static StoreResult never() {
    ADD_FAILURE() << "made twice";
    return {numbered_memory(0)};
  }

  SingleFlight flights;
  std::promise<void> released;
};

TEST_F(SingleFlightTest, OthersGetTheResultOfTheFirst) {
  Outcome first = lead();
  std::vector<Outcome> others;
  for (int i = 0; i < 5; ++i) others.push_back(start(never));
  wait_for_joined(5);
  released.set_value();
  EXPECT_FALSE(first.get().cached);
  for (Outcome& other : others) {
    const StoreResult result = other.get();
    EXPECT_TRUE(result.cached);
    EXPECT_EQ(result.memory.content_hash(), numbered_memory(1).content_hash());
  }
}

TEST_F(SingleFlightTest, OthersGetTheErrorOfTheFirst) {
  Outcome first =
      lead([]() -> StoreResult { throw Error(ErrorKind::kInvalidArgument, "too long"); });
  Outcome other = start(never);
  wait_for_joined(1);
  released.set_value();
  expect_error(ErrorKind::kInvalidArgument, "too long", [&] { first.get(); });
  expect_error(ErrorKind::kInvalidArgument, "too long", [&] { other.get(); });
}

TEST_F(SingleFlightTest, ExceptionsOfOthersBecomeErrors) {
  expect_error(ErrorKind::kInternal, "a bug", [&] {
    flights.run(kKey, []() -> StoreResult { throw std::runtime_error("a bug"); });
  });
  EXPECT_FALSE(flights.run(kKey, [] { return StoreResult{numbered_memory(1)}; }).cached);
}

TEST_F(SingleFlightTest, AnotherMakesWhatTheFirstCancelled) {
  Outcome first = lead([]() -> StoreResult { throw Error(ErrorKind::kCancelled, "cancelled"); });
  std::atomic<int> made = 0;
  const auto make = [&made] {
    ++made;
    return StoreResult{numbered_memory(2)};
  };
  Outcome second = start(make), third = start(make);
  wait_for_joined(2);
  released.set_value();
  expect_error(ErrorKind::kCancelled, "cancelled", [&] { first.get(); });
  EXPECT_EQ(second.get().memory.content_hash(), numbered_memory(2).content_hash());
  EXPECT_EQ(third.get().memory.content_hash(), numbered_memory(2).content_hash());
  EXPECT_GE(made, 1);
}

TEST_F(SingleFlightTest, OtherKeysDoNotWait) {
  Outcome first = lead();
  const EntryKey other_tenant{"another", "id"}, other_id{"tenant", "another"};
  for (const EntryKey& key : {other_tenant, other_id})
    EXPECT_FALSE(flights.run(key, [] { return StoreResult{numbered_memory(2)}; }).cached);
  released.set_value();
  EXPECT_FALSE(first.get().cached);
  EXPECT_EQ(flights.joined(), 0);
}

TEST_F(SingleFlightTest, LaterCallsMakeAnew) {
  for (int i = 0; i < 2; ++i)
    EXPECT_FALSE(flights.run(kKey, [] { return StoreResult{numbered_memory(1)}; }).cached);
}

}  // namespace
}  // namespace precis
