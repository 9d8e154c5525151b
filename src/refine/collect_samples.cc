// SPDX-License-Identifier: Apache-2.0
#include "refine/collect_samples.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/spread_position.h"
#include "refine/draw_drafts.h"

namespace precis {
namespace {

constexpr int64_t kFewestDrawn = 2;      // of a sample that is worth a sequence
constexpr int64_t kShortestPassage = 8;  // tokens
constexpr uint64_t kSeedsApart = 1000;   // more than the drafts of one refinement

// What a draft is.
enum class Kind { kContinuation, kRequest, kAsking, kAnswer };

struct PlannedDraft {
  Kind kind = Kind::kContinuation;
  int64_t index = 0;  // among those of its kind; of an answer: of its question
  Draft draft = {};
};

class Collector {
 public:
  Collector(std::span<const TokenId> text,
            const RefinePrompts& prompts,
            const ReadContexts& contexts,
            const Decoder& decoder,
            const RefineOptions& options,
            const RefineTimer& timer)
      : text_(text),
        prompts_(prompts),
        contexts_(contexts),
        decoder_(decoder),
        options_(options),
        timer_(timer) {}

  RefineSamples collect() {
    const uint64_t seed = kSeedsApart * options_.seed;
    const std::vector<PlannedDraft> first =
        drawn(first_drafts(),
              seed,
              prompts_.chat ? options_.first_sampling_share : options_.sampling_share);
    const std::vector<PlannedDraft> answers =
        drawn(answers_to(first), seed + kSeedsApart / 2, options_.sampling_share);
    for (const auto* drafts : {&first, &answers})
      for (const PlannedDraft& planned : *drafts) add(planned);
    add_passages();
    return std::move(samples_);
  }

 private:
  bool is_held_out(int64_t index) const { return index % options_.held_out_every == 1; }

  void plan(Kind kind,
            int64_t index,
            std::vector<TokenId> prompt,
            std::vector<PlannedDraft>& drafts) const {
    const SharedPrefix& full = contexts_.of(kind != Kind::kContinuation).full_text();
    const int64_t needed = full.size() + std::ssize(prompt) + options_.sample_tokens;
    if (needed > decoder_.config().context_length) return;
    drafts.push_back({kind, index, Draft{&full, std::move(prompt)}});
  }

  std::vector<PlannedDraft> first_drafts() const {
    std::vector<PlannedDraft> drafts;
    const int64_t continuations = options_.num_continuations * (prompts_.chat ? 1 : 2);
    for (int64_t i = 0; i < continuations; ++i) plan(Kind::kContinuation, i, {}, drafts);
    if (!prompts_.chat) return drafts;
    const RefineChat& chat = *prompts_.chat;
    for (int64_t i = 0; i < std::ssize(chat.requests); ++i)
      plan(Kind::kRequest, i, chat.requests[i], drafts);
    for (int64_t i = 0; i < std::ssize(chat.askings); ++i)
      plan(Kind::kAsking, i, chat.askings[i], drafts);
    return drafts;
  }

  // The questions among the drafts, asked.
  std::vector<PlannedDraft> answers_to(const std::vector<PlannedDraft>& drafts) const {
    std::vector<PlannedDraft> answers;
    for (const PlannedDraft& asked : drafts) {
      const std::vector<TokenId>& question = asked.draft.ids;
      if (asked.kind != Kind::kAsking || std::ssize(question) < kFewestDrawn) continue;
      std::vector<TokenId> prompt = prompts_.chat->before_question;
      prompt.insert(prompt.end(), question.begin(), question.end() - (asked.draft.stopped ? 1 : 0));
      std::ranges::copy(prompts_.chat->after_question, std::back_inserter(prompt));
      plan(Kind::kAnswer, asked.index, std::move(prompt), answers);
    }
    return answers;
  }

  // Draws them until `share` of the time has passed.
  std::vector<PlannedDraft> drawn(std::vector<PlannedDraft> planned,
                                  uint64_t seed,
                                  double share) const {
    const auto goes_on = [&] {
      timer_.report();
      return timer_.elapsed() < share * timer_.limit();
    };
    if (!goes_on()) return {};
    std::vector<Draft> drafts;
    for (PlannedDraft& own : planned) drafts.push_back(std::move(own.draft));
    draw_drafts(drafts, {prompts_, options_.sample_tokens, seed}, decoder_, goes_on);
    for (size_t i = 0; i < planned.size(); ++i) planned[i].draft = std::move(drafts[i]);
    return planned;
  }

  void add(const PlannedDraft& planned) {
    const Draft& draft = planned.draft;
    if (std::ssize(draft.ids) < kFewestDrawn) return;
    RefineSample sample;
    sample.ids = draft.prompt;
    sample.ids.insert(sample.ids.end(), draft.ids.begin(), draft.ids.end());
    sample.num_given = std::ssize(draft.prompt);
    sample.in_chat = planned.kind != Kind::kContinuation;
    (is_held_out(planned.index) ? samples_.held_out : samples_.train).push_back(std::move(sample));
  }

  // Equal runs of the text, or as many of them as are wanted, evenly spread.
  void add_passages() {
    const int64_t size = std::ssize(text_);
    const int64_t runs = std::max<int64_t>(1, size / options_.sample_tokens);
    const int64_t wanted = std::min(runs, options_.num_passages);
    const bool hold_out = samples_.held_out.empty();
    for (int64_t i = 0; i < wanted; ++i) {
      const int64_t run = spread_position(i, wanted, runs);
      const int64_t first = run * size / runs, last = (run + 1) * size / runs;
      add_passage(text_.subspan(first, last - first), hold_out && is_held_out(i));
    }
  }

  void add_passage(std::span<const TokenId> ids, bool held_out) {
    const int64_t needed = contexts_.plain.full_text().size() + std::ssize(ids);
    if (std::ssize(ids) < kShortestPassage || needed > decoder_.config().context_length) return;
    RefineSample sample;
    sample.ids.assign(ids.begin(), ids.end());
    sample.weight = options_.passage_weight;
    (held_out ? samples_.held_out : samples_.train).push_back(std::move(sample));
  }

  std::span<const TokenId> text_;
  const RefinePrompts& prompts_;
  const ReadContexts& contexts_;
  const Decoder& decoder_;
  const RefineOptions& options_;
  const RefineTimer& timer_;
  RefineSamples samples_;
};

}  // namespace

RefineSamples collect_samples(std::span<const TokenId> text,
                              const RefinePrompts& prompts,
                              const ReadContexts& contexts,
                              const Decoder& decoder,
                              const RefineOptions& options,
                              const RefineTimer& timer) {
  return Collector(text, prompts, contexts, decoder, options, timer).collect();
}

}  // namespace precis
