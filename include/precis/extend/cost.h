// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "precis/extend/decoder.h"
#include "precis/extend/shapes.h"

namespace precis {

// How much is computed and stored, counted from shapes alone.
//
// A FLOP is one floating-point operation: a multiplication with its addition is two. Counted are
// the matrix products, as in the IC-Former paper's comparison (Wang et al., arXiv 2406.13618): the
// projections, attention and the MLP; for a layer of query width q and key width v over s tokens
// that attend to t keys,
//   4 s h (q + v) + 4 s t q + 6 s h ffn.
// Embeddings, norms, rotations, softmax and activations are left out. Attention counts in full, not
// causal-halved: every token of a pass attends to all of them, or to a window of them in layers
// with one. The template around a text or a memory is left out too, and nothing checks that the
// model's context window holds it. Of a built-in compressor the products that select and fit keys
// and values count as well; forward selection and Cholesky factorisations do not.
//
// FLOPs are exact below 2^53. All functions throw kInvalidArgument for lengths outside 1 to 2^24,
// for elements of less than a byte, for compressors of impossible sizes, and where parameters,
// tokens or bytes would be 2^53 or more.

// Elements of a model's weights; a head that is tied to the embedding counts once.
int64_t count_parameters(const DecoderConfig& model);

// What a context costs the model that reads it: a text, or the memory of one.
struct ContextCost {
  double prefill_flops = 0;  // to read it, without the LM head; 0 for a memory of keys and values
  double decode_flops = 0;   // for each token generated after it, LM head included; the token
                             // attends to the context and to itself
  int64_t kv_bytes = 0;      // its keys and values in all layers
};

// A text of `num_tokens` tokens. `element_bytes`: 2 for a model in bfloat16, 4 for float32.
ContextCost context_cost(const DecoderConfig& model, int64_t num_tokens, int64_t element_bytes);

// What it costs to compress a text and to read the memory instead.
struct CompressionCost {
  int64_t parameters = 0;     // of the compressor: elements that were trained; built-in: 0
  double compress_flops = 0;  // text to memory, with the LoRA merged into the model's weights, as
                              // the paper counts it
  double adapter_flops = 0;   // what the LoRA costs in addition where it is not merged: two narrow
                              // products for each adapted projection of each adapted token.
                              // Gisting's cannot be merged: it acts on the gists alone
  int64_t memory_tokens = 0;
  int64_t memory_bytes = 0;  // of input embeddings, or of keys and values of all layers
  ContextCost full;          // the model reads the text itself
  ContextCost memory;        // it reads the memory
};

// A text of `num_tokens` tokens, divided as the method divides it, into chunks that are compressed
// independently and without a prefix. What a compressor may keep from one text to the next, such as
// IC-Former's token table, is not subtracted. `element_bytes`: as for context_cost(). Throws also
// kInvalidArgument for a text that is over the limit of a method that does not divide, kUnsupported
// for a method that is unknown or does not say what it computes.
CompressionCost compression_cost(const DecoderConfig& model,
                                 const CompressorShape& compressor,
                                 int64_t num_tokens,
                                 int64_t element_bytes);

}  // namespace precis
