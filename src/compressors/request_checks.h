// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "precis/error.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// What every compressor demands of its input, said in one way. `method` begins the messages; all
// but check_template_ids throw kInvalidArgument.

// An empty segment, and ids outside the vocabulary.
void check_segment(const Segment& segment, const Decoder& decoder, const char* method);
void check_not_empty(int64_t num_tokens, const char* method);

// Tokens of a part: as asked for, or `max_segment`, which is the most that may be asked for.
int64_t part_limit(const CompressOptions& options, int64_t max_segment, const char* method);

// For methods that let the ratio be chosen: as asked for, or `own`. Refuses one below 1.
double ratio_of(const CompressOptions& options, double own, const char* method);
// For methods whose parts always become `slots` memory tokens: a ratio cannot be chosen.
void refuse_ratio(const CompressOptions& options, int64_t slots, const char* method);
// For methods whose parts know nothing of each other: no chaining.
void refuse_chaining(const CompressOptions& options, const char* method);

// A pass over `num_rows` rows has to fit the model's window. `rows` says what they are.
void check_window(int64_t num_rows, const Decoder& decoder, const char* method, const char* rows);

// Ids of a template: throws `kind`, naming `origin`, for one outside the vocabulary.
void check_template_ids(std::span<const TokenId> ids,
                        const Decoder& decoder,
                        ErrorKind kind,
                        const std::string& origin);

}  // namespace precis
