// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

// Those of KernelTable, apart from the others for their size.
void decode_attention(Element element,
                      const DecodeAttentionArguments& a,
                      int64_t first_task,
                      int64_t last_task);
void merge_decode_attention(const DecodeAttentionArguments& a,
                            int64_t first_sequence,
                            int64_t last_sequence);

}  // namespace precis::kernels
