// SPDX-License-Identifier: Apache-2.0
#include "prompt/apply_template.h"

#include "base/check.h"
#include "engine/engine_components.h"
#include "precis/engine.h"

namespace precis {
namespace {

// A template is only meaningful around memories of its own method.
void check_method(std::span<const Memory> memories, const CompressorInfo& info) {
  for (const Memory& memory : memories) {
    const std::string& method = memory.provenance().method;
    PRECIS_CHECK(method == info.method || method == "mixed",
                 kInvalidArgument,
                 "memory template: a memory was made by ",
                 method,
                 ", but the compressor here is ",
                 info.method,
                 "; load the one that made it");
  }
}

}  // namespace

TemplatedPrompt Engine::apply_template(std::span<const Memory> memories,
                                       MemoryUse use,
                                       const std::string& text) const {
  return components_->run([&] {
    for (const Memory& memory : memories) check_memory(memory, decoder());
    check_method(memories, components_->compression().info);
    const MemoryTemplate around = components_->compression().compressor.memory_template(use);
    const std::vector<Prompt::Piece> pieces(memories.begin(), memories.end());
    std::vector<Prompt::Piece> about;
    if (!text.empty()) about.emplace_back(Prompt::Text{text});
    TemplatedPrompt templated{{}, around.answer_ends};
    precis::apply_template(around, pieces, about, decoder(), templated.prompt);
    return templated;
  });
}

}  // namespace precis
