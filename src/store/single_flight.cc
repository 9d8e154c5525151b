// SPDX-License-Identifier: Apache-2.0
#include "store/single_flight.h"

#include <utility>

#include "io/translate_errors.h"

namespace precis {

StoreResult SingleFlight::run(const EntryKey& key, const Work& work) {
  for (;;) {
    auto own = std::make_shared<Flight>();
    std::unique_lock lock(mutex_);
    const auto [place, is_first] = flights_.try_emplace(key, std::move(own));
    const std::shared_ptr<Flight> flight = place->second;
    if (is_first) {
      lock.unlock();
      return lead(key, *flight, work);
    }
    ++joined_;
    ended_.wait(lock, [&] { return flight->done; });
    lock.unlock();
    if (std::optional<StoreResult> result = outcome_of(*flight)) return *std::move(result);
  }
}

StoreResult SingleFlight::lead(const EntryKey& key, Flight& flight, const Work& work) {
  try {
    flight.result = translate_errors(work);
  } catch (const Error& error) {
    flight.error = Error(error.kind(), error.what());
    end(key, flight);
    throw;
  }
  end(key, flight);
  return *flight.result;
}

void SingleFlight::end(const EntryKey& key, Flight& flight) {
  {
    const std::lock_guard lock(mutex_);
    flights_.erase(key);
    flight.done = true;
  }
  ended_.notify_all();
}

// Each caller throws an object of its own.
std::optional<StoreResult> SingleFlight::outcome_of(const Flight& flight) {
  if (flight.result) return StoreResult{flight.result->memory, true, flight.result->store_error};
  if (flight.error->kind() == ErrorKind::kCancelled) return std::nullopt;
  throw Error(flight.error->kind(), flight.error->what());
}

int64_t SingleFlight::joined() const {
  const std::lock_guard lock(mutex_);
  return joined_;
}

}  // namespace precis
