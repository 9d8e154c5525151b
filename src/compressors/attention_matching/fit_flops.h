// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "compressors/selection_method.h"

namespace precis {

// FLOPs of the fits of all layers: the matrix products of fit_layer(), as if all heads kept equally
// many tokens. Forward selection and Cholesky factorisations are not counted.
double all_fits_flops(const SelectionCounts& counts,
                      const SelectionSizes& sizes,
                      const DecoderConfig& model);

}  // namespace precis
