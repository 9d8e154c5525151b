// SPDX-License-Identifier: Apache-2.0
#include "engine/shared_compressions.h"

namespace precis {
namespace {

bool serves(const SharedCompression& compression,
            const Segment& segment,
            const CompressOptions& options) {
  return compression.result.error == nullptr && compression.segment.prefix == segment.prefix &&
         have_equal_settings(compression.options, options) &&
         compression.segment.tokens == segment.tokens;
}

}  // namespace

std::shared_ptr<SharedCompression> SharedCompressions::of(const Segment& segment,
                                                          const CompressOptions& options) {
  std::erase_if(held_, [](const auto& compression) { return compression.expired(); });
  for (const auto& held : held_) {
    if (auto compression = held.lock(); serves(*compression, segment, options)) return compression;
  }
  auto added = std::make_shared<SharedCompression>(SharedCompression{segment, options});
  added->options.progress = {};
  held_.push_back(added);
  return added;
}

}  // namespace precis
