// SPDX-License-Identifier: Apache-2.0
#include "compressors/gist_mask.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace precis {
namespace {

void check_span(int64_t num_rows, const GistSpan& gists, int64_t left_padding) {
  PRECIS_CHECK(num_rows >= 1 && left_padding >= 0 && left_padding <= num_rows,
               kInvalidArgument,
               "gist_mask: ",
               left_padding,
               " rows of padding among ",
               num_rows,
               " rows");
  if (gists.size == 0) return;
  PRECIS_CHECK(gists.size > 0 && gists.size <= num_rows && gists.first >= left_padding &&
                   gists.first <= num_rows - gists.size,
               kInvalidArgument,
               "gist_mask: ",
               gists.size,
               " gists from row ",
               gists.first,
               " on do not fit ",
               num_rows,
               " rows, the first ",
               left_padding,
               " of which are padding");
}

}  // namespace

GistSpan find_gists(std::span<const TokenId> ids, TokenId gist_id) {
  GistSpan span;
  for (int64_t i = 0; i < std::ssize(ids); ++i) {
    if (ids[i] != gist_id) continue;
    if (span.size == 0) span.first = i;
    PRECIS_CHECK(span.first + span.size == i,
                 kInvalidArgument,
                 "gist_mask: the gists have to follow each other, but one stands in row ",
                 i,
                 " after a run that ended before row ",
                 span.first + span.size);
    ++span.size;
  }
  return span;
}

at::Tensor gist_mask(int64_t num_rows,
                     const GistSpan& gists,
                     GistAttention attention,
                     int64_t left_padding) {
  check_span(num_rows, gists, left_padding);
  const at::Tensor key = at::arange(num_rows, at::kLong).unsqueeze(0);
  const at::Tensor query = at::arange(num_rows, at::kLong).unsqueeze(1);
  at::Tensor mask = key.le(query).logical_and(key.ge(left_padding));
  if (gists.size > 0 && attention != GistAttention::kPositiveControl) {
    const int64_t end = gists.first + gists.size;
    const int64_t visible = attention == GistAttention::kGist ? gists.first : end;
    mask = mask.logical_and(query.lt(end).logical_or(key.ge(visible)));
  }
  return mask.logical_or(key.eq(query));
}

}  // namespace precis
