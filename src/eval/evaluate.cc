// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluate.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "eval/continuation.h"
#include "eval/evaluation_checks.h"
#include "eval/questions.h"
#include "eval/reconstruction.h"
#include "eval/summaries.h"
#include "io/translate_errors.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {
namespace {

// Texts to be compressed and what is asked of their memories. A memory is made once for each ratio.
struct Group {
  std::vector<Text> texts;
  int64_t num_skipped = 0;
  std::vector<std::unique_ptr<MemoryTask>> tasks;
};

// All but the arms.
RatioResult describe(std::span<const TimedMemory> memories,
                     std::optional<double> ratio,
                     const Decoder& decoder) {
  const auto element = static_cast<int64_t>(decoder.options().dtype().itemsize());
  const auto bytes_per_row =
      static_cast<double>(decoder.config().kv_shape().bytes_per_token(element));
  std::vector<double> rows, saved, bytes, ms;
  double tokens = 0, all_rows = 0;
  for (const TimedMemory& made : memories) {
    const auto source = static_cast<double>(made.memory.provenance().source_tokens);
    rows.push_back(static_cast<double>(made.memory.num_tokens()));
    saved.push_back(source - rows.back());
    bytes.push_back(saved.back() * bytes_per_row);
    ms.push_back(made.ms);
    tokens += source;
    all_rows += rows.back();
  }
  return {
      ratio, tokens / all_rows, mean_of(rows), mean_of(saved), mean_of(bytes), median_of(ms), {}};
}

class Evaluator {
 public:
  Evaluator(const Engine& engine,
            const EvaluationOptions& options,
            Readings& readings,
            const EvaluationProgress& progress)
      : engine_(engine), options_(options), readings_(readings), progress_(progress) {
    const std::vector<EvaluationTask> tasks = tasks_of(options);
    const bool questions = tasks.back() == EvaluationTask::kQuestions;
    if (std::ranges::any_of(tasks, [](auto task) { return task >= EvaluationTask::kSummaries; }))
      load_prompts();
    if (!questions || tasks.size() > 1) add_texts(tasks);
    if (questions) add_questions();
    const bool any =
        std::ranges::any_of(groups_, [](const Group& group) { return !group.tasks.empty(); });
    PRECIS_CHECK(any, kUnsupported, "evaluation: ", left_out_.front().note);
  }

  std::vector<TaskResult> run() {
    std::vector<TaskResult> results = std::move(left_out_);
    for (const Group& group : groups_) {
      if (group.tasks.empty()) continue;
      for (TaskResult& result : run(group)) results.push_back(std::move(result));
    }
    std::ranges::sort(results, {}, &TaskResult::task);
    return results;
  }

  std::optional<bool> chat() const {
    return prompts_ ? std::optional(prompts_->chat()) : std::nullopt;
  }

 private:
  TaskProgress stage(const std::string& name) const {
    if (!progress_) return {};
    return [this, name](double done) { progress_(name, done); };
  }

  void load_prompts() {
    try {
      prompts_.emplace(engine_, options_.templated);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
      no_prompts_ = error.what();
    }
  }

  void add_texts(const std::vector<EvaluationTask>& tasks) {
    const bool goes_on = tasks.front() == EvaluationTask::kContinue;
    const TextLengths lengths{
        options_.older, goes_on ? options_.kept : 0, goes_on ? options_.scored : 0};
    texts_ = read_texts(
        options_.texts, engine_.tokenizer(), lengths, options_.limit, stage("reading texts"));
    Group group{{}, texts_.num_too_short, {}};
    for (const CutText& text : texts_.texts) group.texts.emplace_back(text.older);
    for (const EvaluationTask task : tasks) {
      if (task == EvaluationTask::kContinue)
        group.tasks.push_back(make_continuation(engine_, readings_, texts_.texts));
      if (task == EvaluationTask::kReconstruct)
        add(make_reconstruction(engine_, texts_.texts), group);
      if (task != EvaluationTask::kSummaries) continue;
      if (prompts_)
        group.tasks.push_back(make_summaries(engine_, readings_, *prompts_, texts_.texts));
      else
        leave_out(task, no_prompts_);
    }
    groups_.push_back(std::move(group));
  }

  void add_questions() {
    questions_ = read_questions(options_.questions,
                                engine_.tokenizer(),
                                longest_questions(engine_),
                                options_.limit,
                                stage("reading questions"));
    if (!prompts_) return leave_out(EvaluationTask::kQuestions, no_prompts_);
    Group group{{}, questions_.num_too_long, {}};
    for (const Question& question : questions_.questions)
      group.texts.emplace_back(question.context);
    group.tasks.push_back(make_questions(engine_, readings_, *prompts_, questions_.questions));
    groups_.push_back(std::move(group));
  }

  void add(std::unique_ptr<MemoryTask> task, Group& group) {
    if (const std::string obstacle = task->obstacle(); !obstacle.empty())
      leave_out(task->task(), obstacle);
    else
      group.tasks.push_back(std::move(task));
  }

  void leave_out(EvaluationTask task, const std::string& why) {
    left_out_.push_back({task, 0, 0, why, {}});
  }

  std::vector<TaskResult> run(const Group& group) const {
    std::vector<TaskResult> results;
    for (const auto& task : group.tasks) {
      results.push_back({task->task(), std::ssize(group.texts), group.num_skipped, {}, {}});
      task->prepare(stage(name_of(task->task()) + " without memories"));
    }
    for (const std::optional<double> ratio : ratios_of(options_, *engine_.compressor())) {
      const std::string where = ratio ? concat(" at ratio ", *ratio) : "";
      CompressOptions compression;
      compression.ratio = ratio;
      compression.positions = options_.positions;
      const std::vector<TimedMemory> memories =
          compress_texts(engine_, group.texts, compression, stage("compressing" + where));
      const RatioResult described = describe(memories, ratio, engine_.decoder());
      for (size_t i = 0; i < results.size(); ++i) {
        RatioResult& result = results[i].ratios.emplace_back(described);
        result.arms = group.tasks[i]->run(memories, stage(name_of(results[i].task) + where));
      }
    }
    return results;
  }

  const Engine& engine_;
  const EvaluationOptions& options_;
  Readings& readings_;
  const EvaluationProgress& progress_;
  TextRows texts_;
  QuestionRows questions_;
  std::optional<InstructPrompts> prompts_;
  std::string no_prompts_;  // why there are none
  std::vector<Group> groups_;
  std::vector<TaskResult> left_out_;
};

}  // namespace

void check(const EvaluationOptions& options, const Compressor& compressor, const Decoder& decoder) {
  check(options);
  check_lengths(options, compressor, decoder);
}

Evaluation evaluate(const Engine& engine,
                    const EvaluationOptions& options,
                    const EvaluationProgress& progress) {
  Readings readings;
  return evaluate(engine, options, readings, progress);
}

Evaluation evaluate(const Engine& engine,
                    const EvaluationOptions& options,
                    Readings& readings,
                    const EvaluationProgress& progress) {
  return translate_errors([&] {
    PRECIS_CHECK(
        engine.compressor() != nullptr, kInvalidArgument, "evaluation: no compressor was loaded");
    check(options, *engine.compressor(), engine.decoder());
    Evaluator evaluator(engine, options, readings, progress);
    Evaluation evaluation;
    const c10::TensorOptions computed = engine.decoder().options();
    evaluation.dtype = computed.dtype() == at::kBFloat16 ? "bfloat16" : "float32";
    evaluation.device = computed.device().str();
    evaluation.model_fingerprint = engine.decoder().fingerprint();
    const CompressorInfo info = engine.compressor()->info();
    evaluation.compressor_fingerprint = info.fingerprint;
    evaluation.method = info.method;
    evaluation.options = options;
    evaluation.chat = evaluator.chat();
    evaluation.tasks = evaluator.run();
    return evaluation;
  });
}

}  // namespace precis
