// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation_items.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "eval/words.h"
#include "io/json_lines.h"

namespace precis {
namespace {

using nlohmann::json;

// The object of a line; messages name file and line.
class Line {
 public:
  Line(const std::filesystem::path& path, const json& object, int64_t line)
      : path_(path), object_(object), line_(line) {}

  bool has(const char* field) const { return object_.contains(field); }

  std::string text(const char* field) const {
    const auto found = object_.find(field);
    PRECIS_CHECK(found != object_.end() && is_text(*found),
                 kInvalidArgument,
                 where(),
                 " has no string \"",
                 field,
                 "\", or an empty one");
    return found->get<std::string>();
  }

  std::vector<std::string> answers() const {
    if (has("answer")) return {text("answer")};
    const auto found = object_.find("answers");
    PRECIS_CHECK(found != object_.end() && found->is_array() && !found->empty() &&
                     std::all_of(found->begin(), found->end(), is_text),
                 kInvalidArgument,
                 where(),
                 " has neither a string \"answer\" nor an array \"answers\" of strings");
    return distinct(found->get<std::vector<std::string>>());
  }

 private:
  static bool is_text(const json& value) {
    return value.is_string() && !value.get_ref<const std::string&>().empty();
  }
  static std::vector<std::string> distinct(const std::vector<std::string>& all) {
    std::vector<std::string> first;
    for (const std::string& text : all)
      if (std::ranges::find(first, text) == first.end()) first.push_back(text);
    return first;
  }
  std::string where() const { return concat(path_.string(), ": line ", line_); }

  const std::filesystem::path& path_;
  const json& object_;
  int64_t line_;
};

CutText cut(const std::vector<TokenId>& ids, const TextLengths& lengths) {
  const auto older = ids.begin() + lengths.older, kept = older + lengths.kept;
  return {{ids.begin(), older}, {older, kept}, {kept, kept + lengths.scored}, {}};
}

int64_t total(const TextLengths& lengths) { return lengths.older + lengths.kept + lengths.scored; }

// Tokens of prompt and longest answer.
int64_t length_of(const Question& question, const Tokenizer& tokenizer) {
  int64_t answer = 0;
  for (const std::string& text : question.answers)
    answer = std::max<int64_t>(answer, std::ssize(tokenizer.encode(text)));
  return std::ssize(tokenizer.encode(question.prompt)) + answer;
}

// Contexts that have a question, each once.
class Contexts {
 public:
  Contexts(const Tokenizer& tokenizer, QuestionItems& items)
      : tokenizer_(tokenizer), items_(items) {}

  // Adds a question about the text, unless it is longer than `most` tokens.
  bool add(const std::string& text, Question question, int64_t most) {
    const auto known = indices_.find(text);
    const bool is_new = known == indices_.end();
    std::vector<TokenId> ids = is_new ? tokenizer_.encode(text) : items_.contexts[known->second];
    if (std::ssize(ids) > most) return false;
    question.context = is_new ? std::ssize(items_.contexts) : known->second;
    if (is_new) {
      indices_.emplace(text, question.context);
      items_.contexts.push_back(std::move(ids));
    }
    items_.questions.push_back(std::move(question));
    return true;
  }

 private:
  const Tokenizer& tokenizer_;
  QuestionItems& items_;
  std::map<std::string, int64_t> indices_;
};

}  // namespace

std::vector<int64_t> contexts_of(std::span<const Question> questions) {
  std::vector<int64_t> contexts;
  for (const Question& question : questions) contexts.push_back(question.context);
  return contexts;
}

std::vector<std::span<const TokenId>> older_texts(std::span<const CutText> texts) {
  std::vector<std::span<const TokenId>> older;
  for (const CutText& text : texts) older.emplace_back(text.older);
  return older;
}

TextItems read_texts(const std::filesystem::path& path,
                     const Tokenizer& tokenizer,
                     const TextLengths& lengths,
                     int64_t limit,
                     const std::function<void(double)>& progress) {
  TextItems items;
  const auto visit = [&](const json& object, int64_t line) {
    const Line fields(path, object, line);
    const std::string text = fields.text("text");
    std::string summary = fields.has("summary") ? fields.text("summary") : "";
    if (std::ssize(items.texts) == limit) return;
    const std::vector<TokenId> ids = tokenizer.encode(text);
    if (std::ssize(ids) < total(lengths)) {
      ++items.num_too_short;
      return;
    }
    items.texts.push_back(cut(ids, lengths));
    items.texts.back().summary = std::move(summary);
  };
  read_json_lines(path, visit, progress);
  PRECIS_CHECK(!items.texts.empty(),
               kInvalidArgument,
               path.string(),
               ": no text has ",
               total(lengths),
               " tokens");
  return items;
}

QuestionItems read_questions(const std::filesystem::path& path,
                             const Tokenizer& tokenizer,
                             const QuestionLengths& longest,
                             int64_t limit,
                             const std::function<void(double)>& progress) {
  QuestionItems items;
  Contexts contexts(tokenizer, items);
  const auto visit = [&](const json& object, int64_t line) {
    const Line fields(path, object, line);
    const std::string context = fields.text("context");
    Question question{0, fields.text("prompt"), fields.answers()};
    if (std::ssize(items.questions) == limit) return;
    if (has_cjk(question.prompt)) question.answer_line = kChineseAnswerLine;
    question.room = longest.all - length_of(question, tokenizer);
    const int64_t most = std::min(longest.context, question.room);
    if (!contexts.add(context, std::move(question), most)) ++items.num_too_long;
  };
  read_json_lines(path, visit, progress);
  PRECIS_CHECK(!items.questions.empty(),
               kInvalidArgument,
               path.string(),
               ": no question fits the model and the compressor (contexts of at most ",
               std::min(longest.context, longest.all),
               " tokens)");
  return items;
}

}  // namespace precis
