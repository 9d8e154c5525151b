// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

namespace precis {

enum class LogLevel { kDebug, kInfo, kWarning };

using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Sets the receiver of the library's messages, for all threads. By default, and with an empty sink,
// they are dropped. The sink is called on the thread that logs, by one thread at a time.
void set_log_sink(LogSink sink);

}  // namespace precis
