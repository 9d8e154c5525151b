// SPDX-License-Identifier: Apache-2.0
// precis bank, and sums of memories (the demonstrations of SelfCP).
#include <ATen/ATen.h>

#include "cli_fixture.h"
#include "support/make_memory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kLlama = " --model " + kModels + "llama --dtype float32 ";

std::vector<std::string> names_in(const json& list) {
  std::vector<std::string> names;
  for (const json& memory : list) names.push_back(memory.at("name"));
  return names;
}

class Bank : public CliTest {
 protected:
  std::string saved(const std::string& name, const Memory& memory) const {
    memory.save(directory / name);
    return path(name);
  }

  std::string bank(const std::string& rest) const {
    return "bank --bank " + path("bank") + " " + rest;
  }
  json add(const std::string& name, const std::string& file) const {
    return succeed(bank("add --name '" + name + "' --memory " + file));
  }

  const std::string a = saved("a.safetensors", soft_memory({{3, 0}, {-9, 0}})),
                    b = saved("b.safetensors", soft_memory({{1, 5}, {1, 5}})),
                    query = saved("query.safetensors", soft_memory({{2, 0}, {0, 0.5}}));
  const std::string index = path("bank") + "/bank.json";
};

// The bank

TEST_F(Bank, AddsListsAndRemoves) {
  EXPECT_EQ(add("first one", a).at("memories"), 1);
  EXPECT_EQ(add("../b", b).at("memories"), 2);
  const json list = succeed(bank("list")).at("memories");
  EXPECT_EQ(names_in(list), (std::vector<std::string>{"first one", "../b"}));
  EXPECT_EQ(list[0]["method"], "selfcp");
  EXPECT_EQ(list[0]["source_tokens"], 57);
  EXPECT_EQ(list[0]["memory_tokens"], 2);
  EXPECT_EQ(list[0]["bytes"], 2 * 2 * 4);
  EXPECT_EQ(succeed(bank("remove --name 'first one'")).at("memories"), 1);
  EXPECT_EQ(names_in(succeed(bank("list")).at("memories")), std::vector<std::string>{"../b"});
}

TEST_F(Bank, NamesTheNearestByTheirSlots) {
  add("a", a);
  add("b", b);
  const json first = succeed(bank("nearest --count 1 --memory " + query)).at("nearest");
  EXPECT_EQ(first, json::parse(R"([{"name": "a", "score": 6.0}])"));
  const json both = succeed(bank("nearest --count 2 --slots 2 --memory " + query)).at("nearest");
  EXPECT_EQ(both, json::parse(R"([{"name": "b", "score": 9.0}, {"name": "a", "score": -12.0}])"));
}

TEST_F(Bank, TakesItsDirectoryAndJsonBehindTheActionToo) {
  add("a", a);
  EXPECT_EQ(succeed("bank list --bank " + path("bank") + " --json"), succeed(bank("list")));
}

TEST_F(Bank, RefusesBadInputAndStaysAsItWas) {
  add("a", a);
  const std::string before = read_file(index);
  refuse(bank("add --name a --memory " + b), "named \"a\" already");
  refuse(bank("add --name '' --memory " + b), "the name is empty");
  refuse(bank("add --name 'caf\xe9' --memory " + b), "not valid UTF-8");
  refuse(bank("add --name b --memory " + path("nowhere")), "nowhere");
  refuse(bank("add --name b --memory " + kSelfCp), "not a memory of Precis");
  refuse(bank("add --memory " + b), "--name is required");
  refuse(bank("remove --name b"), "\"b\"");
  refuse(bank("nearest --memory " + a + " --count 0"), "count is 0");
  refuse(bank("nearest --memory " + a + " --slots -1"), "slots is -1");
  refuse("bank --bank " + path("bank"), "subcommand");
  refuse("bank list", "--bank is required");
  refuse("bank --bank " + path("other") + " list", "bank.json: cannot be read");
  refuse("bank --bank " + path("other") + " nearest --memory " + a, "bank.json: cannot be read");
  EXPECT_EQ(read_file(index), before);
  expect_nothing_at(path("other"));
}

TEST_F(Bank, RefusesMemoriesOfOtherModelsAndCachedOnes) {
  add("a", a);
  const Provenance elsewhere{"selfcp", "another model", "", "", 1};
  const std::string foreign = saved("foreign.safetensors", soft_memory({{1, 2}}, elsewhere)),
                    cached = saved("cached.safetensors", cached_memory());
  for (const std::string action : {"add --name new", "nearest"}) {
    refuse(bank(action + " --memory " + foreign), "made for model \"another model\"");
    refuse(bank(action + " --memory " + cached), "cached");
  }
  EXPECT_EQ(names_in(succeed(bank("list")).at("memories")), std::vector<std::string>{"a"});
}

TEST_F(Bank, RefusesAnIndexThatLiesAndLeavesItAlone) {
  add("a", a);
  damage_json(index, [](json& bank) { bank["memories"][0]["file"] = "../a.safetensors"; });
  const std::string damaged = read_file(index);
  const std::string reason = "\"../a.safetensors\" is no name of a file";
  refuse(bank("list"), reason);
  refuse(bank("remove --name a"), reason);
  refuse(bank("add --name b --memory " + b), reason);
  refuse(bank("nearest --memory " + query), reason);
  EXPECT_EQ(read_file(index), damaged);
}

TEST_F(Bank, NamesWhatIsDamagedOrMissing) {
  add("a", a);
  const std::string good = read_file(index), file = read_json(index)["memories"][0]["file"];
  overwrite(index, "not JSON");
  refuse(bank("add --name b --memory " + b), "bank.json: not valid JSON");
  overwrite(index, good);
  cut_end(path("bank") + "/" + file, 4);
  refuse(bank("list"), file);
  fs::remove(path("bank") + "/" + file);
  refuse(bank("add --name b --memory " + b), file + ": is missing");
  EXPECT_EQ(read_file(index), good);
}

// Memories of SelfCP that are added

class AddedMemories : public CliTest {
 protected:
  // `count` ids from `first` on as a memory, of one row for every eight.
  std::string compressed(const std::string& name, int first, int count) const {
    std::vector<int> ids;
    for (int i = 0; i < count; ++i) ids.push_back(first + i * 3);
    succeed("compress" + kLlama + "--compressor " + compressor + " --ids " +
            write("ids.json", json(ids).dump()) + " --out " + path(name));
    return path(name);
  }

  json answer(const std::string& memories, const std::string& more = "") const {
    return succeed("generate" + kLlama + memories + more +
                   " --raw --prompt ' so' --max-tokens 5 --json");
  }

  const std::string compressor = import_selfcp();
  const std::string a = compressed("a.safetensors", 10, 24),
                    b = compressed("b.safetensors", 50, 24);
};

TEST_F(AddedMemories, ASumIsTheRowsAdded) {
  const Memory one = Memory::load(a), other = Memory::load(b);
  ASSERT_EQ(one.num_tokens(), other.num_tokens());
  const Memory sum = Memory::sum(std::vector{one, other});
  EXPECT_TRUE(at::equal(rows_of(sum), rows_of(one) + rows_of(other)));
  EXPECT_EQ(sum.provenance().source_tokens, 48);
  sum.save(path("sum.safetensors"));
  const json made_here = answer("--memory " + path("sum.safetensors")),
             made_there = answer("--memory " + a + " --memory " + b, " --combine sum");
  EXPECT_EQ(made_there.at("ids"), made_here.at("ids"));
  EXPECT_EQ(made_there.at("memory_rows"), made_here.at("memory_rows"));
}

TEST_F(AddedMemories, ASumTakesTheRoomOfOne) {
  const std::string both = "--memory " + a + " --memory " + b;
  const json concatenated = answer(both), added = answer(both, " --combine sum");
  EXPECT_EQ(answer(both, " --combine concat").at("ids"), concatenated.at("ids"));
  EXPECT_EQ(concatenated.at("memory_rows"), 6);
  EXPECT_EQ(added.at("memory_rows"), 3);
  EXPECT_EQ(concatenated.at("prompt_rows").get<int>() - added.at("prompt_rows").get<int>(), 3);
  EXPECT_EQ(added.at("prompt_tokens"), concatenated.at("prompt_tokens"));
}

TEST_F(AddedMemories, ASumIsReadInItsFrameToo) {
  const std::string templated = "--compressor " + compressor + " --memory " + a + " --memory " + b +
                                " --use continue --combine ";
  const json added = answer(templated + "sum"), concatenated = answer(templated + "concat");
  EXPECT_EQ(added.at("memory_rows"), 3);
  EXPECT_EQ(concatenated.at("memory_rows"), 6);
}

TEST_F(AddedMemories, WhatCannotBeAddedIsNamed) {
  const std::string rest = " --raw --prompt so --max-tokens 2 --combine ";
  const std::string shorter = compressed("shorter.safetensors", 90, 8);
  refuse("generate" + kLlama + "--memory " + a + " --memory " + shorter + rest + "sum",
         "1 memory tokens cannot be added to the 3 of the first one");
  refuse("generate" + kLlama + rest + "sum", "--combine requires --memory");
  refuse("generate" + kLlama + "--memory " + a + rest + "mean", "mean");
}

}  // namespace
}  // namespace precis
