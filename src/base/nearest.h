// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace precis {

// The candidate that a misspelt word probably means: one that begins with it, or else the one at
// the smallest edit distance (a letter that is wrong, missing, surplus, or exchanged with its
// neighbour), up to a third of the letters and at least 1. nullopt: no candidate is that close.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

// "; did you mean X?", or an empty string.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace precis
