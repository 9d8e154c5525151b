// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// A number with at most one decimal, independent of the locale: 12.3, 40. REQUIRES: |value| < 1e9.
std::string svg_number(double value);

// Escapes a text for XML, between tags or quotes. Control characters become spaces; bytes that are
// not UTF-8 and characters that XML forbids become U+FFFD.
std::string escape_xml(std::string_view text);

// An estimate for a sans-serif font.
double text_width(std::string_view text, double font_size);

// The text, or as much of its beginning as is estimated to fit, followed by "...".
std::string shorten_text(std::string_view text, double font_size, double max_width);

}  // namespace precis
