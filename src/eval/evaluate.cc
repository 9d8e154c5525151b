// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluate.h"

#include <algorithm>

#include "base/check.h"
#include "eval/evaluation_checks.h"
#include "eval/evaluation_plan.h"
#include "io/translate_errors.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {
namespace {

// Costs and sizes; the arms are left empty.
RatioResult describe(std::span<const TimedMemory> memories,
                     std::optional<double> ratio,
                     const Decoder& decoder) {
  const auto element = static_cast<int64_t>(decoder.options().dtype().itemsize());
  const auto bytes_per_token =
      static_cast<double>(decoder.config().kv_shape().bytes_per_token(element));
  std::vector<double> sizes, saved, bytes, ms;
  double tokens = 0, memory_tokens = 0;
  for (const TimedMemory& made : memories) {
    const auto source = static_cast<double>(made.memory.provenance().source_tokens);
    sizes.push_back(static_cast<double>(made.memory.num_tokens()));
    saved.push_back(source - sizes.back());
    bytes.push_back(saved.back() * bytes_per_token);
    ms.push_back(made.ms);
    tokens += source;
    memory_tokens += sizes.back();
  }
  return {ratio,
          tokens / memory_tokens,
          mean_of(sizes),
          mean_of(saved),
          mean_of(bytes),
          median_of(ms),
          {}};
}

// The ratios are left empty.
TaskResult result_of(EvaluationTask task, const TaskGroup& group) {
  return {.task = task,
          .num_items = group.num_items,
          .num_skipped = group.num_skipped,
          .num_contexts = asks(task) ? std::ssize(group.texts) : 0,
          .needle_tokens = group.needle_tokens};
}

// Runs the tasks of an evaluation.
class Evaluator {
 public:
  Evaluator(const Engine& engine,
            const EvaluationOptions& options,
            const EvaluationProgress& progress)
      : engine_(engine), options_(options), progress_(progress) {}

  std::vector<TaskResult> run(const EvaluationPlan& plan) const {
    std::vector<TaskResult> results = plan.left_out();
    for (const TaskGroup& group : plan.groups()) {
      if (group.tasks.empty()) continue;
      for (TaskResult& result : run(group)) results.push_back(std::move(result));
    }
    std::ranges::stable_sort(results, {}, &TaskResult::task);
    return results;
  }

 private:
  std::vector<TaskResult> run(const TaskGroup& group) const {
    std::vector<TaskResult> results;
    for (const auto& task : group.tasks) {
      results.push_back(result_of(task->task(), group));
      task->prepare(stage_of(progress_, title_of(results.back()) + " without memories"));
    }
    for (const std::optional<double> ratio : ratios_of(options_, *engine_.compressor()))
      add_ratio(group, ratio, results);
    return results;
  }

  void add_ratio(const TaskGroup& group,
                 std::optional<double> ratio,
                 std::vector<TaskResult>& results) const {
    const std::string where = ratio ? concat(" at ratio ", *ratio) : "";
    CompressOptions compression;
    compression.ratio = ratio;
    compression.positions = options_.positions;
    compression.refine_seconds = options_.refine_seconds;
    const std::vector<TimedMemory> memories = compress_texts(
        engine_, group.texts, compression, stage_of(progress_, "compressing" + where));
    const RatioResult described = describe(memories, ratio, engine_.decoder());
    for (size_t i = 0; i < results.size(); ++i) {
      RatioResult& result = results[i].ratios.emplace_back(described);
      const TaskProgress stage = stage_of(progress_, title_of(results[i]) + where);
      result.arms = group.tasks[i]->run(memories, stage);
    }
  }

  const Engine& engine_;
  const EvaluationOptions& options_;
  const EvaluationProgress& progress_;
};

// Everything but chat and tasks.
Evaluation identify(const Engine& engine, const EvaluationOptions& options) {
  Evaluation evaluation;
  const c10::TensorOptions computed = engine.decoder().options();
  evaluation.dtype = computed.dtype() == at::kBFloat16 ? "bfloat16" : "float32";
  evaluation.device = computed.device().str();
  evaluation.model_fingerprint = engine.decoder().fingerprint();
  const CompressorInfo info = engine.compressor()->info();
  evaluation.compressor_fingerprint = info.fingerprint;
  evaluation.method = info.method;
  evaluation.options = options;
  return evaluation;
}

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
    const EvaluationPlan plan(engine, options, readings, progress);
    Evaluation evaluation = identify(engine, options);
    evaluation.chat = plan.chat();
    evaluation.tasks = Evaluator(engine, options, progress).run(plan);
    return evaluation;
  });
}

}  // namespace precis
