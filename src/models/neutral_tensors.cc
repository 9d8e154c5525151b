// SPDX-License-Identifier: Apache-2.0
#include "models/neutral_tensors.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace precis {
namespace {

// Modules of which every tensor is computed from the configuration.
constexpr std::array<std::string_view, 2> kComputedModules{"rotary_emb", "rotary_emb_local"};

// Tensors by the last component of their names.
constexpr std::array<std::string_view, 8> kNeutralNames{
    // rotary tables in modules of other names
    "inv_freq",
    "cos_cached",
    "sin_cached",
    "position_ids",
    // of vLLM, for keys and values in FP8
    "k_scale",
    "v_scale",
    "q_scale",
    "kv_scale",
};

std::vector<std::string_view> components_of(std::string_view name) {
  std::vector<std::string_view> components;
  for (size_t dot = 0; (dot = name.find('.')) != std::string_view::npos;) {
    components.push_back(name.substr(0, dot));
    name.remove_prefix(dot + 1);
  }
  components.push_back(name);
  return components;
}

bool is_neutral(const std::string& name) {
  const std::vector<std::string_view> components = components_of(name);
  const auto is_computed = [](std::string_view component) {
    return std::ranges::find(kComputedModules, component) != kComputedModules.end();
  };
  return std::ranges::any_of(components, is_computed) ||
         std::ranges::find(kNeutralNames, components.back()) != kNeutralNames.end();
}

}  // namespace

void skip_neutral_tensors(const Weights& weights) {
  for (const std::string& name : weights.unread()) {
    if (is_neutral(name)) weights.skip(name);
  }
}

void refuse_leftovers(const Weights& weights) {
  const std::vector<std::string> unread = weights.unread();
  if (unread.empty()) return;
  constexpr size_t kMostNamed = 8;
  std::string names;
  for (size_t i = 0; i < std::min(unread.size(), kMostNamed); ++i)
    names += (i ? ", " : "") + unread[i];
  fail(ErrorKind::kBadWeights,
       weights.source().origin(),
       ": ",
       unread.size(),
       " tensors that the architecture does not use: ",
       names,
       unread.size() > kMostNamed ? ", ..." : "");
}

}  // namespace precis
