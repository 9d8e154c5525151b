// SPDX-License-Identifier: Apache-2.0
#include "io/in_quotes.h"

namespace precis {

std::string in_quotes(std::string_view text) {
  constexpr size_t kMaxLength = 100;
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxLength)) {
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out + (text.size() > kMaxLength ? "...\"" : "\"");
}

}  // namespace precis
