// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <charconv>
#include <cmath>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "io/json_text.h"
#include "io/safetensors_weights.h"

namespace precis {
namespace {

using AdamWState = torch::optim::AdamWParamState;

std::filesystem::path file_in(const std::filesystem::path& directory) {
  return directory / "checkpoint.safetensors";
}

template <typename T>
std::optional<T> metadata_number(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return std::nullopt;
  const std::string& text = found->second;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

CheckpointState state_of(const SafetensorsFile& file) {
  CheckpointState state;
  state.step = metadata_number<int64_t>(file, "step").value_or(-1);
  PRECIS_CHECK(state.step >= 0, kBadWeights, file.path().string(), ": not a checkpoint (no step)");
  state.best_validation =
      metadata_number<double>(file, "best_validation").value_or(state.best_validation);
  const auto found = file.metadata().find("recipe");
  if (found != file.metadata().end()) state.recipe = found->second;
  return state;
}

// The keys and values in which two descriptions of runs differ; empty if they are not JSON.
std::string differences(const std::string& before, const std::string& now) {
  const nlohmann::json old_run = parse_json(before), new_run = parse_json(now);
  if (!old_run.is_object() || !new_run.is_object()) return {};
  nlohmann::json all = old_run;
  all.update(new_run);
  std::string text;
  for (const auto& [key, ignored] : all.items()) {
    const nlohmann::json was = old_run.value(key, nlohmann::json()),
                         is = new_run.value(key, nlohmann::json());
    if (was == is) continue;
    text += concat(text.empty() ? " (" : "; ", key, " ", was.dump(), ", now ", is.dump());
  }
  return text.empty() ? text : text + ")";
}

at::Tensor read(const SafetensorsFile& file, const std::string& name, const at::Tensor& like) {
  const StoredTensor* stored = file.find(name);
  PRECIS_CHECK(
      stored != nullptr, kBadWeights, file.path().string(), ": tensor ", name, " is missing");
  const at::Tensor values = to_tensor(*stored);
  PRECIS_CHECK(values.sizes() == like.sizes() && values.scalar_type() == like.scalar_type(),
               kBadWeights,
               file.path().string(),
               ": tensor ",
               name,
               " is [",
               values.sizes(),
               "], expected [",
               like.sizes(),
               "]");
  return values.to(like.device());
}

}  // namespace

void save_checkpoint(const std::filesystem::path& directory,
                     const CheckpointState& state,
                     Compressor& compressor,
                     torch::optim::AdamW& optimizer) {
  std::vector<at::Tensor> alive;
  std::vector<StoredTensor> stored;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    alive.push_back(tensor.detach().cpu().contiguous());
    stored.push_back(to_stored(name, alive.back()));
  };
  for (const NamedTensor& named : compressor.parameters()) {
    add(named.name, named.tensor);
    const auto moments = optimizer.state().find(named.tensor.unsafeGetTensorImpl());
    if (moments == optimizer.state().end()) continue;
    const auto& values = static_cast<const AdamWState&>(*moments->second);
    add(named.name + ".first_moment", values.exp_avg());
    add(named.name + ".second_moment", values.exp_avg_sq());
    // Parameters differ in it: AdamW skips those without a gradient, such as ICAE's AE token in
    // steps without autoencoding.
    add(named.name + ".updates", at::tensor(values.step(), at::kLong));
  }
  std::map<std::string, std::string> metadata{{"step", std::to_string(state.step)},
                                              {"recipe", state.recipe}};
  if (std::isfinite(state.best_validation))
    metadata["best_validation"] = concat(std::setprecision(17), state.best_validation);
  write_safetensors(file_in(directory), stored, metadata);
}

CheckpointState load_checkpoint(const std::filesystem::path& directory,
                                const std::string& recipe,
                                Compressor& compressor,
                                torch::optim::AdamW& optimizer) {
  std::error_code ignored;
  if (!std::filesystem::exists(file_in(directory), ignored)) return {};
  const SafetensorsFile file = SafetensorsFile::open(file_in(directory));
  CheckpointState state = state_of(file);
  PRECIS_CHECK(state.recipe == recipe,
               kInvalidArgument,
               file.path().string(),
               ": made with other options",
               differences(state.recipe, recipe),
               "; use the same options to resume, or another directory for a new run");
  const c10::NoGradGuard no_grad;
  for (const NamedTensor& named : compressor.parameters()) {
    at::Tensor parameter = named.tensor;
    parameter.copy_(read(file, named.name, parameter));
    if (file.find(named.name + ".first_moment") == nullptr) continue;  // never had a gradient
    auto moments = std::make_unique<AdamWState>();
    moments->step(
        read(file, named.name + ".updates", at::tensor(state.step, at::kLong)).item<int64_t>());
    moments->exp_avg(read(file, named.name + ".first_moment", parameter));
    moments->exp_avg_sq(read(file, named.name + ".second_moment", parameter));
    optimizer.state()[parameter.unsafeGetTensorImpl()] = std::move(moments);
  }
  return state;
}

}  // namespace precis
