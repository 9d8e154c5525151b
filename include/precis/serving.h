// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "precis/completion.h"
#include "precis/token.h"

namespace precis {

class RequestRecord;

struct TokenLogProbability {
  TokenId id = 0;
  double log_probability = 0;
};

// A token of an answer, as it is generated.
struct GeneratedToken {
  std::optional<TokenId> id = {};  // none: only text, which was held back until the answer ended
  // Text that is certain now: whole characters, before any stop text. May be empty, and may belong
  // to earlier tokens.
  std::string text = {};
  // With SubmitOptions::top_log_probabilities: natural logarithms of the model's probabilities,
  // before penalties, suppression and temperature. Alternatives: the most likely first.
  double log_probability = 0;
  std::vector<TokenLogProbability> alternatives = {};
};

// Receives each token on the engine's worker thread. Returning false cancels. What it throws fails
// its request alone. It must not wait for a request of the same engine or destroy the engine.
using TokenCallback = std::function<bool(const GeneratedToken& token)>;

// How a request is served (Engine::submit).
struct SubmitOptions {
  int64_t priority = 0;  // requests of a higher priority come first
  // The request ends then with what it has (Completion::Finish::kDeadline).
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  // Number of alternatives that on_token gets with log-probabilities, at least 0; none: neither is
  // computed.
  std::optional<int64_t> top_log_probabilities = {};
  TokenCallback on_token = {};
  // Called once at the end of the request, in every case, on the worker thread, before wait()
  // returns. What it throws is ignored. Restrictions as of TokenCallback.
  std::function<void(const Completion& completion)> on_end = {};
};

enum class RequestState {
  kQueued,       // waits until the cache has room
  kCompressing,  // texts of its prompt are being compressed
  kReading,      // its prompt is being read
  kDecoding,     // its answer is being generated
  kFinished,     // Completion::finish says why
  kCancelled,    // by cancel() or a callback that returned false
  kFailed,       // with an error
};

// A request that Engine::submit() has accepted. Copies refer to the same request. All methods may
// be called from several threads at once. Dropping it does not cancel the request; it may outlive
// the engine.
class RequestHandle {
 public:
  RequestState state() const;
  // Ends the request within one step of the engine, in any state; its completion keeps the text so
  // far. Returns at once. No effect after the end.
  void cancel() const;
  // Waits for the end.
  void wait() const;
  // Waits for the end, at most `timeout`. Whether it came.
  bool wait_for(std::chrono::milliseconds timeout) const;
  // Waits for the end. Throws the precis::Error of a request that failed.
  Completion get() const;

  explicit RequestHandle(std::shared_ptr<RequestRecord> record);  // for the engine

 private:
  std::shared_ptr<RequestRecord> record_;
};

}  // namespace precis
