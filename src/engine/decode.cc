// SPDX-License-Identifier: Apache-2.0
#include "engine/decode.h"

namespace precis {

std::vector<Completion> decode(const DecodeStage& stage, std::span<const DecodeRequest> requests) {
  if (requests.empty()) return {};
  DecodeBatch batch(stage, std::ssize(requests));
  batch.add(requests);
  while (batch.is_running()) batch.step();
  return batch.take_completions();
}

}  // namespace precis
