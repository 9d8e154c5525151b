// SPDX-License-Identifier: Apache-2.0
#include "eval/reconstruction.h"

#include "eval/metrics.h"
#include "eval/timed.h"
#include "precis/error.h"

namespace precis {
namespace {

Measured measure_bleu(std::span<const BleuCounts> texts) {
  return measure(std::ssize(texts), [&](std::span<const int64_t> items) {
    BleuCounts sum;
    for (const int64_t i : items) sum += texts[i];
    return bleu(sum);
  });
}

class Reconstruction final : public MemoryTask {
 public:
  Reconstruction(const Engine& engine, std::span<const CutText> texts)
      : engine_(engine), texts_(texts) {}

  EvaluationTask task() const override { return EvaluationTask::kReconstruct; }

  std::string unsupported_reason() const override {
    try {
      engine_.apply_template({}, MemoryUse::kAutoencode);
      return {};
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
      return error.what();
    }
  }

  void prepare(const TaskProgress&) override {}

  std::vector<ArmResult> run(std::span<const TimedMemory> memories,
                             const TaskProgress& progress) override {
    std::vector<BleuCounts> counts;
    std::vector<double> prefixes, ms;
    for (int64_t i = 0; i < std::ssize(texts_); ++i) {
      const std::vector<TokenId>& older = texts_[i].older;
      const std::vector<TokenId> ids =
          timed(ms.emplace_back(), [&] { return reconstruct(memories[i].memory, older.size()); });
      // Both are decoded from ids, so that neither loses a space that the other keeps.
      counts.push_back(
          bleu_counts(engine_.tokenizer().decode(ids), engine_.tokenizer().decode(older)));
      prefixes.push_back(exact_prefix_share(ids, older));
      report(progress, i, std::ssize(texts_));
    }
    return {{name_of(Arm::kMemory),
             {{"bleu", measure_bleu(counts)},
              {"exact_prefix_share", mean_of(prefixes)},
              {"generate_ms", median_of(ms)}}}};
  }

 private:
  std::vector<TokenId> reconstruct(const Memory& memory, size_t num_tokens) const {
    const TemplatedPrompt templated = engine_.apply_template({&memory, 1}, MemoryUse::kAutoencode);
    GenerationOptions options;
    options.max_tokens = static_cast<int64_t>(num_tokens);
    options.stop_ids = templated.stop_ids;
    return engine_.generate(templated.prompt, options).ids;
  }

  const Engine& engine_;
  std::span<const CutText> texts_;
};

}  // namespace

std::unique_ptr<MemoryTask> make_reconstruction(const Engine& engine,
                                                std::span<const CutText> texts) {
  return std::make_unique<Reconstruction>(engine, texts);
}

}  // namespace precis
