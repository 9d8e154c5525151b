// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <charconv>

#include "base/check.h"
#include "io/safetensors_weights.h"

namespace precis {
namespace {

using AdamWState = torch::optim::AdamWParamState;

std::filesystem::path file_in(const std::filesystem::path& directory) {
  return directory / "checkpoint.safetensors";
}

int64_t step_of(const SafetensorsFile& file) {
  const auto found = file.metadata().find("step");
  int64_t step = -1;
  if (found != file.metadata().end()) {
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), step);
  }
  PRECIS_CHECK(step >= 0, kBadWeights, file.path().string(), ": not a checkpoint (no step)");
  return step;
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
    // Not of all the same: what a step does not touch, such as AE where no text is said again, does
    // not move.
    add(named.name + ".updates", at::tensor(values.step(), at::kLong));
  }
  write_safetensors(
      file_in(directory), stored, {{"step", std::to_string(state.step)}, {"recipe", state.recipe}});
}

int64_t load_checkpoint(const std::filesystem::path& directory,
                        const std::string& recipe,
                        Compressor& compressor,
                        torch::optim::AdamW& optimizer) {
  std::error_code ignored;
  if (!std::filesystem::exists(file_in(directory), ignored)) return 0;
  const SafetensorsFile file = SafetensorsFile::open(file_in(directory));
  const int64_t step = step_of(file);
  const auto found = file.metadata().find("recipe");
  PRECIS_CHECK(
      found != file.metadata().end() && found->second == recipe,
      kInvalidArgument,
      file.path().string(),
      ": made with other options; use the same ones to go on, or another directory to start anew");
  const c10::NoGradGuard no_grad;
  for (const NamedTensor& named : compressor.parameters()) {
    at::Tensor parameter = named.tensor;
    parameter.copy_(read(file, named.name, parameter));
    if (file.find(named.name + ".first_moment") == nullptr) continue;  // never had a gradient
    auto moments = std::make_unique<AdamWState>();
    moments->step(read(file, named.name + ".updates", at::tensor(step, at::kLong)).item<int64_t>());
    moments->exp_avg(read(file, named.name + ".first_moment", parameter));
    moments->exp_avg_sq(read(file, named.name + ".second_moment", parameter));
    optimizer.state()[parameter.unsafeGetTensorImpl()] = std::move(moments);
  }
  return step;
}

}  // namespace precis
