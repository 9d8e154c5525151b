// SPDX-License-Identifier: Apache-2.0
#include "base/usable_cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>

namespace precis {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

double cores_of(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : kNoLimit;
}

// The quota in cores of one control group's directory; missing files mean no limit.
double limit_of(const std::filesystem::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream both(group / "cpu.max"); both >> quota >> period)  // "max" is no number
    return cores_of(quota, period);
  std::ifstream quota_file(group / "cpu.cfs_quota_us"), period_file(group / "cpu.cfs_period_us");
  if (quota_file >> quota && period_file >> period) return cores_of(quota, period);
  return kNoLimit;
}

// The smallest quota of the group and its parents.
double limit_up_to(const std::filesystem::path& top, std::filesystem::path group) {
  double limit = limit_of(top);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path())
    limit = std::min(limit, limit_of(top / group));
  return limit;
}

// Lines of /proc/self/cgroup are "number:controllers:path"; version 2 names no controllers.
double group_limit(const std::filesystem::path& root) {
  const std::filesystem::path groups = root / "sys/fs/cgroup";
  double limit = kNoLimit;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string number, controllers, path;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    const std::string all = "," + controllers + ",";
    if (controllers.empty()) limit = std::min(limit, limit_up_to(groups, path));
    if (all.find(",cpu,") != std::string::npos)
      limit = std::min(limit, limit_up_to(groups / "cpu", path));
  }
  return limit;
}

int64_t cores_of_affinity() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

int64_t usable_cores(const std::filesystem::path& root) {
  const double limit =
      std::min<double>(static_cast<double>(cores_of_affinity()), std::ceil(group_limit(root)));
  return std::max<int64_t>(1, static_cast<int64_t>(limit));
}

}  // namespace precis
