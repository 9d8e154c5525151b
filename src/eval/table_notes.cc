// SPDX-License-Identifier: Apache-2.0
#include "eval/table_notes.h"

#include "base/check.h"

namespace precis {

const char* table_note(EvaluationTask task) {
  switch (task) {
    case EvaluationTask::kContinue:
      return "The table shows how well the model predicts the tokens that follow a text: "
             "100 % is as well as after the full text, 0 % as well as without it.";
    case EvaluationTask::kReconstruct:
      return "The table shows how much of its text the model repeats from a memory: "
             "BLEU is 100 and the exact prefix 100 % where it repeats all.";
    case EvaluationTask::kSummaries:
      return "The table shows how much a summary shares with the reference, which is the file's "
             "summary, else the model's own of the full text: ROUGE-L is 1 where they are alike.";
    case EvaluationTask::kQuestions:
      return "The table shows how likely the correct answer is to the model, whatever it says: "
             "100 % is as likely as with the full text, 0 % as likely as without it. "
             "Losses are lower where it is likelier.";
    case EvaluationTask::kNeedles:
      return "The table shows the share of hidden facts that the generated answers contain.";
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

const char* const kAnswersNote =
    "The table shows how good the generated answers are: contained is the share of answers in "
    "which a correct one stands, F1 measures the words that they share with it.";

const char* const kDepthsNote =
    "The table shows the same share by the third of the text in which the fact stands.";

const char* const kCostsNote =
    "The table shows what a memory saves, as means over texts: its tokens, the tokens of its text "
    "less these, and the bytes of their keys and values. Compress ms is the median time to make "
    "one.";

const char* const kArmsNote =
    "The table shows what follows from what the model reads in place of a text (arm): none, "
    "nothing; verbatim, as many of its last tokens as its memory has; memory, its memory; other, "
    "the memory of another text; other_full, that text in full; full, the text in full. nll is "
    "the loss; score_ms and generate_ms are medians; metrics with \"below\" or \"over\" are mean "
    "differences to another arm, above 0 where the memory is better.";

const char* const kHowToRead =
    "How to read this. Ratio: text tokens for each memory token. Loss: mean negative\n"
    "log-likelihood of a token, in nats. Recovered: (none - memory) / (none - full) of the losses\n"
    "without the text, with the memory and with the full text. Specific: the same with another\n"
    "text in full in place of none. As many last tokens: the end of the text, as many tokens as\n"
    "the memory has. In brackets: 95 % bootstrap intervals over texts; questions about one text\n"
    "are drawn together. Better or worse: the interval of the paired difference excludes 0.\n";

}  // namespace precis
