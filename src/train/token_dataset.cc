// SPDX-License-Identifier: Apache-2.0
#include "train/token_dataset.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "io/json_lines.h"
#include "io/mapped_file.h"

namespace precis {

struct TokenDataset::Held {
  std::vector<int32_t> ids;
  std::vector<int64_t> ends;

  void add(const std::vector<TokenId>& field) {
    ids.insert(ids.end(), field.begin(), field.end());
    ends.push_back(std::ssize(ids));
  }
};

namespace {

constexpr const char* kFormat = "precis token dataset 1";

// A hash of the file and of what it is tokenised with: the bytes of all tokens, and the ids of a
// text with letters, digits, spaces and scripts, which differ where the rules differ.
std::string source_hash(const std::filesystem::path& path,
                        const Tokenizer& tokenizer,
                        const PromptEncoder& encode_prompt) {
  Hasher hasher;
  hasher.add(MappedFile::open(path).bytes());
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) hasher.add(tokenizer.token_bytes(id));
  for (const TokenId id :
       tokenizer.encode("It's 12,345.67 caf\u00e9s\n\n\tAnd  so on: x_1=\"\u4f60\u597d\""))
    hasher.add(id);
  for (const TokenId id : encode_prompt("What is it?")) hasher.add(id);
  return hasher.hex();
}

// The strings of a line: the text, or context, prompt and answer.
std::vector<std::string> texts_of(const nlohmann::json& line,
                                  const std::filesystem::path& path,
                                  int64_t number) {
  const auto has = [&](const char* key) {
    if (!line.contains(key) || !line[key].is_string()) return false;
    PRECIS_CHECK(!line[key].get_ref<const std::string&>().empty(),
                 kInvalidArgument,
                 path.string(),
                 ": line ",
                 number,
                 ": \"",
                 key,
                 "\" is empty");
    return true;
  };
  if (has("text")) return {line["text"].get<std::string>()};
  PRECIS_CHECK(has("context") && has("prompt") && has("answer"),
               kInvalidArgument,
               path.string(),
               ": line ",
               number,
               " has neither a string \"text\" nor strings \"context\", \"prompt\" and \"answer\"");
  return {line["context"].get<std::string>(),
          line["prompt"].get<std::string>(),
          line["answer"].get<std::string>()};
}

template <typename T>
std::span<const T> values_of(const SafetensorsFile& file, const char* name, const char* dtype) {
  const StoredTensor* stored = file.find(name);
  PRECIS_CHECK(stored != nullptr && stored->dtype == dtype &&
                   reinterpret_cast<uintptr_t>(stored->bytes.data()) % sizeof(T) == 0,
               kBadWeights,
               file.path().string(),
               ": damaged (",
               name,
               " is not as it was written)");
  return {reinterpret_cast<const T*>(stored->bytes.data()), stored->bytes.size() / sizeof(T)};
}

// The cache, if there is one and it was made from this source.
std::optional<SafetensorsFile> open_cache(const std::filesystem::path& cache,
                                          const std::string& source) {
  std::error_code ignored;
  if (!std::filesystem::exists(cache, ignored)) return std::nullopt;
  SafetensorsFile file = SafetensorsFile::open(cache);
  const auto value = [&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  PRECIS_CHECK(value("format") == kFormat,
               kInvalidArgument,
               cache.string(),
               ": exists and is not a cache of training data");
  if (value("source") != source) return std::nullopt;
  return file;
}

void write_cache(const std::filesystem::path& cache,
                 const std::string& source,
                 std::span<const int32_t> ids,
                 std::span<const int64_t> ends) {
  const std::vector<StoredTensor> tensors{{"ends", "I64", {std::ssize(ends)}, std::as_bytes(ends)},
                                          {"ids", "I32", {std::ssize(ids)}, std::as_bytes(ids)}};
  write_safetensors(cache, tensors, {{"format", kFormat}, {"source", source}});
}

}  // namespace

TokenDataset::TokenDataset(std::shared_ptr<const void> owner,
                           std::span<const int32_t> ids,
                           std::span<const int64_t> ends)
    : owner_(std::move(owner)), ids_(ids), ends_(ends) {}

TokenDataset TokenDataset::read(const std::filesystem::path& path,
                                const Tokenizer& tokenizer,
                                const std::filesystem::path& cache,
                                const std::function<void(double)>& progress,
                                const PromptEncoder& encode_prompt) {
  const PromptEncoder encode = encode_prompt ? encode_prompt : [&](const std::string& text) {
    return tokenizer.encode(text);
  };
  if (cache.empty()) return tokenize(path, tokenizer, encode, progress);
  const std::string source = source_hash(path, tokenizer, encode);
  if (auto file = open_cache(cache, source)) return map(std::move(*file), tokenizer.vocab_size());
  const TokenDataset fresh = tokenize(path, tokenizer, encode, progress);
  write_cache(cache, source, fresh.ids_, fresh.ends_);
  return map(SafetensorsFile::open(cache), tokenizer.vocab_size());
}

TokenDataset TokenDataset::tokenize(const std::filesystem::path& path,
                                    const Tokenizer& tokenizer,
                                    const PromptEncoder& encode_prompt,
                                    const std::function<void(double)>& progress) {
  auto held = std::make_shared<Held>();
  read_json_lines(
      path,
      [&](const nlohmann::json& line, int64_t number) {
        const std::vector<std::string> texts = texts_of(line, path, number);
        const bool answered = std::ssize(texts) == kFields;
        held->add(tokenizer.encode(texts[0]));
        held->add(answered ? encode_prompt(texts[1]) : std::vector<TokenId>());
        held->add(answered ? tokenizer.encode(texts[2]) : std::vector<TokenId>());
      },
      progress);
  PRECIS_CHECK(!held->ends.empty(), kInvalidArgument, path.string(), ": holds no text");
  const std::span<const int32_t> ids(held->ids);
  const std::span<const int64_t> ends(held->ends);
  return TokenDataset(std::move(held), ids, ends);
}

TokenDataset TokenDataset::map(SafetensorsFile file, int64_t vocab_size) {
  auto owner = std::make_shared<const SafetensorsFile>(std::move(file));
  const auto ids = values_of<int32_t>(*owner, "ids", "I32");
  const auto ends = values_of<int64_t>(*owner, "ends", "I64");
  int64_t last = 0;
  bool ordered = !ends.empty() && std::ssize(ends) % kFields == 0;
  for (const int64_t end : ends) {
    ordered = ordered && end >= last;
    last = end;
  }
  const bool known =
      std::ranges::all_of(ids, [&](int32_t id) { return id >= 0 && id < vocab_size; });
  PRECIS_CHECK(ordered && known && last == std::ssize(ids),
               kBadWeights,
               owner->path().string(),
               ": damaged (its records or its ids are out of range)");
  return TokenDataset(owner, ids, ends);
}

TrainingRecord TokenDataset::record(int64_t index) const {
  PRECIS_CHECK(index >= 0 && index < num_records(), kInvalidArgument, "dataset: no record ", index);
  const auto field = [&](int64_t number) {
    const int64_t at = index * kFields + number;
    const int64_t first = at == 0 ? 0 : ends_[at - 1];
    return ids_.subspan(first, ends_[at] - first);
  };
  return {field(0), field(1), field(2)};
}

std::string TokenDataset::fingerprint() const {
  Hasher hasher;
  hasher.add(std::as_bytes(ids_));
  hasher.add(std::as_bytes(ends_));
  return hasher.hex();
}

}  // namespace precis
