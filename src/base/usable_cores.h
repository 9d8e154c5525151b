// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

namespace precis {

// Cores that this process may use at once: those of its affinity, and no more than the quota of its
// control groups (cpu.max; cpu.cfs_quota_us of version 1) allows, rounded up. At least 1. `root`:
// where the system's files stand, for tests.
int64_t usable_cores(const std::filesystem::path& root = "/");

}  // namespace precis
