// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace precis {

// A table in Markdown, with padded cells, so that it can be read as plain text.
class MarkdownTable {
 public:
  explicit MarkdownTable(std::vector<std::string> header) : rows_{std::move(header)} {}

  // Adds a row. REQUIRES: as many cells as the header has.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void write(std::ostream& out) const;

 private:
  std::vector<size_t> widths() const;

  std::vector<std::vector<std::string>> rows_;  // the header first
};

}  // namespace precis
