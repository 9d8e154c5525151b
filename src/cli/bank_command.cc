// SPDX-License-Identifier: Apache-2.0
// precis bank: named memories in a directory, and search for the nearest ones.
#include <functional>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/model_options.h"
#include "precis/memory_bank.h"

namespace precis::cli {
namespace {

struct Flags {
  std::filesystem::path bank, memory;
  std::string name;
  int64_t count = 1;
  int64_t slots = 1;
};

void update(const Flags& flags, const std::function<void(MemoryBank&)>& change) {
  int64_t memories = 0;
  MemoryBank::update(flags.bank, [&](MemoryBank& bank) {
    change(bank);
    memories = bank.size();
  });
  print({{"name", flags.name}, {"memories", memories}});
}

void add(const Flags& flags) {
  const Memory memory = Memory::load(flags.memory);
  update(flags, [&](MemoryBank& bank) { bank.add(flags.name, memory); });
}

void remove(const Flags& flags) {
  update(flags, [&](MemoryBank& bank) { bank.remove(flags.name); });
}

void list(const Flags& flags) {
  const MemoryBank bank = MemoryBank::load(flags.bank);
  nlohmann::json memories = nlohmann::json::array();
  for (const std::string& name : bank.names()) {
    const Memory& memory = bank.get(name);
    memories.push_back({{"name", name},
                        {"method", memory.provenance().method},
                        {"source_tokens", memory.provenance().source_tokens},
                        {"memory_tokens", memory.num_tokens()},
                        {"bytes", memory.bytes()}});
  }
  print({{"memories", memories}});
}

void nearest(const Flags& flags) {
  const Memory query = Memory::load(flags.memory);
  const MemoryBank bank = MemoryBank::load(flags.bank);
  nlohmann::json memories = nlohmann::json::array();
  for (const MemoryBank::Match& match : bank.nearest(query, flags.count, flags.slots))
    memories.push_back({{"name", match.name}, {"score", match.score}});
  print({{"nearest", memories}});
}

using Work = void (*)(const Flags&);
CLI::App* add_action(CLI::App& bank,
                     const std::shared_ptr<Flags>& flags,
                     const char* name,
                     const char* what,
                     Work work) {
  CLI::App* action = bank.add_subcommand(name, what);
  action->fallthrough();  // --bank and --json may also follow the action
  action->callback([flags, work] { work(*flags); });
  return action;
}

}  // namespace

void add_bank(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bank", "Keep memories under names and find the nearest to a query");
  auto flags = std::make_shared<Flags>();
  command->require_subcommand(1);
  command->add_option("--bank", flags->bank, "directory of the bank")->required();

  auto* adding =
      add_action(*command, flags, "add", "Add a memory; creates the bank if there is none", add);
  adding->add_option("--name", flags->name, "name of the memory")->required();
  adding->add_option("--memory", flags->memory, "memory file")->required();

  add_action(*command, flags, "list", "List the memories, in the order of adding", list);

  auto* removing = add_action(*command, flags, "remove", "Remove a memory", remove);
  removing->add_option("--name", flags->name, "name of the memory")->required();

  auto* finding = add_action(*command,
                             flags,
                             "nearest",
                             "List names and scores of the nearest memories, best first",
                             nearest);
  finding->add_option("--memory", flags->memory, "memory file with the query")->required();
  finding->add_option("--count", flags->count, "number of memories to list")->capture_default_str();
  finding
      ->add_option(
          "--slots", flags->slots, "leading memory tokens of each memory, whose sums are compared")
      ->capture_default_str();
}

}  // namespace precis::cli
