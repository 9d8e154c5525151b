// SPDX-License-Identifier: Apache-2.0
#include "compressors/request_checks.h"

#include <cmath>

#include "base/check.h"

namespace precis {

void check_not_empty(int64_t num_tokens, const char* method) {
  PRECIS_CHECK(
      num_tokens >= 1, kInvalidArgument, method, ": an empty segment cannot be compressed");
}

void check_segment(const Segment& segment, const Decoder& decoder, const char* method) {
  check_not_empty(std::ssize(segment.tokens), method);
  const int64_t vocabulary = decoder.config().vocab_size;
  for (const TokenId id : segment.tokens) {
    PRECIS_CHECK(id >= 0 && id < vocabulary,
                 kInvalidArgument,
                 method,
                 ": id ",
                 id,
                 " is outside the vocabulary of ",
                 vocabulary);
  }
}

int64_t chunk_limit(const CompressOptions& options, int64_t max_segment, const char* method) {
  const int64_t limit = options.segment.value_or(max_segment);
  PRECIS_CHECK(limit >= 1 && limit <= max_segment,
               kInvalidArgument,
               method,
               ": a segment of ",
               limit,
               " tokens was asked for, this compressor takes 1 to ",
               max_segment);
  return limit;
}

double ratio_of(const CompressOptions& options, double own, const char* method) {
  const double ratio = options.ratio.value_or(own);
  PRECIS_CHECK(std::isfinite(ratio) && ratio >= 1,
               kInvalidArgument,
               method,
               ": ratio is ",
               ratio,
               ", expected at least 1");
  return ratio;
}

void refuse_ratio(const CompressOptions& options, int64_t slots, const char* method) {
  PRECIS_CHECK(!options.ratio,
               kInvalidArgument,
               method,
               ": a ratio of ",
               *options.ratio,
               " was asked for, but the ratio cannot be chosen: every chunk becomes ",
               slots,
               " memory tokens");
}

void refuse_chaining(const CompressOptions& options, const char* method) {
  PRECIS_CHECK(options.chaining == Chaining::kIndependent,
               kInvalidArgument,
               method,
               ": chaining can only be independent, no chunk reads the memory of another");
}

void check_window(int64_t num_tokens,
                  const Decoder& decoder,
                  const char* method,
                  const char* what) {
  PRECIS_CHECK(num_tokens <= decoder.config().context_length,
               kInvalidArgument,
               method,
               ": a pass over ",
               num_tokens,
               " tokens (",
               what,
               ") does not fit the model's window of ",
               decoder.config().context_length,
               "; use shorter segments");
}

void check_template_ids(std::span<const TokenId> ids,
                        const Decoder& decoder,
                        ErrorKind kind,
                        const std::string& origin) {
  for (const TokenId id : ids) {
    if (id >= 0 && id < decoder.config().vocab_size) continue;
    fail(kind,
         origin,
         ": id ",
         id,
         " is outside the model's vocabulary of ",
         decoder.config().vocab_size);
  }
}

}  // namespace precis
