// SPDX-License-Identifier: Apache-2.0
#include "compressors/selection_cost.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "compressors/divide.h"
#include "compressors/pass_flops.h"

namespace precis {
namespace {

// These and fit_flops() follow attention_matching (attention_matching.cc, layer_fit.cc, fit.cc).
constexpr int64_t kMostQueries = 2048;      // reference queries of a key/value head
constexpr int64_t kFitBlock = 1024;         // rows that are fitted together
constexpr int64_t kCandidates = 3;          // of a block, for each row to be left
constexpr int64_t kSelectionQueries = 512;  // at least; and as many as there are candidates
// This and repeat_flops() follow kvzip (kvzip.cc).
constexpr int64_t kRepeatChunk = 2048;  // rows that are said again in one pass

// Rows of a part.
struct PartRows {
  int64_t read;  // by the model
  int64_t kept;  // the first ones, which always stay
  int64_t left;  // in the memory
};

PartRows rows_of(const SelectionShape& shape, int64_t num_tokens) {
  const int64_t read = shape.rows_before + num_tokens;
  const int64_t kept = std::max<int64_t>(1, shape.rows_before);
  const int64_t wanted = tokens_at_ratio(num_tokens, shape.ratio);
  const bool all = wanted == num_tokens;
  return {read, kept, all ? read : std::min(read, std::max(wanted, kept + 1))};
}

// As plan_layer() has it. `window`: 0 for a layer without one.
LayerPlan plan_of(const PartRows& rows, int64_t window) {
  const int64_t seen = window - 1;  // by the row that follows the text
  if (window == 0 || rows.read < window)
    return {{0, rows.kept}, {rows.kept, rows.read - rows.kept}, rows.left - rows.kept};
  if (rows.left >= seen) return {{rows.read - rows.left, rows.left}, {rows.read, 0}, 0};
  const int64_t first = rows.read - seen;
  return {{first, rows.kept}, {first + rows.kept, seen - rows.kept}, rows.left - rows.kept};
}

// Reference queries of a key/value head.
int64_t num_queries(int64_t candidates, const DecoderConfig& model) {
  const int64_t group = model.num_heads / model.num_kv_heads;
  return group * std::min(candidates, std::max<int64_t>(1, kMostQueries / group));
}

// Normal equations of `columns` columns over `m` rows: gram; products with `targets` targets.
double normal_flops(double m, double columns, double targets) {
  return 2 * m * columns * columns + 2 * m * columns * targets;
}

// selected() for one head, without the forward selection itself, which is no matrix product.
double selected_flops(int64_t num_queries, double d, int64_t rows, int64_t left) {
  const int64_t open = std::min(rows, kCandidates * left);
  const int64_t step = std::max<int64_t>(1, num_queries / std::max(kSelectionQueries, open));
  const auto asked = static_cast<double>((num_queries - step / 2 - 1) / step + 1);
  const auto columns = static_cast<double>(open);
  const double scores = 2 * asked * columns * d;
  return scores + normal_flops(asked, columns, d + 1);  // targets: found; mass
}

// fit_rows() of one head: `left` of `rows` rows of width `d`. Chunks of queries count as one.
double block_flops(int64_t num_queries, double d, int64_t rows, int64_t left) {
  const auto m = static_cast<double>(num_queries);
  const auto n = static_cast<double>(rows), t = static_cast<double>(left);
  const double whole = 2 * m * n * d + 2 * m * n * d + 2 * m * n;  // scores; found; importance
  const double selection = selected_flops(num_queries, d, rows, left);
  const double bias = 2 * m * t * d + normal_flops(m, t, 1);  // scores; fit
  const double direction = normal_flops(m, d, 1);
  const double read = 2 * m * t * d + 2 * m * t * d;  // scores; attention.bmm(values)
  const double values = normal_flops(m, t, d);
  return whole + selection + bias + direction + read + values;
}

double all_fits_flops(const PartRows& rows, const DecoderConfig& model) {
  const int64_t windowed = num_windowed(model);
  double flops = 0;
  if (windowed < model.num_layers)
    flops += static_cast<double>(model.num_layers - windowed) * fit_flops(plan_of(rows, 0), model);
  if (windowed > 0)
    flops += static_cast<double>(windowed) * fit_flops(plan_of(rows, model.window), model);
  return flops;
}

// One pass of kvzip: the prompt and `chunk` rows of the text behind all of it, and their scores,
// which are computed beside the pass's own attention and over all keys, whatever the window.
double repeat_flops(const SelectionShape& shape,
                    const DecoderConfig& model,
                    double read,
                    double chunk) {
  const ModelSizes sizes(model);
  const double rows = static_cast<double>(shape.repeat_rows) + chunk, keys = read + rows;
  return pass_flops(model, rows, keys) + sizes.layers * 2 * rows * keys * sizes.query;
}

double all_repeats_flops(const SelectionShape& shape, const DecoderConfig& model, int64_t read) {
  const auto of = [&](int64_t chunk) {
    return repeat_flops(shape, model, static_cast<double>(read), static_cast<double>(chunk));
  };
  const int64_t rest = read % kRepeatChunk;
  return static_cast<double>(read / kRepeatChunk) * of(kRepeatChunk) + (rest > 0 ? of(rest) : 0);
}

// Rows of the longest text that is read at once.
int64_t longest_text(const SelectionShape& shape, int64_t window) {
  if (shape.method == SelectionShape::Method::kAttentionMatching) return window;
  const int64_t room = window - shape.repeat_rows;
  return room >= 2 * kRepeatChunk ? room - kRepeatChunk : room / 2;
}

}  // namespace

int64_t longest_part(const SelectionShape& shape, const DecoderConfig& model) {
  if (shape.max_segment > 0) return shape.max_segment;
  const int64_t longest = longest_text(shape, model.context_length) - shape.rows_before;
  PRECIS_CHECK(longest >= 1,
               kInvalidArgument,
               "the model's window of ",
               model.context_length,
               " holds no text beside ",
               shape.rows_before,
               " tokens before it and ",
               shape.repeat_rows,
               " that ask for it");
  return longest;
}

int64_t selected_rows(const SelectionShape& shape, int64_t num_tokens) {
  return rows_of(shape, num_tokens).left;
}

double selection_flops(const SelectionShape& shape,
                       const DecoderConfig& model,
                       int64_t num_tokens) {
  const PartRows rows = rows_of(shape, num_tokens);
  const auto read = static_cast<double>(rows.read);
  const double pass = pass_flops(model, read, read);
  if (rows.left == rows.read) return pass;
  const bool fits = shape.method == SelectionShape::Method::kAttentionMatching;
  return pass + (fits ? all_fits_flops(rows, model) : all_repeats_flops(shape, model, rows.read));
}

double fit_flops(const LayerPlan& plan, const DecoderConfig& model) {
  if (plan.count == 0) return 0;
  const auto d = static_cast<double>(model.head_dim);
  const int64_t m = num_queries(plan.candidates.size, model);
  const auto mass = [&](int64_t rows) {
    return 2 * static_cast<double>(m) * static_cast<double>(rows) * d;
  };
  const std::vector<TokenRange> blocks = divide(plan.candidates.size, kFitBlock);
  double flops = mass(plan.copied.size) + (blocks.size() > 1 ? mass(plan.candidates.size) : 0);
  for (const auto& [first, size] : blocks) {
    const int64_t left = (first + size) * plan.count / plan.candidates.size -
                         first * plan.count / plan.candidates.size;
    if (left > 0 && left < size) flops += block_flops(m, d, size, left);
  }
  return static_cast<double>(model.num_kv_heads) * flops;
}

}  // namespace precis
