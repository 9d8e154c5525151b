// SPDX-License-Identifier: Apache-2.0
#include "eval/verdict.h"

#include "base/check.h"
#include "eval/arms.h"
#include "eval/format_measured.h"

namespace precis {
namespace {

const Measured* find(const RatioResult& result, Arm arm, const std::string& metric) {
  return find_metric(result, name_of(arm), metric);
}

// Empty if there is no such metric, as the functions below.
std::string clause(const std::string& before, const Measured* share, const char* after = "") {
  return share != nullptr ? before + percent(share->value) + after : "";
}

std::string number_clause(const std::string& before, const Measured* measured) {
  return measured != nullptr ? before + number(measured->value) : "";
}

const char* compared(const Measured& difference) {
  if (difference.interval.low > 0) return "better than";
  return difference.interval.high < 0 ? "worse than" : "no better than";
}

// difference: the metric of the memory's arm, without the name of the other arm. A memory is
// expected to be better than another text's, so that only the opposite is reported.
std::string judgement(const std::string& it_is,
                      const std::string& difference,
                      const RatioResult& result) {
  std::string text;
  const Measured* over_verbatim = find(result, Arm::kMemory, difference + "verbatim");
  if (over_verbatim != nullptr)
    text += concat(" ", it_is, " ", compared(*over_verbatim), " truncating.");
  const Measured* over_other = find(result, Arm::kMemory, difference + "other");
  if (over_other != nullptr && !(over_other->interval.low > 0))
    text += concat(" ", it_is, " ", compared(*over_other), " another text's memory.");
  return text;
}

std::string of_losses(const RatioResult& result) {
  const auto share = [&](Arm arm) { return find(result, arm, "recovered_share"); };
  if (share(Arm::kMemory) == nullptr)
    return "the full text is no better than no text here: there is nothing to recover.";
  return clause("recovers ", share(Arm::kMemory), " of what the full text gives") +
         clause("; keeping as many last tokens gives ", share(Arm::kVerbatim)) +
         clause(", another text's memory ", share(Arm::kOther)) + "." +
         clause(" Specific to the text: ", find(result, Arm::kMemory, "specific_share"), ".");
}

// A metric of answers as a share of the full text's.
std::string of_answer_metric(const char* before,
                             const std::string& metric,
                             const char* after,
                             const RatioResult& result) {
  const auto share = [&](Arm arm) { return find(result, arm, metric); };
  if (share(Arm::kMemory) == nullptr) return "";
  return clause(before, share(Arm::kMemory), after) +
         clause(" (as many last tokens ", share(Arm::kVerbatim)) +
         clause(", without the text ", share(Arm::kNone), ").");
}

std::string of_answers(const RatioResult& result) {
  if (find(result, Arm::kMemory, "contained_share") == nullptr)
    return " No answer from the full text contains the correct one.";
  return of_answer_metric(" Its answers contain the correct one ",
                          "contained_share",
                          " as often as the full text's",
                          result);
}

std::string of_questions(const RatioResult& result) {
  return of_losses(result) + judgement("By likelihood it is", "nll_below_", result) +
         of_answers(result) +
         of_answer_metric(" Their F1 is ", "f1_share", " of the full text's", result) +
         judgement("By F1 it is", "f1_over_", result);
}

std::string of_needles(const RatioResult& result) {
  if (find(result, Arm::kMemory, "contained_share") == nullptr)
    return "the full text finds no fact here: there is nothing to compare with.";
  return of_answer_metric("finds ", "contained_share", " as many facts as the full text", result) +
         judgement("It is", "contained_over_", result);
}

std::string of_summaries(const RatioResult& result) {
  const auto rouge = [&](Arm arm) { return find(result, arm, "rouge_l"); };
  return number_clause("has a ROUGE-L of ", rouge(Arm::kMemory)) +
         number_clause("; keeping as many last tokens gives ", rouge(Arm::kVerbatim)) +
         number_clause(", another text's memory ", rouge(Arm::kOther)) +
         number_clause(", no text ", rouge(Arm::kNone)) +
         number_clause(", the full text ", rouge(Arm::kFull)) + "." +
         judgement("It is", "rouge_l_over_", result);
}

std::string of_reconstruction(const RatioResult& result) {
  return number_clause("reconstructs texts with a BLEU of ", find(result, Arm::kMemory, "bleu")) +
         clause(", ",
                find(result, Arm::kMemory, "exact_prefix_share"),
                " of the tokens before the first error") +
         ".";
}

}  // namespace

std::string verdict(EvaluationTask task, const RatioResult& result) {
  switch (task) {
    case EvaluationTask::kContinue:
      return of_losses(result) + judgement("It is", "nll_below_", result);
    case EvaluationTask::kReconstruct:
      return of_reconstruction(result);
    case EvaluationTask::kSummaries:
      return of_summaries(result);
    case EvaluationTask::kQuestions:
      return of_questions(result);
    case EvaluationTask::kNeedles:
      return of_needles(result);
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

}  // namespace precis
