// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <mutex>

namespace precis {
namespace {

// Passes spdlog's messages to the application.
class CallbackSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CallbackSink(LogSink sink) : sink_(std::move(sink)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const LogLevel level = message.level >= spdlog::level::warn    ? LogLevel::kWarning
                           : message.level == spdlog::level::debug ? LogLevel::kDebug
                                                                   : LogLevel::kInfo;
    sink_(level, {message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

 private:
  LogSink sink_;
};

std::mutex logger_mutex;
std::shared_ptr<spdlog::logger> logger;  // null: silent

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      break;
  }
  return spdlog::level::warn;
}

}  // namespace

void set_log_sink(LogSink sink) {
  std::shared_ptr<spdlog::logger> fresh;
  if (sink) {
    fresh =
        std::make_shared<spdlog::logger>("precis", std::make_shared<CallbackSink>(std::move(sink)));
    fresh->set_level(spdlog::level::debug);
  }
  const std::scoped_lock lock(logger_mutex);
  logger = std::move(fresh);
}

void log(LogLevel level, std::string_view message) {
  std::shared_ptr<spdlog::logger> present;
  {
    const std::scoped_lock lock(logger_mutex);
    present = logger;
  }
  if (present)
    present->log(spdlog_level(level), spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace precis
