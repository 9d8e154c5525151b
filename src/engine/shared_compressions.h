// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "engine/compress.h"
#include "precis/extend/segment.h"
#include "precis/options.h"

namespace precis {

struct ServedRequest;

// A text that is compressed for all requests that need it.
struct SharedCompression {
  Segment segment;
  CompressOptions options = {};  // without a progress callback
  std::vector<ServedRequest*> waiting = {};
  bool is_started = false;
  bool is_done = false;
  CompressionResult result = {};  // once done: one memory, or an error
};

// Finds the compressions that requests hold, so that equal texts are compressed once. Not safe for
// use from several threads at once.
class SharedCompressions {
 public:
  // One of an equal segment with equal options that has not failed, or a new one. Prefixes are
  // equal if they are one object.
  std::shared_ptr<SharedCompression> of(const Segment& segment, const CompressOptions& options);

 private:
  std::vector<std::weak_ptr<SharedCompression>> held_;
};

}  // namespace precis
