// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "precis/error.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// Checks of input that all compressors share. `method` begins the messages; all but
// check_template_ids throw kInvalidArgument.

// Refuses an empty segment, and ids outside the vocabulary.
void check_segment(const Segment& segment, const Decoder& decoder, const char* method);
void check_not_empty(int64_t num_tokens, const char* method);

// Most tokens of a chunk: options.segment, which may be at most `max_segment`, or `max_segment`.
int64_t chunk_limit(const CompressOptions& options, int64_t max_segment, const char* method);

// For methods whose ratio can be chosen: options.ratio, or `own`. Refuses a ratio below 1.
double ratio_of(const CompressOptions& options, double own, const char* method);
// For methods whose chunks always become `slots` memory tokens: refuses a ratio.
void refuse_ratio(const CompressOptions& options, int64_t slots, const char* method);
// For methods that compress chunks independently: refuses any other chaining.
void refuse_chaining(const CompressOptions& options, const char* method);

// Refuses a pass over more tokens than the model's window holds. `what` describes them.
void check_window(int64_t num_tokens, const Decoder& decoder, const char* method, const char* what);

// Throws `kind`, naming `origin`, for an id of a template outside the vocabulary.
void check_template_ids(std::span<const TokenId> ids,
                        const Decoder& decoder,
                        ErrorKind kind,
                        const std::string& origin);

}  // namespace precis
