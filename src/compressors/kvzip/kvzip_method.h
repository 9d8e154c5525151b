// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "compressors/selection_method.h"

namespace precis {

// KVzip's row of the registry, and how it selects.
CompressorMethod kvzip_method();
SelectionMethod kvzip_selection();

}  // namespace precis
