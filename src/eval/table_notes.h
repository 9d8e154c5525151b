// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "eval/evaluation.h"

// What the tables of a report show, for readers who know neither the program nor the code.
namespace precis {

// Of a task's first table in a summary.
const char* table_note(EvaluationTask task);

extern const char* const kAnswersNote;  // generated answers
extern const char* const kDepthsNote;   // needles by depth
extern const char* const kCostsNote;    // sizes and times of memories
extern const char* const kArmsNote;     // all metrics of all arms
extern const char* const kHowToRead;    // words and signs of all tables; ends with a line break

}  // namespace precis
