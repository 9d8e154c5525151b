// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "compressors/compressor_files.h"
#include "compressors/ic_former/digest_net.h"
#include "compressors/ic_former/ic_former.h"
#include "compressors/setting_table.h"
#include "precis/error.h"

namespace precis {

SettingTable ic_former_settings(IcFormerConfig& config);

// Throws `kind`, naming `origin`, for sizes below 1, slots that fill the model's context, more than
// 1024 layers, an ffn_size above 2^20, heads that do not divide the model's width into even head
// sizes, key heads that do not divide the heads, and ids outside the vocabulary.
void check_ic_former_config(IcFormerConfig config,
                            const Decoder& decoder,
                            ErrorKind kind,
                            const std::string& origin);

// Reads and checks compressor.json. Throws kBadWeights naming file and key.
IcFormerConfig read_ic_former_config(const CompressorFiles& files, const Decoder& decoder);

// REQUIRES: a configuration that was checked.
ic_former::DigestNetSize digest_net_size(const IcFormerConfig& config, const Decoder& decoder);

}  // namespace precis
