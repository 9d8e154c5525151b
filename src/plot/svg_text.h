// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// At most one decimal, a point in every locale: 12.3, 40. REQUIRES: |value| < 1e9.
std::string svg_number(double value);

// The text as it may stand in XML, between tags or quotes. Control characters become spaces, bytes
// that are not UTF-8 and what XML forbids become U+FFFD.
std::string escape_xml(std::string_view text);

// Estimated, for a sans-serif font.
double text_width(std::string_view text, double font_size);

// The text, or as much of its beginning as is estimated to fit, with "..." behind it.
std::string shorten_text(std::string_view text, double font_size, double max_width);

}  // namespace precis
