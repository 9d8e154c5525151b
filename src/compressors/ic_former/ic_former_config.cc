// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/ic_former_config.h"

#include <cmath>

#include "base/check.h"
#include "compressors/compressor_settings.h"
#include "compressors/request_checks.h"

namespace precis {
namespace {

// Far above real sizes, and low enough that allocation does not fail before the check.
constexpr int64_t kLargestDepth = 1024, kLargestFfn = int64_t{1} << 20;

}  // namespace

void check_ic_former_config(const IcFormerConfig& config,
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
  demand(config.max_segment >= 1, "max_segment", config.max_segment, "at least 1");
  demand_range("num_layers", config.num_layers, kLargestDepth);
  demand_range("ffn_size", config.ffn_size, kLargestFfn);
  demand(config.rms_norm_epsilon > 0 && std::isfinite(config.rms_norm_epsilon),
         "rms_norm_epsilon",
         config.rms_norm_epsilon,
         "a number above 0");
  demand(config.rope_base > 0 && std::isfinite(config.rope_base),
         "rope_base",
         config.rope_base,
         "a number above 0");
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
  for (const auto* ids : {&config.instruct.before, &config.instruct.after, &config.instruct.end}) {
    check_template_ids(*ids, decoder, kind, origin);
  }
}

IcFormerConfig read_ic_former_config(const CompressorFiles& files, const Decoder& decoder) {
  const Settings settings(files);
  IcFormerConfig config;
  config.slots = settings.integer("slots");
  config.max_segment = settings.integer("max_segment");
  config.num_layers = settings.integer("num_layers");
  config.num_heads = settings.integer("num_heads");
  if (settings.has("num_kv_heads")) config.num_kv_heads = settings.integer("num_kv_heads");
  config.ffn_size = settings.integer("ffn_size");
  config.rms_norm_epsilon = settings.number("rms_norm_epsilon");
  config.rope_base = settings.number("rope_base");
  config.connector = settings.flag("connector", false);
  config.token_table = settings.flag("token_table", false);
  config.spread_positions = settings.choice("slot_positions", "spread", "after");
  config.instruct = {settings.ids("instruct_before"),
                     settings.ids("instruct_after"),
                     settings.ids("instruct_end")};
  check_ic_former_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  return config;
}

ic_former::DigestNetSize digest_net_size(const IcFormerConfig& config, const Decoder& decoder) {
  const int64_t hidden = decoder.config().hidden_size;
  const int64_t kv_heads = config.num_kv_heads.value_or(config.num_heads);
  return {config.num_layers, hidden, config.ffn_size, hidden / config.num_heads * kv_heads};
}

}  // namespace precis
