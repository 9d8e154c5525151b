// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "precis/error.h"
#include "precis/extend/shapes.h"

namespace precis {

// Throws `kind`, naming `origin`, for sizes that no compressor can have.
void check_compressor_shape(const CompressorShape& shape,
                            ErrorKind kind,
                            const std::string& origin);

}  // namespace precis
