// SPDX-License-Identifier: Apache-2.0
#include "eval/readings.h"

#include <algorithm>

#include "base/hash.h"
#include "eval/timed.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {
namespace {

void add(std::span<const TokenId> ids, Hasher& hash) {
  hash.add(static_cast<int64_t>(ids.size()));
  hash.add(std::as_bytes(ids));
}

void add(const Prompt::Piece& piece, Hasher& hash) {
  hash.add(static_cast<int64_t>(piece.index()));
  if (const auto* ids = std::get_if<Prompt::Ids>(&piece)) return add(ids->ids, hash);
  const auto& text = std::get<Prompt::Text>(piece);
  hash.add(text.text);
  hash.add(static_cast<int64_t>(text.trusted));
}

void add(const ChatOptions& options, Hasher& hash) {
  hash.add(options.tools);
  hash.add(static_cast<int64_t>(options.variables.size()));
  for (const auto& [name, value] : options.variables) {
    hash.add(name);
    hash.add(value);
  }
  hash.add(static_cast<int64_t>(options.add_generation_prompt));
}

void add(const Prompt& prompt, Hasher& hash) {
  hash.add(static_cast<int64_t>(prompt.turns().size()));
  for (const Prompt::Turn& turn : prompt.turns()) {
    hash.add(turn.role);
    hash.add(turn.fields);
    hash.add(static_cast<int64_t>(turn.pieces.size()));
    for (const Prompt::Piece& piece : turn.pieces) add(piece, hash);
  }
  add(prompt.chat_options(), hash);
}

// Whether the compressor does not change what the model reads.
bool is_plain(const Prompt::Piece& piece) {
  const auto* text = std::get_if<Prompt::Text>(&piece);
  if (text != nullptr) return text->treatment == Prompt::Treatment::kKeep;
  return std::holds_alternative<Prompt::Ids>(piece);
}

bool is_plain(const Prompt& prompt) {
  return std::ranges::all_of(prompt.turns(), [](const Prompt::Turn& turn) {
    return std::ranges::all_of(turn.pieces,
                               [](const Prompt::Piece& piece) { return is_plain(piece); });
  });
}

template <typename Result, typename Read>
Result read_once(std::map<std::string, Result>& kept, const std::string& key, const Read& read) {
  const auto found = kept.find(key);
  return found != kept.end() ? found->second : kept.emplace(key, read()).first->second;
}

std::string key_of(const Engine& engine, const Prompt& prompt, std::span<const TokenId> ids) {
  Hasher hash;
  hash.add(engine.decoder().fingerprint());
  add(prompt, hash);
  add(ids, hash);
  return hash.hex();
}

// A compressor's reserved ids are never sampled, so that answers depend on them.
std::string key_of(const Engine& engine, const TemplatedPrompt& templated, int64_t max_tokens) {
  Hasher hash;
  hash.add(engine.decoder().fingerprint());
  add(templated.prompt, hash);
  add(templated.stop_ids, hash);
  hash.add(max_tokens);
  if (engine.compressor() != nullptr) add(engine.compressor()->info().reserved_ids, hash);
  return hash.hex();
}

}  // namespace

Readings::Scored Readings::score(const Engine& engine,
                                 const Prompt& prompt,
                                 std::span<const TokenId> ids) {
  const auto read = [&] {
    Scored scored;
    scored.nll = timed(scored.ms, [&] { return engine.score_ids(prompt, ids).mean(); });
    return scored;
  };
  return is_plain(prompt) ? read_once(scores_, key_of(engine, prompt, ids), read) : read();
}

Readings::Answered Readings::answer(const Engine& engine,
                                    const TemplatedPrompt& templated,
                                    int64_t max_tokens) {
  const auto read = [&] {
    GenerationOptions options;
    options.max_tokens = max_tokens;
    options.stop_ids = templated.stop_ids;
    Answered answered;
    answered.text =
        timed(answered.ms, [&] { return engine.generate(templated.prompt, options).text; });
    return answered;
  };
  return is_plain(templated.prompt)
             ? read_once(answers_, key_of(engine, templated, max_tokens), read)
             : read();
}

}  // namespace precis
