// SPDX-License-Identifier: Apache-2.0
#include "base/usable_cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace precis {
namespace {

// A machine's system files in a temporary directory.
class UsableCores : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() /
            ("usable_cores." + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
             testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  std::filesystem::path root_;
};

int64_t cores_of_affinity() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  return CPU_COUNT(&set);
}

TEST_F(UsableCores, WithoutControlGroupsAreThoseOfTheAffinity) {
  EXPECT_EQ(usable_cores(root_), cores_of_affinity());
}

TEST_F(UsableCores, AQuotaLimitsThem) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cores(root_), cores_of_affinity());
  write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(usable_cores(root_), 1);
  write("sys/fs/cgroup/a/b/cpu.max", "1000000 100000\n");
  EXPECT_EQ(usable_cores(root_), std::min<int64_t>(10, cores_of_affinity()));
}

TEST_F(UsableCores, TheQuotaOfAParentGroupCountsToo) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cores(root_), 1);
}

TEST_F(UsableCores, InAContainerTheGroupIsTheRoot) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(usable_cores(root_), 1);
}

TEST_F(UsableCores, FilesOfVersion1) {
  write("proc/self/cgroup", "3:cpu,cpuacct:/a\n2:cpuset:/b\n");
  write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usable_cores(root_), cores_of_affinity());
  write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "90000\n");
  EXPECT_EQ(usable_cores(root_), 1);
}

TEST_F(UsableCores, DamagedFilesAreIgnored) {
  write("proc/self/cgroup", "0::\n:\nnonsense");
  write("sys/fs/cgroup/cpu.max", "many few\n");
  EXPECT_EQ(usable_cores(root_), cores_of_affinity());
}

}  // namespace
}  // namespace precis
