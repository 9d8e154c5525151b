// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "precis/store.h"
#include "store/store_ids.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/make_memory.h"
#include "support/temporary_directory.h"

namespace precis {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Memory number i: 4 memory tokens of 8 float32 numbers, 128 bytes of tensors.
inline Memory numbered_memory(int i) {
  return make_memory(SoftTokens{at::full({4, 8}, static_cast<double>(i), at::kFloat)});
}
inline constexpr int64_t kNumberedBytes = 4 * 8 * 4;

inline std::string numbered_id(std::string_view tenant, int i) {
  const std::vector<TokenId> ids{i};
  MemorySource source;
  source.ids = ids;
  return memory_id(tenant, source);
}

// A clock that stands still until it is moved. Its time is long ago, so that a time of the system's
// clock is seen as a mistake.
class FakeClock {
 public:
  StoreTime now() const { return StoreTime(milliseconds(now_->load())); }
  void advance(milliseconds time) { *now_ += time.count(); }
  std::function<StoreTime()> function() const {
    return [now = now_] { return StoreTime(milliseconds(now->load())); };
  }

 private:
  std::shared_ptr<std::atomic<int64_t>> now_ =
      std::make_shared<std::atomic<int64_t>>(1'000'000'000'000);
};

// A store in a directory of its own, with a fake clock, and the tenant "alice".
class StoreTest : public testing::Test {
 protected:
  StoreOptions options() const {
    StoreOptions options;
    options.directory = directory.path() / "store";
    options.clock = clock.function();
    options.flight_wait = seconds(30);
    return options;
  }

  // Without RAM, so that everything is read from the disk.
  StoreOptions disk_options() const {
    StoreOptions options = this->options();
    options.ram_bytes = 0;
    return options;
  }

  static std::string id(int i) { return numbered_id("alice", i); }

  std::filesystem::path folder(std::string_view tenant = "alice") const {
    return directory.path() / "store" / tenant_hash(tenant);
  }
  std::filesystem::path file(int i) const { return folder() / (id(i) + ".safetensors"); }

  static void expect_memory(const std::optional<Memory>& memory, int i) {
    ASSERT_TRUE(memory) << "memory " << i;
    EXPECT_EQ(memory->content_hash(), numbered_memory(i).content_hash());
  }

  TemporaryDirectory directory;
  FakeClock clock;
};

}  // namespace precis
