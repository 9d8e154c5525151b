// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "compressors/compressor_files.h"
#include "compressors/gisting/gisting.h"
#include "compressors/setting_table.h"
#include "precis/error.h"

namespace precis {

// Rank and alpha are settings of the frozen form only.
SettingTable gisting_settings(GistingConfig& config);

// Throws `kind`, naming `origin`, for values out of range, ids outside the vocabulary, a tuned form
// without a gist id, with a ratio or with spread gists, and a template that contains the gist.
void check_gisting_config(GistingConfig config,
                          const Decoder& decoder,
                          ErrorKind kind,
                          const std::string& origin);

// Reads and checks compressor.json. Throws kBadWeights naming file and key.
GistingConfig read_gisting_config(const CompressorFiles& files, const Decoder& decoder);

}  // namespace precis
