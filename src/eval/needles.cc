// SPDX-License-Identifier: Apache-2.0
#include "eval/needles.h"

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "eval/needle_facts.h"
#include "eval/sentences.h"
#include "io/json_lines.h"

namespace precis {
namespace {

struct Sentence {
  std::string text;
  int64_t num_tokens;
};

int64_t count(const std::string& text, const Tokenizer& tokenizer) {
  return std::ssize(tokenizer.encode(text));
}

int64_t total_tokens(std::span<const Sentence> sentences) {
  int64_t total = 0;
  for (const Sentence& sentence : sentences) total += sentence.num_tokens;
  return total;
}

// The sentences of texts, in order, with an empty line before each text.
class SentenceReader {
 public:
  SentenceReader(std::span<const std::string> texts, const Tokenizer& tokenizer)
      : texts_(texts), tokenizer_(tokenizer) {}

  // The next sentences, of at most `num_tokens` tokens together. The first one that does not fit is
  // left for the next call; one that is longer is dropped. Empty if the texts end before.
  std::vector<Sentence> take(int64_t num_tokens) {
    std::vector<Sentence> taken;
    for (int64_t total = 0; fill(); next_.pop_front()) {
      if (next_.front().num_tokens > num_tokens) continue;
      total += next_.front().num_tokens;
      if (total > num_tokens) return taken;
      taken.push_back(std::move(next_.front()));
    }
    return {};
  }

 private:
  // Whether there is a next sentence.
  bool fill() {
    while (next_.empty() && next_text_ < texts_.size()) {
      for (std::string& sentence : sentences_of("\n\n" + texts_[next_text_])) {
        const int64_t num_tokens = count(sentence, tokenizer_);
        next_.push_back({std::move(sentence), num_tokens});
      }
      ++next_text_;
    }
    return !next_.empty();
  }

  std::span<const std::string> texts_;
  const Tokenizer& tokenizer_;
  size_t next_text_ = 0;
  std::deque<Sentence> next_;
};

// Facts with the shares of a context that are to stand before them.
struct HiddenFacts {
  std::vector<NeedleFact> facts;
  std::vector<double> shares;
};

struct Context {
  std::string text;
  std::vector<double> depths;  // of each fact: the share of the other tokens before it
};

HiddenFacts draw(int64_t count, NeedleSource& source) {
  HiddenFacts hidden{source.facts(count), {}};
  for (int64_t i = 0; i < count; ++i) hidden.shares.push_back(source.share());
  return hidden;
}

// The place between sentences that is nearest to having `share` of their tokens before it.
size_t place_of(double share, std::span<const Sentence> sentences) {
  double left = share * static_cast<double>(total_tokens(sentences));
  size_t place = 0;
  for (; place < sentences.size(); ++place) {
    const auto next = static_cast<double>(sentences[place].num_tokens);
    if (left < next / 2) break;
    left -= next;
  }
  return place;
}

std::string without_space_before(const std::string& text) {
  const size_t first = text.find_first_not_of(" \n\r\t");
  return first == std::string::npos ? "" : text.substr(first);
}

Context hide(const HiddenFacts& hidden, std::span<const Sentence> sentences) {
  std::vector<std::string> inserted(sentences.size() + 1);
  Context context;
  const auto total = static_cast<double>(std::max<int64_t>(total_tokens(sentences), 1));
  for (size_t i = 0; i < hidden.facts.size(); ++i) {
    const size_t place = place_of(hidden.shares[i], sentences);
    inserted[place] += " " + hidden.facts[i].sentence;
    context.depths.push_back(static_cast<double>(total_tokens(sentences.first(place))) / total);
  }
  for (size_t i = 0; i < sentences.size(); ++i) context.text += inserted[i] + sentences[i].text;
  context.text = without_space_before(context.text + inserted.back());
  return context;
}

// Tokens that are left for sentences.
int64_t room_beside(const HiddenFacts& hidden, int64_t num_tokens, const Tokenizer& tokenizer) {
  int64_t room = num_tokens;
  for (const NeedleFact& fact : hidden.facts) room -= count(" " + fact.sentence, tokenizer);
  PRECIS_CHECK(room > 0,
               kInvalidArgument,
               "needles: contexts of ",
               num_tokens,
               " tokens have no room for ",
               std::ssize(hidden.facts),
               " facts; longer contexts or fewer facts help");
  return room;
}

class NeedleMaker {
 public:
  NeedleMaker(const Tokenizer& tokenizer, int64_t num_tokens, int64_t limit, int64_t room)
      : tokenizer_(tokenizer), limit_(limit), room_(room) {
    items_.needle_tokens = num_tokens;
  }

  bool is_full() const { return std::ssize(items_.questions) >= limit_; }

  // Tokens are counted sentence by sentence, and a tokenizer may need more for the whole.
  void add(const HiddenFacts& hidden, std::vector<Sentence> sentences) {
    Context context = hide(hidden, sentences);
    std::vector<TokenId> ids = tokenizer_.encode(context.text);
    while (std::ssize(ids) > items_.needle_tokens && !sentences.empty()) {
      sentences.pop_back();
      context = hide(hidden, sentences);
      ids = tokenizer_.encode(context.text);
    }
    items_.contexts.push_back(std::move(ids));
    for (size_t i = 0; i < hidden.facts.size() && !is_full(); ++i)
      ask(hidden.facts[i], context.depths[i]);
  }

  QuestionItems take() { return std::move(items_); }

 private:
  void ask(const NeedleFact& fact, double depth) {
    items_.questions.push_back({std::ssize(items_.contexts) - 1,
                                fact.question,
                                {fact.answer},
                                room_,
                                fact.answer_line,
                                depth});
  }

  const Tokenizer& tokenizer_;
  int64_t limit_, room_;
  QuestionItems items_;
};

}  // namespace

std::vector<std::string> read_needle_texts(const std::filesystem::path& path,
                                           const std::function<void(double)>& progress) {
  std::vector<std::string> texts;
  const auto visit = [&](const nlohmann::json& object, int64_t line) {
    const auto found = object.find("text");
    PRECIS_CHECK(found != object.end() && found->is_string() &&
                     !found->get_ref<const std::string&>().empty(),
                 kInvalidArgument,
                 path.string(),
                 ": line ",
                 line,
                 " has no string \"text\", or an empty one");
    texts.push_back(found->get<std::string>());
  };
  read_json_lines(path, visit, progress);
  return texts;
}

QuestionItems make_needles(std::span<const std::string> texts,
                           const Tokenizer& tokenizer,
                           const NeedleOptions& options,
                           int64_t num_tokens,
                           int64_t limit,
                           int64_t room) {
  NeedleSource source(options.seed);
  SentenceReader reader(texts, tokenizer);
  NeedleMaker maker(tokenizer, num_tokens, limit, room);
  while (!maker.is_full()) {
    const HiddenFacts hidden = draw(options.per_text, source);
    std::vector<Sentence> sentences = reader.take(room_beside(hidden, num_tokens, tokenizer));
    if (sentences.empty()) break;
    maker.add(hidden, std::move(sentences));
  }
  QuestionItems items = maker.take();
  PRECIS_CHECK(items.contexts.size() >= 2,
               kInvalidArgument,
               options.texts.string(),
               ": ",
               items.contexts.size(),
               " contexts of ",
               num_tokens,
               " tokens can be made, the control needs 2; more texts, a higher limit or fewer "
               "needles in each help");
  return items;
}

}  // namespace precis
