// SPDX-License-Identifier: Apache-2.0
#include "compressors/divided_cost.h"
#include "compressors/selfcp/selfcp.h"
#include "compressors/selfcp/selfcp_method.h"
#include "compressors/sizing.h"

namespace precis {
namespace {

struct Sizes {
  SelfCpConfig config;
  bool separator = true;
};

SettingTable all(Sizes& sizes) {
  SettingTable table = pick(selfcp_settings(sizes.config), {"ratio", "max_segment", "layer_norm"});
  table.push_back({"separator", &sizes.separator});
  return table;
}

SettingTable flags(Sizes& sizes) {
  return pick_flags(selfcp_settings(sizes.config), {"ratio", "max_segment"});
}

void read(const CompressorFiles& files, Sizes& sizes) {
  read_settings(files, selfcp_settings(sizes.config));
  sizes.separator = sizes.config.separator.has_value();
}

// One pass over separator, chunk and tags; the connector reads the tags.
MethodCost count(const Sizes& sizes, const DecoderConfig& model, int64_t num_tokens) {
  const ModelSizes m(model);
  MethodCost cost = divided_cost(num_tokens, sizes.config.max_segment, [&](int64_t chunk) {
    const double tags = memory_tokens_at(chunk, sizes.config.ratio);
    const double read = (sizes.separator ? 1 : 0) + static_cast<double>(chunk) + tags;
    return MethodCost{0, pass_flops(model, read, read) + connector_flops(m, tags), 0, tags};
  });
  cost.parameters = connector_parameters(m, sizes.config.layer_norm) + m.hidden;
  return cost;
}

}  // namespace

CompressorSizing selfcp_sizing() {
  return make_sizing(SizesOf<Sizes>{"selfcp", all, flags, read, count});
}

}  // namespace precis
