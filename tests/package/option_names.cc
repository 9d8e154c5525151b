// SPDX-License-Identifier: Apache-2.0
// The structs that an application fills in, each with one member by name: with -Wextra and -Werror
// a member without an initializer of its own would not compile.
#include <precis/extend/tokenizer.h>
#include <precis/precis.h>

precis::EngineOptions engine_options() { return {.model = "model.gguf"}; }
precis::EngineOptions device() { return {.device = precis::DeviceKind::kCpu}; }
precis::CompressOptions compress_options() { return {.ratio = 4.0}; }
precis::CompressOptions progress() {
  return {.progress = [](double) { return true; }};
}
precis::GenerationOptions generation_options() { return {.max_tokens = 96}; }
precis::GenerationOptions compression() { return {.compression = {.segment = 128}}; }
precis::Prompt::Text text() { return {.treatment = precis::Prompt::Treatment::kCompress}; }
precis::Prompt::Ids ids() { return {.ids = {1, 2}}; }
precis::Prompt::Turn turn() { return {.role = "user"}; }
precis::TemplatedPrompt templated() { return {.stop_ids = {2}}; }
precis::Completion completion() { return {.text = "so"}; }
precis::Savings savings() { return {.prompt_rows = 3}; }
precis::Timings timings() { return {.decode_ms = 1}; }
precis::Score score() { return {.nll = {0.5}}; }
precis::Request request() { return {.options = {.max_tokens = 8}}; }
precis::Provenance provenance() { return {.method = "own"}; }
precis::SpecialTokens special_tokens() { return {.bos = 1}; }
precis::TextRun run() { return {.trusted = true}; }
precis::MemoryBank::Match match() { return {.score = 1}; }
