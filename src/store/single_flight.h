// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "precis/error.h"
#include "precis/store.h"
#include "store/store_ids.h"

namespace precis {

// Calls the same work once for concurrent callers of one process.
class SingleFlight {
 public:
  using Work = std::function<StoreResult()>;

  // What `work` returns or throws, or what the call for this key that is running returns (then
  // `cached`) or throws. If that was cancelled, the callers that wait for it begin anew. Throws
  // precis::Error only, whatever `work` throws.
  StoreResult run(const EntryKey& key, const Work& work);

  int64_t joined() const;  // calls that waited for another

 private:
  struct Flight {
    bool done = false;
    std::optional<StoreResult> result = {};
    std::optional<Error> error = {};
  };

  StoreResult lead(const EntryKey& key, Flight& flight, const Work& work);
  void end(const EntryKey& key, Flight& flight);
  // nullopt: it was cancelled.
  static std::optional<StoreResult> outcome_of(const Flight& flight);

  mutable std::mutex mutex_;  // of all flights
  std::condition_variable ended_;
  std::map<EntryKey, std::shared_ptr<Flight>> flights_;
  int64_t joined_ = 0;
};

}  // namespace precis
