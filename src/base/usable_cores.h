// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

namespace precis {

// Number of cores that this process may use at once: those of its affinity mask, limited by the
// quota of its control groups (cpu.max; cpu.cfs_quota_us of version 1), rounded up. At least 1.
// `root`: root directory of the system's files, for tests.
int64_t usable_cores(const std::filesystem::path& root = "/");

}  // namespace precis
