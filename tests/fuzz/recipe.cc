// SPDX-License-Identifier: Apache-2.0
// recipe.json, given to a command that has a flag of each kind, one of them not for recipes.
#include "cli/recipe.h"

#include <map>
#include <nlohmann/json.hpp>

#include "fuzz/check.h"
#include "fuzz/input_file.h"

namespace precis::fuzz {
namespace {

struct Flags {
  int64_t steps = 10;
  uint64_t seed = 1;
  double ratio = 4;
  std::vector<double> ratios{4, 8};
  std::string method = "selfcp";
  bool recompute = false;
  int dtype = 0;
  std::string out;
};

void add_flags(CLI::App& command, Flags& flags) {
  command.add_option("--steps", flags.steps)->check(CLI::PositiveNumber)->capture_default_str();
  command.add_option("--seed", flags.seed);
  CLI::Option* ratio = command.add_option("--ratio", flags.ratio)->check(CLI::Range(1.0, 1e6));
  command.add_option("--ratios", flags.ratios)->delimiter(',')->excludes(ratio);
  command.add_option("--method", flags.method)->check(CLI::IsMember({"selfcp", "icae"}));
  command.add_flag("--recompute", flags.recompute);
  command.add_option("--out", flags.out);
  const std::map<std::string, int> dtypes{{"float32", 0}, {"bfloat16", 1}};
  command.add_option("--dtype", flags.dtype)->transform(CLI::CheckedTransformer(dtypes));
}

}  // namespace
}  // namespace precis::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputFile input;
  input.write(data, size);
  fuzz::expect_result_or_error([&] {
    for (const nlohmann::json& stage : cli::read_recipe(input.path())) {
      fuzz::Flags flags;
      CLI::App command("trains", "train");
      fuzz::add_flags(command, flags);
      fuzz::expect_result_or_error(
          [&] { cli::apply_recipe(command, stage, input.path(), {"--out"}); });
      fuzz::require(flags.out.empty(), "a recipe named a file");
      cli::recipe_of(command, {"--seed"});
    }
  });
  return 0;
}
