// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

// Entries of KernelTable, in a file of their own because of their size.
void block_attention(Element element,
                     const BlockAttentionArguments& a,
                     int64_t first_task,
                     int64_t last_task);
void merge_block_attention(const BlockAttentionArguments& a, int64_t first_head, int64_t last_head);

}  // namespace precis::kernels
