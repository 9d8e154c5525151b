// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "precis/engine.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"
#include "support/temporary_directory.h"

namespace precis {

inline const std::filesystem::path kLlama =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

// A tiny random model, untrained compressors over it, and texts of a few hundred tokens.
class EvaluateTest : public testing::Test {
 protected:
  static constexpr int64_t kOlder = 24, kKept = 5, kScored = 7;

  using Make = std::unique_ptr<Compressor> (*)(const Decoder&);

  Engine load(Make make, const std::filesystem::path& model = kLlama) const {
    {
      const c10::NoGradGuard no_grad;
      const auto decoder = load_decoder(model, at::kFloat);
      make(*decoder)->save(directory / "compressor");
    }
    EngineOptions options;
    options.model = model;
    options.compressor = directory / "compressor";
    options.dtype = Dtype::kFloat32;
    return Engine::load(options);
  }

  // The model with a chat template.
  std::filesystem::path chat_model() const {
    std::filesystem::copy(kLlama, directory / "chat");
    damage_json(directory / "chat" / "tokenizer_config.json", [](nlohmann::json& config) {
      config["chat_template"] =
          "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}:";
    });
    return directory / "chat";
  }

  std::filesystem::path write(const std::string& name,
                              const std::vector<nlohmann::json>& rows) const {
    std::string lines;
    for (const nlohmann::json& row : rows) lines += row.dump() + "\n";
    overwrite(directory / name, lines);
    return directory / name;
  }

  static std::string text(int number) {
    std::string text;
    for (int i = 1; i <= 12; ++i)
      text += "the water of town " + std::to_string(number * 37 * i) + " is more of the kind; ";
    return text;
  }

  EvaluationOptions text_options(std::vector<EvaluationTask> tasks, int num_texts = 3) const {
    std::vector<nlohmann::json> rows;
    for (int i = 1; i <= num_texts; ++i) rows.push_back({{"text", text(i)}});
    EvaluationOptions options;
    options.texts = write("texts.jsonl", rows);
    options.tasks = std::move(tasks);
    options.older = kOlder;
    options.kept = kKept;
    options.scored = kScored;
    return options;
  }

  EvaluationOptions question_options() const {
    std::vector<nlohmann::json> rows;
    for (int i = 1; i <= 3; ++i)
      rows.push_back({{"context", text(i).substr(0, 60)},
                      {"prompt", "which town"},
                      {"answers", {"town " + std::to_string(i * 37), "a town"}}});
    EvaluationOptions options;
    options.questions = write("questions.jsonl", rows);
    return options;
  }

  // `count` tokens of a text from `first` on.
  static std::vector<TokenId> ids(const Engine& engine, int number, int64_t first, int64_t count) {
    const auto all = engine.tokenizer().encode(text(number));
    return {all.begin() + first, all.begin() + first + count};
  }

  static double nll(const Engine& engine, const Prompt& prompt, int number) {
    return engine.score_ids(prompt, ids(engine, number, kOlder + kKept, kScored)).mean();
  }

  static const Measured& measured(const TaskResult& task,
                                  const std::string& arm,
                                  const std::string& metric,
                                  size_t ratio = 0) {
    const auto& arms = task.ratios.at(ratio).arms;
    const auto found = std::ranges::find(arms, arm, &ArmResult::arm);
    if (found == arms.end()) throw std::out_of_range("no arm " + arm);
    const auto named = std::ranges::find(found->metrics, metric, &Metric::name);
    if (named == found->metrics.end()) throw std::out_of_range(arm + " has no " + metric);
    return named->measured;
  }

  static double value(const TaskResult& task,
                      const std::string& arm,
                      const std::string& metric,
                      size_t ratio = 0) {
    return measured(task, arm, metric, ratio).value;
  }

  // Over the three texts, of work(number).
  template <typename Work>
  static double mean(const Work& work) {
    return (work(1) + work(2) + work(3)) / 3;
  }

  static int next(int number) { return number % 3 + 1; }

  TemporaryDirectory directory;
};

}  // namespace precis
