// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "io/gguf_parts.h"
#include "io/half.h"

namespace precis {
namespace {

// The structs below have the layout of the file. `out` never aliases a block: blocks are copied out
// of the file first, so that they need no alignment either.

struct F32Block {
  static constexpr int kElements = 1;
  float value;
};

void decode(const F32Block& block, float* out) { *out = block.value; }

struct F16Block {
  static constexpr int kElements = 1;
  uint16_t value;
};

void decode(const F16Block& block, float* out) { *out = half_to_float(block.value); }

struct BF16Block {
  static constexpr int kElements = 1;
  uint16_t value;
};

void decode(const BF16Block& block, float* out) { *out = bfloat16_to_float(block.value); }

struct Q8_0Block {
  static constexpr int kElements = 32;
  uint16_t scale;
  int8_t quants[32];
};

void decode(const Q8_0Block& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(block.quants[i]);
}

// Low nibbles hold the first half of the block, high nibbles the second.
struct Q4_0Block {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint8_t quants[16];
};

void decode(const Q4_0Block& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>((block.quants[i] & 15) - 8);
    out[i + 16] = scale * static_cast<float>((block.quants[i] >> 4) - 8);
  }
}

struct Q4_1Block {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint16_t min;
  uint8_t quants[16];
};

void decode(const Q4_1Block& block, float* out) {
  const float scale = half_to_float(block.scale);
  const float min = half_to_float(block.min);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(block.quants[i] & 15) + min;
    out[i + 16] = scale * static_cast<float>(block.quants[i] >> 4) + min;
  }
}

// Expands eight bits to eight bytes: byte i is 16 if bit i is set, otherwise 0. Byte i of the
// product is masked to bit i; adding 127 carries a set bit into the byte's top bit, and no further.
uint64_t spread_to_bytes(uint8_t bits) {
  const uint64_t separate = (bits * 0x0101010101010101u) & 0x8040201008040201u;
  return ((separate + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
}

// Nibbles as in Q4_0, with a fifth bit from a row of 32.
void join_fifth_bits(const uint8_t (&nibbles)[16], const uint8_t (&fifth)[4], uint8_t (&out)[32]) {
  uint64_t high[4];
  for (int i = 0; i < 4; ++i) high[i] = spread_to_bytes(fifth[i]);
  std::memcpy(out, high, sizeof(out));
  for (int i = 0; i < 16; ++i) {
    out[i] |= nibbles[i] & 15;
    out[i + 16] |= nibbles[i] >> 4;
  }
}

struct Q5_0Block {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint8_t fifth_bits[4];
  uint8_t quants[16];
};

void decode(const Q5_0Block& block, float* out) {
  uint8_t quants[32];
  join_fifth_bits(block.quants, block.fifth_bits, quants);
  const float scale = half_to_float(block.scale);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(quants[i] - 16);
}

struct Q5_1Block {
  static constexpr int kElements = 32;
  uint16_t scale;
  uint16_t min;
  uint8_t fifth_bits[4];
  uint8_t quants[16];
};

void decode(const Q5_1Block& block, float* out) {
  uint8_t quants[32];
  join_fifth_bits(block.quants, block.fifth_bits, quants);
  const float scale = half_to_float(block.scale);
  const float min = half_to_float(block.min);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(quants[i]) + min;
}

// 256 elements as 8 groups of 32, with a scale and a minimum of 6 bits for each group. The first
// four groups have theirs in the low bits of bytes 0-7; the others have four bits in bytes 8-11 and
// the two high ones in the spare bits of bytes 0-7.
struct GroupScales {
  float scale[8];
  float min[8];

  GroupScales(const uint8_t (&packed)[12], float scale_unit, float min_unit) {
    for (int i = 0; i < 4; ++i) {
      const int high_scale = (packed[i + 8] & 15) | (packed[i] >> 6 << 4);
      const int high_min = (packed[i + 8] >> 4) | (packed[i + 4] >> 6 << 4);
      scale[i] = scale_unit * static_cast<float>(packed[i] & 63);
      min[i] = min_unit * static_cast<float>(packed[i + 4] & 63);
      scale[i + 4] = scale_unit * static_cast<float>(high_scale);
      min[i + 4] = min_unit * static_cast<float>(high_min);
    }
  }
};

// Every 32 bytes hold two groups: low nibbles, then high ones.
struct Q4_KBlock {
  static constexpr int kElements = 256;
  uint16_t scale_unit;
  uint16_t min_unit;
  uint8_t scales[12];
  uint8_t quants[128];
};

void decode(const Q4_KBlock& block, float* out) {
  const GroupScales groups(
      block.scales, half_to_float(block.scale_unit), half_to_float(block.min_unit));
  for (int group = 0; group < 8; ++group) {
    const uint8_t* quants = block.quants + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int quant = quants[i] >> shift & 15;
      out[group * 32 + i] = groups.scale[group] * static_cast<float>(quant) - groups.min[group];
    }
  }
}

// As Q4_K; the fifth bits of group g are bit g of 32 bytes.
struct Q5_KBlock {
  static constexpr int kElements = 256;
  uint16_t scale_unit;
  uint16_t min_unit;
  uint8_t scales[12];
  uint8_t fifth_bits[32];
  uint8_t quants[128];
};

void decode(const Q5_KBlock& block, float* out) {
  const GroupScales groups(
      block.scales, half_to_float(block.scale_unit), half_to_float(block.min_unit));
  for (int group = 0; group < 8; ++group) {
    const uint8_t* quants = block.quants + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int quant = (quants[i] >> shift & 15) | (block.fifth_bits[i] >> group & 1) << 4;
      out[group * 32 + i] = groups.scale[group] * static_cast<float>(quant) - groups.min[group];
    }
  }
}

// Two halves of four rows of 32 elements. A half has 64 bytes of low nibbles (rows 0 and 1), whose
// high nibbles are rows 2 and 3, and 32 bytes with two upper bits for each row. 16 elements share a
// scale.
struct Q6_KBlock {
  static constexpr int kElements = 256;
  uint8_t low_bits[128];
  uint8_t high_bits[64];
  int8_t scales[16];
  uint16_t scale_unit;
};

void decode(const Q6_KBlock& block, float* out) {
  const float unit = half_to_float(block.scale_unit);
  for (int group = 0; group < 16; ++group) {
    const int half = group / 8, row = group / 2 % 4, first = group % 2 * 16;
    const uint8_t* low = block.low_bits + half * 64 + row % 2 * 32 + first;
    const uint8_t* high = block.high_bits + half * 32 + first;
    const float scale = unit * static_cast<float>(block.scales[group]);
    for (int i = 0; i < 16; ++i) {
      const int quant = (low[i] >> row / 2 * 4 & 15) | (high[i] >> row * 2 & 3) << 4;
      out[group * 16 + i] = scale * static_cast<float>(quant - 32);
    }
  }
}

template <typename Block>
void dequantize_blocks(const std::byte* blocks, size_t num_blocks, float* out) {
  for (size_t i = 0; i < num_blocks; ++i) {
    Block block;
    std::memcpy(&block, blocks + i * sizeof(Block), sizeof(Block));
    decode(block, out + i * Block::kElements);
  }
}

template <typename Block>
constexpr GgufStorage storage(GgufType type, std::string_view name) {
  return {type, name, Block::kElements, sizeof(Block), dequantize_blocks<Block>};
}

constexpr GgufStorage kStorages[] = {
    storage<F32Block>(GgufType::kF32, "F32"),
    storage<F16Block>(GgufType::kF16, "F16"),
    storage<BF16Block>(GgufType::kBF16, "BF16"),
    storage<Q4_0Block>(GgufType::kQ4_0, "Q4_0"),
    storage<Q4_1Block>(GgufType::kQ4_1, "Q4_1"),
    storage<Q5_0Block>(GgufType::kQ5_0, "Q5_0"),
    storage<Q5_1Block>(GgufType::kQ5_1, "Q5_1"),
    storage<Q8_0Block>(GgufType::kQ8_0, "Q8_0"),
    storage<Q4_KBlock>(GgufType::kQ4_K, "Q4_K"),
    storage<Q5_KBlock>(GgufType::kQ5_K, "Q5_K"),
    storage<Q6_KBlock>(GgufType::kQ6_K, "Q6_K"),
};

const GgufStorage& storage_of(GgufType type) {
  return *find_gguf_storage(static_cast<uint32_t>(type));
}

}  // namespace

const GgufStorage* find_gguf_storage(uint32_t type) {
  for (const GgufStorage& storage : kStorages) {
    if (static_cast<uint32_t>(storage.type) == type) return &storage;
  }
  return nullptr;
}

size_t gguf_bytes(GgufType type, int64_t num_elements) {
  const GgufStorage& storage = storage_of(type);
  return static_cast<size_t>(num_elements / storage.block_elements) * storage.block_bytes;
}

std::string_view gguf_type_name(GgufType type) { return storage_of(type).name; }

void gguf_dequantize(GgufType type, std::span<const std::byte> bytes, std::span<float> out) {
  const GgufStorage& storage = storage_of(type);
  storage.dequantize(bytes.data(), bytes.size() / storage.block_bytes, out.data());
}

}  // namespace precis
