// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace precis {

// A table in Markdown, its cells padded so that it reads well as plain text too.
class MarkdownTable {
 public:
  explicit MarkdownTable(std::vector<std::string> names) : rows_{std::move(names)} {}

  // REQUIRES: as many cells as names.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void write(std::ostream& out) const;

 private:
  std::vector<size_t> widths() const;

  std::vector<std::vector<std::string>> rows_;  // the names first
};

}  // namespace precis
