// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis::kernels {

enum class Element { kFloat32, kBFloat16 };

// RMS norm of rows of `width` elements, contiguous. weight: [width].
struct RmsNormArguments {
  const void* x;
  const float* weight;
  void* out;
  int64_t width;
  float epsilon;
};

// Backward pass of rms_norm with respect to x. Rows of `width` elements, contiguous.
struct RmsNormBackwardArguments {
  const void* x;
  const float* weight;
  const void* gradient;  // of the output
  void* x_gradient;
  int64_t width;
  float epsilon;
};

// x, out: [rows, heads, head_dim], a row for each token. Rows of x are x_stride elements apart,
// rows of out heads * head_dim. cos, sin: [rows, head_dim / 2].
struct RotaryArguments {
  const void* x;
  const float* cos;
  const float* sin;
  void* out;
  int64_t x_stride;
  int64_t heads;
  int64_t head_dim;
};

// gate_up: [rows, 2 * width]; out: [rows, width].
struct GatedActivationArguments {
  const void* gate_up;
  void* out;
  int64_t width;
  bool gelu_tanh;  // otherwise SiLU
};

// gate_up, gate_up_gradient: [rows, 2 * width]; gradient, of the output: [rows, width].
struct GatedActivationBackwardArguments {
  const void* gate_up;
  const void* gradient;
  void* gate_up_gradient;
  int64_t width;
  bool gelu_tanh;  // otherwise SiLU
};

// Tokens of a block of a key-value cache: [layers, kv_heads, 2, kBlockSize, head_dim] elements,
// contiguous, keys before values.
inline constexpr int64_t kBlockSize = 64;

// A query token that attends to tokens begin .. end - 1 of a block. The result is split `split` of
// the query's attention; merge_block_attention merges all splits of a query.
struct BlockReader {
  int32_t query;
  int32_t split;
  int32_t begin;
  int32_t end;
};

// A block of keys and values, and its readers. Either a block of the cache (starts is null; keys
// points at the block, values is not used), or chunk `chunk` of kBlockSize tokens of a ragged
// memory: keys and values are [*, head_dim], and head h of layer l holds tokens starts[l * kv_heads
// + h] up to the next start. A chunk may hold fewer tokens of a head, or none.
struct AttendedBlock {
  const void* keys;
  const void* values;
  const int64_t* starts;
  int64_t chunk;
  int64_t first_reader;  // of BlockAttentionArguments::readers
  int64_t num_readers;
};

// Attention of query tokens over blocks of one layer: partial results, which are merged afterwards
// (as in Flash-Decoding). q, out: float32 [queries, heads, head_dim]; the blocks are of the
// kernel's element. Task block * kv_heads + kv_head reads the block once for all its readers. It
// writes, for each reader and each query head that shares the keys, a state: weighted sum of values
// [head_dim], total weight, largest score. states: float32 [queries, kv_heads, max_splits, heads /
// kv_heads, head_dim + 2]. Keys are always split at the same tokens, so that a result does not
// depend on the other queries.
struct BlockAttentionArguments {
  const float* q;
  const AttendedBlock* blocks;
  const BlockReader* readers;
  const int32_t* num_splits;  // [queries]
  float* out;
  float* states;
  int64_t layer;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t max_splits;  // largest of num_splits
  float scale;
};

// Keys of a split on a GPU; fixed for the same reason.
inline constexpr int64_t kKeysPerGpuSplit = 256;

// Prepares the output of the QKV projection for attention. A row is the new token of a sequence,
// [(heads + 2 * kv_heads) * head_dim] float32: queries, keys and values. Queries and keys are
// normed, if they have norms, and rotated. Keys and values are written to the cache, in the
// kernel's element.
struct RotaryAppendArguments {
  float* qkv;                  // [rows, ...]; queries and keys are overwritten
  const float* q_norm_weight;  // [head_dim], or null: no norm
  const float* k_norm_weight;
  const float* cos;  // [rows, head_dim / 2]
  const float* sin;
  float* q;           // [rows, heads, head_dim]
  void* const* keys;  // [rows] address of the token's key in the first head
  void* const* values;
  const int64_t* stride;  // [rows] elements from one head to the next
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  float epsilon;
};

// In GPU code, where "block" means a thread block, blocks of the cache are called pages.
inline constexpr int64_t kTokensPerPage = kBlockSize;

// One layer of a paged cache on a GPU. The tables are in device memory: a captured graph reads what
// later steps write there.
struct PagedCache {
  void* const* pages;      // [sequences, pages_per_sequence]; only pages in use are read
  const int64_t* lengths;  // [sequences] tokens before the new one
  int64_t pages_per_sequence;
  int64_t layer;
};

// Tokens of one layer in pages of a paged cache, and the tensors that they are copied from
// (Pointer: const void*) or to (void*). keys, values: [kv_heads, count, head_dim]; strides are in
// elements.
template <typename Pointer>
struct CopyPagesArguments {
  static constexpr int64_t kMostPages = 64;

  void* pages[kMostPages];  // in the order of their tokens
  int64_t first;            // index of the first token in the first page
  int64_t layer;
  Pointer keys;
  Pointer values;
  int64_t key_head_stride;
  int64_t key_stride;
  int64_t value_head_stride;
  int64_t value_stride;
  int64_t kv_heads;
  int64_t head_dim;
};
using WritePagesArguments = CopyPagesArguments<const void*>;
using ReadPagesArguments = CopyPagesArguments<void*>;

// Attention of one token of each sequence over all tokens up to and including itself. q: float32
// [sequences, heads, head_dim]; out: the same shape, of the kernel's element. states: float32
// [sequences * kv_heads, max_splits, heads / kv_heads, head_dim + 2], where a split has
// kKeysPerGpuSplit keys. max_splits: at least the splits of the longest sequence.
struct PagedAttentionArguments {
  const float* q;
  PagedCache cached;
  void* out;
  float* states;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t max_splits;
  int64_t window;  // keys that the token attends to, its own included; 0: all
  float scale;
};

// RotaryAppendArguments over a paged cache. qkv is of the kernel's element and is not overwritten.
struct PagedAppendArguments {
  const void* qkv;
  const float* q_norm_weight;  // [head_dim], or null: no norm
  const float* k_norm_weight;
  const float* cos;  // [rows, head_dim / 2]
  const float* sin;
  float* q;  // [rows, heads, head_dim]
  PagedCache cached;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  float epsilon;
};

// x += change, or the norm of change; out = norm of x. change, out: [rows, width] of the kernel's
// element.
struct AddRmsNormArguments {
  float* x;                         // [rows, width], updated in place
  const void* change;               // null: none
  const float* change_norm_weight;  // [width], or null: the change is added without a norm
  const float* norm_weight;         // [width]
  void* out;                        // norm of the updated x
  int64_t width;
  float epsilon;
};

// Rows of two concatenated matrices of `width` columns: row i is first[indices[i]] for indices
// below num_first, else second[indices[i] - num_first].
struct GatherRowsArguments {
  const void* first;
  const void* second;
  const int64_t* indices;
  void* out;
  int64_t num_first;
  int64_t width;
};

// Reorders rows of `width` (even) elements: `out` holds the even elements first, then the odd ones.
struct DeinterleavePairsArguments {
  const float* x;
  float* out;
  int64_t width;
};

// Product of few rows with a matrix. x: float32 [rows, width]; weight: [outputs, width], of the
// kernel's element; bias: float32 [outputs] or null; out: float32 [rows, outputs]. For bfloat16,
// width is even and x comes from deinterleave_pairs.
struct LinearArguments {
  const float* x;
  const void* weight;
  const float* bias;
  float* out;
  int64_t rows;
  int64_t width;
  int64_t outputs;
};

// Values of an int4 weight that share a scale.
inline constexpr int64_t kQuantizedGroup = 32;

// Quantises rows of `width` elements to int16 codes, with a scale for each block of `block`
// neighbours, and sums the values over each kQuantizedGroup. A block with a value that is not
// finite gets a scale that is not finite. block: as in QuantizedLinearArguments.
struct QuantizeRowsArguments {
  const void* x;
  int16_t* codes;  // [rows, width]; in each block, even indices before odd ones
  float* scales;   // [rows, width / block]
  float* sums;     // [rows, width / kQuantizedGroup], or null
  int64_t width;
  int64_t block;
};

// Outputs of a tile, the unit of ranges in products with quantised matrices. A vector holds 4, 8 or
// 16 of them.
inline constexpr int64_t kOutputsPerTile = 16;

// Quantises rows of `width` floats to 4 bits, in the format of QuantizedMatrix. Of the grids from a
// group's smallest to its largest value in 15, 14, ... 8 steps it takes the one with the smallest
// sum of squared errors, of equals the finest.
struct QuantizeInt4Arguments {
  const float* x;
  uint8_t* codes;    // [rows, width / 2]
  uint16_t* scales;  // float16 [rows, width / kQuantizedGroup]
  uint16_t* mins;    // the same
  int64_t width;
};

// A quantised matrix [outputs, width], width a multiple of kQuantizedGroup. bits 8: codes int8
// [outputs, width], scales [outputs]; value = scale * code. bits 4: codes [outputs, width / 2];
// byte i of a group holds code i in its low half and code i + 16 in its high half; value = scale *
// code + min.
struct QuantizedMatrix {
  int64_t bits;
  int64_t width;
  const void* codes;
  const float* scales;           // bits 8
  const uint16_t* group_scales;  // bits 4: float16 [outputs, width / kQuantizedGroup]
  const uint16_t* group_mins;    // the same
};

// The values of a matrix. out: [outputs, width].
struct DequantizeArguments {
  QuantizedMatrix weight;
  void* out;
};

// Product of few quantised rows with a quantised matrix. A row is int16 codes; `block` neighbours
// share a scale: 32, 64 or 128, a divisor of width; for bits 4 kQuantizedGroup.
struct QuantizedLinearArguments {
  QuantizedMatrix weight;
  const int16_t* x_codes;  // [rows, width], in the order of QuantizeRowsArguments
  const float* x_scales;   // [rows, width / block]
  const float* x_sums;     // bits 4: sums of x over each group, [rows, groups]
  const float* bias;       // [outputs], or null
  float* out;              // [rows, outputs]
  int64_t rows;
  int64_t outputs;
  int64_t block;

  int64_t tiles() const { return (outputs + kOutputsPerTile - 1) / kOutputsPerTile; }
};

// Product of at most kMostRows rows, which are not quantised, with a quantised matrix. x: [rows,
// width]; bias: [outputs] or null; out: [rows, outputs]; all three of the kernel's element.
struct WeightOnlyLinearArguments {
  static constexpr int64_t kMostRows = 16;

  const void* x;
  QuantizedMatrix weight;
  const void* bias;
  void* out;
  int64_t rows;
  int64_t outputs;
};

// Samples an id for each row with its random number (ops/sample.h). logits: [rows, vocabulary]. An
// id is -1 where a logit of its row is not finite.
struct SampleArguments {
  const float* logits;
  int64_t vocabulary;
  float temperature;  // 0: the id of the largest logit
  int64_t top_k;      // 0: all
  double top_p;
  double min_p;
  const uint64_t* random;  // [rows]
  int64_t* ids;            // [rows]
};

// Forward selection of one problem (ops/forward_selection.h). gram: [columns, columns], the ridge
// not yet on its diagonal; products: [targets, columns], overwritten; chosen: [count], ascending.
// scratch: (count + 2) * columns elements.
struct ForwardSelectionArguments {
  const float* gram;
  float* products;
  float* scratch;
  int64_t* chosen;
  int64_t columns;
  int64_t targets;
  int64_t count;
  float ridge;
};

// A kernel computes a range of rows (or outputs, tasks, heads); the caller divides the work among
// threads.
struct KernelTable {
  void (*rms_norm)(Element, const RmsNormArguments&, int64_t first_row, int64_t last_row);
  void (*rms_norm_backward)(Element,
                            const RmsNormBackwardArguments&,
                            int64_t first_row,
                            int64_t last_row);
  void (*rotary)(Element, const RotaryArguments&, int64_t first_row, int64_t last_row);
  void (*gated_activation)(Element,
                           const GatedActivationArguments&,
                           int64_t first_row,
                           int64_t last_row);
  void (*gated_activation_backward)(Element,
                                    const GatedActivationBackwardArguments&,
                                    int64_t first_row,
                                    int64_t last_row);
  void (*block_attention)(Element,
                          const BlockAttentionArguments&,
                          int64_t first_task,
                          int64_t last_task);
  // Called after all tasks: merges their states into the output of each head, query * heads + head.
  void (*merge_block_attention)(const BlockAttentionArguments&,
                                int64_t first_head,
                                int64_t last_head);
  void (*rotary_append)(Element, const RotaryAppendArguments&, int64_t first_row, int64_t last_row);
  void (*deinterleave_pairs)(const DeinterleavePairsArguments&,
                             int64_t first_row,
                             int64_t last_row);
  void (*linear)(Element, const LinearArguments&, int64_t first_output, int64_t last_output);
  void (*quantize_int4)(const QuantizeInt4Arguments&, int64_t first_row, int64_t last_row);
  void (*dequantize)(Element,
                     const DequantizeArguments&,
                     int64_t first_output,
                     int64_t last_output);
  void (*quantize_rows)(Element, const QuantizeRowsArguments&, int64_t first_row, int64_t last_row);
  void (*quantized_linear)(const QuantizedLinearArguments&, int64_t first_tile, int64_t last_tile);
  void (*forward_selection)(const ForwardSelectionArguments&);
};

const KernelTable& cpu();

}  // namespace precis::kernels
