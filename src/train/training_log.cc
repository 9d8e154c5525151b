// SPDX-License-Identifier: Apache-2.0
#include "train/training_log.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "io/atomic_file.h"
#include "io/json_text.h"
#include "io/safetensors.h"
#include "plot/line_plot.h"

namespace precis {
namespace {

constexpr double kSmoothing = 0.95;  // weight of the previous value in the smoothed loss

// All complete lines: a killed run may leave an incomplete one at the end.
std::vector<nlohmann::json> lines_of(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(path);
  for (std::string text; std::getline(in, text);) {
    nlohmann::json line = parse_json(text);
    if (line.is_discarded() && in.peek() == std::ifstream::traits_type::eof()) break;
    PRECIS_CHECK(line.is_object() && line.contains("step") && line["step"].is_number_integer() &&
                     line.contains("gradient_norm"),
                 kInvalidArgument,
                 path.string(),
                 ": not the log of a training run; use another directory");
    lines.push_back(std::move(line));
  }
  return lines;
}

// NaN where the line has no such number.
double number_of(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
}

double smooth(const std::optional<double>& past, double loss) {
  return past ? kSmoothing * *past + (1 - kSmoothing) * loss : loss;
}

}  // namespace

void TrainingLog::cut(int64_t steps_done) {
  std::error_code ignored;
  if (!std::filesystem::exists(path_, ignored)) return;
  std::string kept;
  for (const nlohmann::json& line : lines_of(path_)) {
    if (line["step"].get<int64_t>() > steps_done) continue;
    kept += line.dump() + "\n";
    smoothed_ = smooth(smoothed_, number_of(line, "loss"));
  }
  write_text_file(path_, kept);
}

void TrainingLog::append(TrainingStep& step) {
  smoothed_ = smooth(smoothed_, step.loss);
  step.smoothed_loss = *smoothed_;
  nlohmann::json line = {{"step", step.step},
                         {"loss", step.loss},
                         {"learning_rate", step.learning_rate},
                         {"gradient_norm", step.gradient_norm},
                         {"tokens", step.tokens},
                         {"tokens_per_second", static_cast<double>(step.tokens) / step.seconds}};
  if (step.validation_loss) line["validation_loss"] = *step.validation_loss;
  std::ofstream out(path_, std::ios::app);
  out << line.dump() << "\n" << std::flush;
  PRECIS_CHECK(out.good(), kInvalidArgument, path_.string(), ": cannot be written");
}

void TrainingLog::plot() const {
  PlotLine raw{"loss of a step", {}, /*faint=*/true}, mean{"smoothed", {}};
  PlotLine validation{"validation", {}, /*faint=*/false, /*markers=*/true};
  std::optional<double> smoothed;
  for (const nlohmann::json& line : lines_of(path_)) {
    const double step = number_of(line, "step"), loss = number_of(line, "loss");
    smoothed = smooth(smoothed, loss);
    raw.points.push_back({step, loss});
    mean.points.push_back({step, *smoothed});
    if (line.contains("validation_loss"))
      validation.points.push_back({step, number_of(line, "validation_loss")});
  }
  LinePlot plot{"Training loss", "step", "nats per token", {raw, mean}};
  if (!validation.points.empty()) plot.lines.push_back(validation);
  write_text_file(std::filesystem::path(path_).replace_extension(".svg"), to_svg(plot));
}

}  // namespace precis
