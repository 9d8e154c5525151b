// SPDX-License-Identifier: Apache-2.0
#include "cli/train_stages.h"

#include "base/check.h"
#include "cli/recipe.h"

namespace precis::cli {
namespace {

// Gives a stage the flags of the command line. A stage that starts from `previous` takes none for a
// new compressor, nor another --start-from: these were for the first stage.
void give_flags(const CLI::App& given, const Stage* previous, CLI::App& command) {
  CLI::Option* start = command.get_option("--start-from");
  if (previous != nullptr) {
    start->add_result(previous->flags.out.string());
    start->run_callback();
  }
  for (const CLI::Option* option : given.get_options()) {
    if (option->count() == 0) continue;
    CLI::Option* own = command.get_option(option->get_name());
    if (previous != nullptr && (own == start || start->get_excludes().contains(own))) continue;
    give_again(*option, *own);
  }
}

std::unique_ptr<Stage> make_stage(const CLI::App& given,
                                  const nlohmann::json& recipe,
                                  const std::filesystem::path& recipe_path,
                                  const Stage* previous) {
  auto stage = std::make_unique<Stage>();
  add_train_flags(stage->command, stage->flags);
  give_flags(given, previous, stage->command);
  apply_recipe(stage->command, recipe, recipe_path, flags_not_in_recipe());
  check(stage->flags);
  stage->recipe = recipe_of(stage->command, flags_not_in_recipe());
  return stage;
}

}  // namespace

std::vector<std::unique_ptr<Stage>> stages_of(const TrainFlags& flags, const CLI::App& command) {
  std::vector<nlohmann::json> recipes{nlohmann::json::object()};
  if (!flags.recipe.empty()) recipes = read_recipe(flags.recipe);
  std::vector<std::unique_ptr<Stage>> stages;
  nlohmann::json all = nlohmann::json::array();
  for (size_t i = 0; i < recipes.size(); ++i) {
    const Stage* previous = stages.empty() ? nullptr : stages.back().get();
    Stage& stage = *stages.emplace_back(make_stage(command, recipes[i], flags.recipe, previous));
    stage.name = recipes.size() == 1 ? "training" : concat("stage ", i + 1, " of ", recipes.size());
    if (i + 1 < recipes.size()) stage.flags.out = flags.out / concat("stage-", i + 1);
    check_output_directory(stage.flags.out);
    all.push_back(stage.recipe);
  }
  if (all.size() > 1) stages.back()->recipe = {{"stages", all}};
  return stages;
}

}  // namespace precis::cli
