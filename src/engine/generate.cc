// SPDX-License-Identifier: Apache-2.0
#include "engine/generate.h"

#include <memory>

#include "engine/request_record.h"
#include "engine/scheduled_request.h"
#include "engine/scheduler.h"
#include "io/translate_errors.h"

namespace precis {

std::vector<Completion> generate(std::span<const Request> requests,
                                 const Stages& stages,
                                 const DecodeStage& decoding,
                                 std::span<const TokenId> reserved_ids) {
  Scheduler scheduler(stages, decoding);
  std::vector<Completion> completions(requests.size());
  std::vector<std::shared_ptr<RequestRecord>> records(requests.size());  // null: it failed
  for (size_t i = 0; i < requests.size(); ++i) {
    try {
      translate_errors([&] {
        ScheduledRequest scheduled = schedule(requests[i], {}, stages, reserved_ids);
        records[i] = scheduled.record;
        scheduler.add(std::move(scheduled));
      });
    } catch (const Error&) {
      completions[i] = failed_completion(std::current_exception());
      records[i] = nullptr;
    }
  }
  while (!scheduler.is_idle()) scheduler.step();
  for (size_t i = 0; i < requests.size(); ++i) {
    if (records[i]) completions[i] = records[i]->take_completion();
  }
  return completions;
}

}  // namespace precis
