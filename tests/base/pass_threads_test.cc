// SPDX-License-Identifier: Apache-2.0
#include "base/pass_threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/parallel.h"

namespace precis {
namespace {

using std::chrono::milliseconds;

// Keeps the core busy for this time.
void run_for(milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Runs on a new thread, since measurements of passes are thread-local.
template <typename Work>
void on_a_new_thread(const Work& work) {
  std::thread([&] {
    set_num_threads(4);
    work();
  }).join();
}

TEST(PassThreads, ContentionHalvesTheThreads) {
  on_a_new_thread([] {
    PassThreads pass;
    EXPECT_EQ(num_threads(), 4);
    std::this_thread::sleep_for(milliseconds(10));
    pass.adapt();
    EXPECT_EQ(num_threads(), 2);
    std::this_thread::sleep_for(milliseconds(10));
    pass.adapt();
    EXPECT_EQ(num_threads(), 1);
  });
}

TEST(PassThreads, RestoresTheCallersNumberAndStartsTheNextPassWithTheReducedOne) {
  on_a_new_thread([] {
    {
      PassThreads pass;
      std::this_thread::sleep_for(milliseconds(10));
      pass.adapt();
    }
    EXPECT_EQ(num_threads(), 4);
    PassThreads next;
    EXPECT_EQ(num_threads(), 2);
  });
}

TEST(PassThreads, TriesMoreAfterAWhile) {
  on_a_new_thread([] {
    {
      PassThreads contended;
      std::this_thread::sleep_for(milliseconds(10));
      contended.adapt();
    }
    std::this_thread::sleep_for(milliseconds(120));
    PassThreads next;
    EXPECT_EQ(num_threads(), 2);
    run_for(milliseconds(5));
    next.adapt();
    // 1 on a machine that did not schedule this thread meanwhile.
    EXPECT_NE(num_threads(), 2);
  });
}

TEST(PassThreads, ComputationBetweenPassesUsesTheirNumber) {
  on_a_new_thread([] {
    {
      PassThreads call;
      {
        PassThreads pass;
        std::this_thread::sleep_for(milliseconds(10));
        pass.adapt();
      }
      EXPECT_EQ(num_threads(), 2);
      {
        const NumThreads of_another_engine(3);
        PassThreads other;
        EXPECT_EQ(num_threads(), 2);
      }
      EXPECT_EQ(num_threads(), 2);
    }
    EXPECT_EQ(num_threads(), 4);
  });
}

// For example while the caller processes text.
TEST(PassThreads, TimeOutsidePassesIsNotMeasured) {
  on_a_new_thread([] {
    PassThreads call;
    std::this_thread::sleep_for(milliseconds(10));
    PassThreads pass;
    pass.adapt();
    EXPECT_EQ(num_threads(), 4);
  });
}

TEST(PassThreads, OtherThreadsAndShortTimesChangeNothing) {
  on_a_new_thread([] {
    PassThreads pass;
    pass.adapt();
    EXPECT_EQ(num_threads(), 4);
    std::thread([] {
      set_num_threads(3);
      PassThreads own;
      EXPECT_EQ(num_threads(), 3);
    }).join();
    EXPECT_EQ(num_threads(), 4);
  });
}

TEST(NumThreads, AppliesForItsLifetime) {
  on_a_new_thread([] {
    {
      const NumThreads two(2);
      EXPECT_EQ(num_threads(), 2);
    }
    EXPECT_EQ(num_threads(), 4);
  });
}

}  // namespace
}  // namespace precis
