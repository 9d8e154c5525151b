// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

namespace precis {

enum class LogLevel { kDebug, kInfo, kWarning };

using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Where messages of the library go, for all threads; nowhere, unless this is called. An empty sink
// silences them again.
void set_log_sink(LogSink sink);

}  // namespace precis
