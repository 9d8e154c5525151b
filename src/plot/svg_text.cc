// SPDX-License-Identifier: Apache-2.0
#include "plot/svg_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

namespace precis {
namespace {

// The JSON library knows how to replace broken sequences, but does it for printing only.
std::string repaired(std::string_view text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
}

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

bool is_control(char byte) { return static_cast<unsigned char>(byte) < ' ' || byte == '\x7f'; }

// What one byte adds to the width, in units of the font size.
double byte_width(char byte) {
  if (continues_character(byte)) return 0;
  return static_cast<unsigned char>(byte) < 0xE0 ? 0.56
                                                 : 1.0;  // beyond U+0800: mostly wide scripts
}

}  // namespace

std::string svg_number(double value) {
  const double tenths = std::round(value * 10) + 0.0;  // no -0
  char digits[32];
  const bool whole = std::fmod(tenths, 10) == 0;
  const auto result = std::to_chars(
      std::begin(digits), std::end(digits), tenths / 10, std::chars_format::fixed, whole ? 0 : 1);
  return {digits, result.ptr};
}

std::string escape_xml(std::string_view text) {
  constexpr std::string_view kSpecial = "&<>\"'";
  constexpr std::array kEntities = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
  std::string escaped;
  for (const char byte : repaired(text)) {
    const size_t special = kSpecial.find(byte);
    if (special != std::string_view::npos) {
      escaped += kEntities[special];
    } else {
      escaped += is_control(byte) ? ' ' : byte;
    }
  }
  for (const std::string_view forbidden : {"\xEF\xBF\xBE", "\xEF\xBF\xBF"}) {
    for (size_t at = 0; (at = escaped.find(forbidden, at)) != std::string::npos;) {
      escaped.replace(at, forbidden.size(), "\xEF\xBF\xBD");
    }
  }
  return escaped;
}

double text_width(std::string_view text, double font_size) {
  double width = 0;
  for (const char byte : text) width += byte_width(byte);
  return width * font_size;
}

std::string shorten_text(std::string_view text, double font_size, double max_width) {
  if (text_width(text, font_size) <= max_width) return std::string(text);
  constexpr std::string_view kDots = "...";
  double width = text_width(kDots, font_size);
  size_t size = 0;
  while (size < text.size()) {
    width += byte_width(text[size]) * font_size;
    if (width > max_width) break;
    ++size;
  }
  return std::string(text.substr(0, size)).append(kDots);
}

}  // namespace precis
