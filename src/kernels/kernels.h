// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis::kernels {

enum class Element { kFloat32, kBFloat16 };

// Rows of `width` elements, contiguous. gain: [width].
struct RmsNormArguments {
  const void* x;
  const float* gain;
  void* out;
  int64_t width;
  float epsilon;
};

// What rms_norm's backward pass reads and writes: rows of `width` elements, contiguous.
struct RmsNormBackwardArguments {
  const void* x;
  const float* gain;
  const void* gradient;  // of the output
  void* x_gradient;
  int64_t width;
  float epsilon;
};

// x, out: [rows, heads, head_dim]; rows of x are x_stride elements apart, those of out heads *
// head_dim. cos, sin: [rows, head_dim / 2].
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

// A query token that attends to tokens begin .. end - 1 of a block. The result is part `part` of
// the query's attention, to be merged with its others.
struct BlockReader {
  int32_t query;
  int32_t part;
  int32_t begin;
  int32_t end;
};

// Keys and values that attention reads at once, and who reads them. Either a block of the cache
// (starts null; keys points at it, values is not read), or chunk `chunk` of kBlockSize tokens of a
// ragged memory: [*, head_dim] each, of which head h of layer l holds tokens starts[l * kv_heads +
// h] up to the next start; a chunk may hold fewer tokens of a head, or none.
struct AttendedBlock {
  const void* keys;
  const void* values;
  const int64_t* starts;
  int64_t chunk;
  int64_t first_reader;  // of BlockAttentionArguments::readers
  int64_t num_readers;
};

// Attention of query tokens over blocks of one layer. q, out: float32 [queries, heads, head_dim];
// the blocks are of the kernel's element. Task block * kv_heads + kv_head leaves, for each reader
// and each query head that shares the keys, a state: weighted sum [head_dim], total weight, largest
// score. states: float32 [queries, kv_heads, parts, heads / kv_heads, head_dim + 2]. A block is
// read once for all readers. Parts are always cut at the same tokens, so that a result does not
// depend on the other queries.
struct BlockAttentionArguments {
  const float* q;
  const AttendedBlock* blocks;
  const BlockReader* readers;
  const int32_t* num_parts;  // [queries]
  float* out;
  float* states;
  int64_t layer;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t parts;  // the most that a query has
  float scale;
};

// Keys of a part on a GPU, for the same reason.
inline constexpr int64_t kKeysPerGpuPart = 256;

// What a product leaves of a row, [(heads + 2 * kv_heads) * head_dim] float32: queries, keys and
// values. Each row is the next of a sequence: its queries are turned, its keys too and, with the
// values, put where the sequence keeps them, in the kernel's element. Queries and keys may have a
// norm of their own before.
struct RotaryAppendArguments {
  float* qkv;           // [rows, ...], whose queries and keys are overwritten
  const float* q_gain;  // [head_dim], or null: no norm
  const float* k_gain;
  const float* cos;  // [rows, head_dim / 2]
  const float* sin;
  float* q;           // [rows, heads, head_dim]
  void* const* keys;  // [rows] place of the row in the first head
  void* const* values;
  const int64_t* stride;  // [rows] elements from a head to the next
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  float epsilon;
};

// In GPU code, where "block" means a thread block, blocks of the cache are called pages.
inline constexpr int64_t kRowsPerPage = kBlockSize;

// One layer of a paged cache, on a GPU. Tables are the device's, so that what was queued once
// serves later steps.
struct PagedCache {
  void* const* pages;      // [sequences, pages_per_sequence], of which those in use are read
  const int64_t* lengths;  // [sequences] rows that are held; the next one is a step's own
  int64_t pages_per_sequence;
  int64_t layer;  // which
};

// Rows of one layer in pages of a paged cache, and where they are copied from (Rows: const void*)
// or to (void*). keys, values: [kv_heads, count, head_dim], heads and rows so many elements apart.
template <typename Rows>
struct CopyPagesArguments {
  static constexpr int64_t kMostPages = 64;

  void* pages[kMostPages];  // that the rows lie in, one after the other
  int64_t first;            // row of the first page that the first one is
  int64_t layer;
  Rows keys;
  Rows values;
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
// [sequences, heads, head_dim]; out: the same, of the kernel's element. states: float32 [sequences
// * kv_heads, parts, heads / kv_heads, head_dim + 2], with kKeysPerGpuPart keys a part; parts: at
// least what the longest sequence has.
struct PagedAttentionArguments {
  const float* q;
  PagedCache cached;
  void* out;
  float* states;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t parts;
  int64_t window;  // 0: all rows are seen; else so many
  float scale;
};

// RotaryAppendArguments over a paged cache: qkv of the kernel's element, which stays as it is.
struct PagedAppendArguments {
  const void* qkv;
  const float* q_gain;  // [head_dim], or null: no norm
  const float* k_gain;
  const float* cos;  // [rows, head_dim / 2]
  const float* sin;
  float* q;  // [rows, heads, head_dim]
  PagedCache cached;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  float epsilon;
};

// Adds a change to rows of `width` numbers, and leaves their norm. change, out: [rows, width] of
// the kernel's element.
struct AddRmsNormArguments {
  float* x;                  // [rows, width], to which the change is added
  const void* change;        // null: none
  const float* change_gain;  // [width], or null: the change is added as it is, not its norm
  const float* gain;         // [width]
  void* out;                 // x's norm after the addition
  int64_t width;
  float epsilon;
};

// Rows of `width` elements of two matrices as if one followed the other: row i is
// first[indices[i]] for indices below num_first, else second[indices[i] - num_first].
struct GatherRowsArguments {
  const void* first;
  const void* second;
  const int64_t* indices;
  void* out;
  int64_t num_first;
  int64_t width;
};

// Rows of `width` (even) elements; those of `out` hold the even elements first, then the odd ones.
struct DeinterleavePairsArguments {
  const float* x;
  float* out;
  int64_t width;
};

// Few rows times a matrix: x: float32 [rows, width]; weight: [outputs, width], of the kernel's
// element; bias: float32 [outputs] or null; out: float32 [rows, outputs]. For bfloat16, width is
// even and x comes from deinterleave_pairs.
struct LinearArguments {
  const float* x;
  const void* weight;
  const float* bias;
  float* out;
  int64_t rows;
  int64_t width;
  int64_t outputs;
};

// Numbers of a weight that share a scale in int4.
inline constexpr int64_t kQuantizedGroup = 32;

// Rows of `width` elements, as int16 codes of `block` neighbours that share a scale, and sums of
// their numbers over each kQuantizedGroup. A block that holds numbers that are not finite has a
// scale that is not finite either. block: as of QuantizedLinearArguments.
struct QuantizeRowsArguments {
  const void* x;
  int16_t* codes;  // [rows, width], of a block those of even places before the others
  float* scales;   // [rows, width / block]
  float* sums;     // [rows, width / kQuantizedGroup], or null: not wanted
  int64_t width;
  int64_t block;
};

// Outputs in a tile of products with quantised matrices, by which ranges are counted; a vector
// holds 4, 8 or 16 of them.
inline constexpr int64_t kOutputsPerTile = 16;

// Quantises rows of `width` floats in bits 4, as QuantizedMatrix has them: of the grids
// from a group's smallest to its largest number in 15, 14, ... 8 steps the one with the smallest
// sum of squared errors, of equals the finest.
struct QuantizeInt4Arguments {
  const float* x;
  uint8_t* codes;    // [rows, width / 2]
  uint16_t* scales;  // float16 [rows, width / kQuantizedGroup]
  uint16_t* mins;    // the same
  int64_t width;
};

// A quantised matrix [outputs, width], width a multiple of kQuantizedGroup. bits 8: codes int8
// [outputs, width], scales [outputs]. bits 4: codes [outputs, width / 2], byte i of a group holding
// code i below and code i + 16 above, number = scale * code + minimum.
struct QuantizedMatrix {
  int64_t bits;
  int64_t width;
  const void* codes;
  const float* scales;           // bits 8
  const uint16_t* group_scales;  // bits 4: float16 [outputs, width / kQuantizedGroup]
  const uint16_t* group_minima;  // the same
};

// The numbers of a matrix. out: [outputs, width].
struct DequantizeArguments {
  QuantizedMatrix weight;
  void* out;
};

// Few rows times a matrix. A row is int16 codes, of which `block` neighbours share a scale: 32, 64
// or 128, which divides width; for bits 4 kQuantizedGroup.
struct QuantizedLinearArguments {
  QuantizedMatrix weight;
  const int16_t* x_codes;  // [rows, width], in the order of QuantizeRowsArguments
  const float* x_scales;   // [rows, width / block]
  const float* x_sums;     // bits 4: of the rows' numbers over each group, [rows, groups]
  const float* bias;       // [outputs], or null
  float* out;              // [rows, outputs]
  int64_t rows;
  int64_t outputs;
  int64_t block;

  int64_t tiles() const { return (outputs + kOutputsPerTile - 1) / kOutputsPerTile; }
};

// Few rows (at most kMostRows) times a quantised matrix, as they are: x: [rows, width]; bias:
// [outputs] or null; out: [rows, outputs]; these of the kernel's element.
struct WeightOnlyLinearArguments {
  static constexpr int64_t kMostRows = 16;

  const void* x;
  QuantizedMatrix weight;
  const void* bias;
  void* out;
  int64_t rows;
  int64_t outputs;
};

// An id of each row by its random number, as ops/sample.h says. logits: [rows, vocabulary]; an id
// is -1 where a logit of its row is not finite.
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
// not yet on its diagonal; products: [targets, columns], changed; chosen: [count], ascending.
// scratch: (count + 2) * columns numbers.
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

// Kernels work on a range of rows (or outputs, tasks, sequences), so that the caller decides about
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
  // After all tasks: their states into the output of each head, query * heads + head.
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
