// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

// Entries of KernelTable, in files of their own because of their size.
void quantize_int4(const QuantizeInt4Arguments& a, int64_t first_row, int64_t last_row);
void dequantize(Element element,
                const DequantizeArguments& a,
                int64_t first_output,
                int64_t last_output);
void quantize_rows(Element element,
                   const QuantizeRowsArguments& a,
                   int64_t first_row,
                   int64_t last_row);
void quantized_linear(const QuantizedLinearArguments& a, int64_t first_tile, int64_t last_tile);

}  // namespace precis::kernels
