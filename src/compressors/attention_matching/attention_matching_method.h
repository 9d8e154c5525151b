// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "compressors/selection_method.h"

namespace precis {

// Attention matching's entry in the registry, and its selection method.
CompressorMethod attention_matching_method();
SelectionMethod attention_matching_selection();

}  // namespace precis
