// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/ic_former_config.h"

#include "base/check.h"
#include "compressors/request_checks.h"

namespace precis {
namespace {

// Far above real sizes, and low enough that allocation does not fail before the check.
constexpr int64_t kLargestDepth = 1024, kLargestFfn = int64_t{1} << 20;

}  // namespace

SettingTable ic_former_settings(IcFormerConfig& config) {
  using enum Setting::Limit;
  return {{"slots", &config.slots, kAtLeast1, "memory tokens of each chunk"},
          {"max_segment", &config.max_segment, kAtLeast1, "text tokens in one pass"},
          {"num_layers", &config.num_layers, kAtLeast1, "of its encoder", "layers"},
          {"num_heads", &config.num_heads, kAtLeast1},
          {"num_kv_heads", &config.num_kv_heads, kAtLeast1},
          {"ffn_size", &config.ffn_size, kAtLeast1, "of its encoder"},
          {"rms_norm_epsilon", &config.rms_norm_epsilon, kAbove0},
          {"rope_base", &config.rope_base, kAbove0},
          {"connector", &config.connector},
          {"token_table",
           &config.token_table,
           kNone,
           "keep the keys and values of every id of the vocabulary: more memory, less time"},
          {"slot_positions",
           choice(config.spread_positions, {"after", "spread"}),
           kNone,
           "positions of the memory tokens: after the text or spread over it"},
          {"instruct_before", &config.instruct.before},
          {"instruct_after", &config.instruct.after},
          {"instruct_end", &config.instruct.end}};
}

void check_ic_former_config(IcFormerConfig config,
                            const Decoder& decoder,
                            ErrorKind kind,
                            const std::string& origin) {
  const auto demand = [&](bool good, const char* name, auto value, const std::string& expected) {
    if (!good) fail(kind, origin, ": ", name, " is ", value, ", expected ", expected);
  };
  const auto demand_range = [&](const char* name, int64_t value, int64_t largest) {
    demand(value >= 1 && value <= largest, name, value, concat("1 to ", largest));
  };
  demand_range("slots", config.slots, decoder.config().context_length - 1);
  demand_range("num_layers", config.num_layers, kLargestDepth);
  demand_range("ffn_size", config.ffn_size, kLargestFfn);
  const int64_t hidden = decoder.config().hidden_size;
  demand(
      config.num_heads >= 1 && hidden % config.num_heads == 0 && hidden / config.num_heads % 2 == 0,
      "num_heads",
      config.num_heads,
      concat("a number that divides the width of ", hidden, " into even parts"));
  const int64_t kv_heads = config.num_kv_heads.value_or(config.num_heads);
  demand(kv_heads >= 1 && config.num_heads % kv_heads == 0,
         "num_kv_heads",
         kv_heads,
         concat("a number that divides the ", config.num_heads, " heads"));
  check_limits(ic_former_settings(config), kind, origin);
  for (const auto* ids : {&config.instruct.before, &config.instruct.after, &config.instruct.end}) {
    check_template_ids(*ids, decoder, kind, origin);
  }
}

IcFormerConfig read_ic_former_config(const CompressorFiles& files, const Decoder& decoder) {
  IcFormerConfig config;
  read_settings(files, ic_former_settings(config));
  check_ic_former_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  return config;
}

ic_former::DigestNetSize digest_net_size(const IcFormerConfig& config, const Decoder& decoder) {
  const int64_t hidden = decoder.config().hidden_size;
  const int64_t kv_heads = config.num_kv_heads.value_or(config.num_heads);
  return {config.num_layers, hidden, config.ffn_size, hidden / config.num_heads * kv_heads};
}

}  // namespace precis
