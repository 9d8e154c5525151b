// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "compressors/selection_method.h"

namespace precis {

// KVzip's entry in the registry, and its selection method.
CompressorMethod kvzip_method();
SelectionMethod kvzip_selection();

}  // namespace precis
