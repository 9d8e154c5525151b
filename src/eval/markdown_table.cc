// SPDX-License-Identifier: Apache-2.0
#include "eval/markdown_table.h"

#include <algorithm>

namespace precis {
namespace {

// Number of code points.
size_t width_of(const std::string& text) {
  return std::ranges::count_if(text, [](unsigned char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

std::vector<size_t> MarkdownTable::widths() const {
  std::vector<size_t> widths(rows_.front().size(), 3);
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  return widths;
}

void MarkdownTable::write(std::ostream& out) const {
  const std::vector<size_t> widths = this->widths();
  for (size_t row = 0; row < rows_.size(); ++row) {
    out << "|";
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string& cell = rows_[row][i];
      out << " " << cell << std::string(widths[i] - width_of(cell), ' ') << " |";
    }
    out << "\n";
    if (row > 0) continue;
    out << "|";
    for (const size_t width : widths) out << " " << std::string(width, '-') << " |";
    out << "\n";
  }
}

}  // namespace precis
