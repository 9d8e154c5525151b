// SPDX-License-Identifier: Apache-2.0
// A memory bank in a directory: saving and loading, interruptions, errors.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "io/file_fixture.h"
#include "precis/memory_bank.h"
#include "support/damage.h"
#include "support/make_memory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;

MemoryBank bank_of(const std::vector<std::pair<std::string, Memory>>& memories) {
  MemoryBank bank;
  for (const auto& [name, memory] : memories) bank.add(name, memory);
  return bank;
}

Memory one() { return soft_memory({{1, 2}, {3, 4}}); }
Memory other() { return soft_memory({{5, 6}}); }

class MemoryBankFile : public FileTest {
 protected:
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory))
      names.insert(entry.path().filename());
    return names;
  }

  std::string file_of_row(size_t row) const {
    return read_json(index).at("memories").at(row).at("file");
  }

  void refuse(const std::string& message, ErrorKind kind = ErrorKind::kBadWeights) const {
    expect_error(kind, message, [&] { MemoryBank::load(directory); });
    expect_error(kind, directory.string(), [&] { MemoryBank::load(directory); });
  }

  template <typename Damage>
  void refuse_index(const Damage& damage, const std::string& message) const {
    bank_of({{"one", one()}, {"other", other()}}).save(directory);
    damage_json(index, damage);
    refuse(message);
  }

  const fs::path directory = folder() / "bank", index = directory / "bank.json";
};

// Saving and loading

TEST_F(MemoryBankFile, LoadsInOrder) {
  bank_of({{"z", one()}, {"a", other()}}).save(directory);
  const MemoryBank bank = MemoryBank::load(directory);
  EXPECT_THAT(bank.names(), ElementsAre("z", "a"));
  EXPECT_EQ(bank.get("z").content_hash(), one().content_hash());
  EXPECT_EQ(bank.get("a").content_hash(), other().content_hash());
  EXPECT_EQ(bank.get("a").provenance().source_tokens, other().provenance().source_tokens);
  EXPECT_EQ(bank.nearest(soft_memory({{1, 1}}), 1).at(0).name, "a");
}

TEST_F(MemoryBankFile, LoadsAnEmptyBank) {
  MemoryBank().save(directory);
  EXPECT_EQ(MemoryBank::load(directory).size(), 0);
}

TEST_F(MemoryBankFile, NamesNeverBecomePaths) {
  const std::vector<std::string> names{"../out",
                                       "/etc/passwd",
                                       "a/b",
                                       ".",
                                       "..",
                                       "bank.json",
                                       "line\nbreak",
                                       std::string("nul\0", 4),
                                       "w\xc3\xa4ter",
                                       std::string(5000, 'x')};
  MemoryBank bank;
  for (size_t i = 0; i < names.size(); ++i)
    bank.add(names[i], soft_memory({{static_cast<float>(i)}}));
  bank.save(directory);
  EXPECT_EQ(MemoryBank::load(directory).names(), names);
  EXPECT_EQ(num_files(), 1u);
  for (const std::string& file : files())
    EXPECT_THAT(file, testing::MatchesRegex("bank.json|memory-[0-9a-f]*.safetensors"));
}

TEST_F(MemoryBankFile, EqualMemoriesShareAFile) {
  bank_of({{"one", one()}, {"again", one()}}).save(directory);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("one", "again"));
}

TEST_F(MemoryBankFile, DifferentProvenanceOrDtypeMeansDifferentFiles) {
  Provenance provenance = kSomeProvenance;
  provenance.source_hash = "another text";
  bank_of({{"one", one()},
           {"of another text", soft_memory({{1, 2}, {3, 4}}, provenance)},
           {"half", make_memory(SoftTokens{at::zeros({2, 2}, at::kHalf)})},
           {"bfloat16", make_memory(SoftTokens{at::zeros({2, 2}, at::kBFloat16)})}})
      .save(directory);
  EXPECT_EQ(files().size(), 5u);
  const MemoryBank bank = MemoryBank::load(directory);
  EXPECT_EQ(bank.get("of another text").provenance().source_hash, "another text");
  EXPECT_EQ(rows_of(bank.get("half")).scalar_type(), at::kHalf);
  EXPECT_EQ(rows_of(bank.get("bfloat16")).scalar_type(), at::kBFloat16);
}

// Replacing

TEST_F(MemoryBankFile, ReplacesAnExistingBank) {
  bank_of({{"one", one()}, {"other", other()}}).save(directory);
  const fs::path kept = directory / file_of_row(1), removed = directory / file_of_row(0);
  const auto written = fs::last_write_time(kept) - std::chrono::hours(1);
  fs::last_write_time(kept, written);
  overwrite(directory / "notes.txt", "mine");
  bank_of({{"renamed", other()}}).save(directory);
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("renamed"));
  EXPECT_FALSE(fs::exists(removed));
  EXPECT_EQ(fs::last_write_time(kept), written) << "a file that was right was written again";
  EXPECT_EQ(read_file(directory / "notes.txt"), "mine");
}

// The directory has the files of the old bank and the new one, and the old index, as after a power
// failure just before the index is renamed.
TEST_F(MemoryBankFile, IsTheOldBankUntilTheIndexIsRenamed) {
  bank_of({{"one", one()}}).save(directory);
  const fs::path next = folder() / "next";
  bank_of({{"one", other()}, {"two", one()}}).save(next);
  for (const auto& entry : fs::directory_iterator(next)) {
    if (entry.path().filename() != "bank.json")
      fs::copy_file(
          entry.path(), directory / entry.path().filename(), fs::copy_options::overwrite_existing);
  }
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("one"));
  EXPECT_EQ(MemoryBank::load(directory).get("one").content_hash(), one().content_hash());
  fs::copy_file(next / "bank.json", index, fs::copy_options::overwrite_existing);
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("one", "two"));
  EXPECT_EQ(MemoryBank::load(directory).get("one").content_hash(), other().content_hash());
}

TEST_F(MemoryBankFile, RewritesADamagedFile) {
  bank_of({{"one", one()}}).save(directory);
  cut_end(directory / file_of_row(0), 1);
  refuse(file_of_row(0));
  bank_of({{"one", one()}}).save(directory);
  EXPECT_EQ(MemoryBank::load(directory).get("one").content_hash(), one().content_hash());
}

TEST_F(MemoryBankFile, DeletesNothingOutsideTheDirectory) {
  const fs::path outside = folder() / "outside.safetensors";
  one().save(outside);
  bank_of({{"one", one()}}).save(directory);
  damage_json(index, [](json& bank) { bank["memories"][0]["file"] = "../outside.safetensors"; });
  bank_of({{"other", other()}}).save(directory);
  EXPECT_TRUE(fs::exists(outside));
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("other"));
}

TEST_F(MemoryBankFile, NamesAPlaceThatCannotBeWritten) {
  overwrite(directory, "a file in the way");
  expect_error(ErrorKind::kInvalidArgument, directory.string(), [&] {
    bank_of({{"one", one()}}).save(directory);
  });
}

// Updates

TEST_F(MemoryBankFile, IsCreatedAndChangedByUpdates) {
  MemoryBank::update(directory, [](MemoryBank& bank) { bank.add("one", one()); });
  MemoryBank::update(directory, [](MemoryBank& bank) { bank.add("other", other()); });
  MemoryBank::update(directory, [](MemoryBank& bank) { bank.remove("one"); });
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("other"));
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(MemoryBankFile, LosesNoConcurrentUpdates) {
  constexpr int kThreads = 6, kTurns = 3;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < kTurns; ++turn) {
        MemoryBank::update(directory, [&](MemoryBank& bank) {
          bank.add(std::to_string(i) + "." + std::to_string(turn),
                   soft_memory({{static_cast<float>(i), static_cast<float>(turn)}}));
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(MemoryBank::load(directory).size(), kThreads * kTurns);
  EXPECT_EQ(files().size(), 1u + kThreads * kTurns);
}

TEST_F(MemoryBankFile, AnUpdateThatFailsChangesNothing) {
  const auto fails = [&] {
    MemoryBank::update(directory, [](MemoryBank& bank) {
      bank.add("other", other());
      bank.remove("nobody");
    });
  };
  expect_error(ErrorKind::kNotFound, "nobody", fails);
  EXPECT_FALSE(fs::exists(directory));
  bank_of({{"one", one()}}).save(directory);
  const std::set<std::string> before = files();
  expect_error(ErrorKind::kNotFound, "nobody", fails);
  EXPECT_EQ(files(), before);
  EXPECT_THAT(MemoryBank::load(directory).names(), ElementsAre("one"));
}

TEST_F(MemoryBankFile, AnUpdateRemovesDraftsOfAKilledOne) {
  bank_of({{"one", one()}}).save(directory);
  overwrite(directory / ".precis-0123abcd.part", "half a file");
  overwrite(directory / ".precis-lock", "1\n");
  MemoryBank::update(directory, [](MemoryBank& bank) { bank.add("other", other()); });
  EXPECT_EQ(files().size(), 3u);
}

// Errors

TEST_F(MemoryBankFile, NamesTheIndexThatIsMissing) {
  refuse("bank.json: cannot be read", ErrorKind::kNotFound);
  fs::create_directories(directory);
  refuse("bank.json: cannot be read", ErrorKind::kNotFound);
}

TEST_F(MemoryBankFile, NamesAMemoryThatIsMissing) {
  bank_of({{"one", one()}}).save(directory);
  const std::string file = file_of_row(0);
  fs::remove(directory / file);
  refuse(file + ": is missing");
}

TEST_F(MemoryBankFile, RefusesInvalidIndexes) {
  refuse_index([](json& bank) { bank = "text"; }, "not the index");
  refuse_index([](json& bank) { bank = json::array({bank}); }, "not the index");
  refuse_index([](json& bank) { bank.erase("format"); }, "not the index");
  refuse_index([](json& bank) { bank["format"] = 1; }, "not the index");
  refuse_index([](json& bank) { bank["format"] = "precis.memory_bank.2"; }, "not the index");
  refuse_index([](json& bank) { bank.erase("memories"); }, "memories is missing");
  refuse_index([](json& bank) { bank["memories"] = json::object(); }, "memories is missing");
  refuse_index([](json& bank) { bank["memories"][1] = 7; }, "a memory has no name");
  refuse_index([](json& bank) { bank["memories"][1].erase("name"); }, "a memory has no name");
  refuse_index([](json& bank) { bank["memories"][1]["name"] = 7; }, "a memory has no name");
  refuse_index([](json& bank) { bank["memories"][1].erase("file"); }, "a memory has no file");
  overwrite(index, "{\"format\": ");
  refuse("bank.json: not valid JSON");
  overwrite(index, std::string(100'000, '['));
  refuse("bank.json: not valid JSON: line 1, column 201: more than 200 objects and arrays");
}

TEST_F(MemoryBankFile, RefusesNamesThatAddRefuses) {
  refuse_index([](json& bank) { bank["memories"][1]["name"] = ""; }, "the name is empty");
  refuse_index([](json& bank) { bank["memories"][1]["name"] = "one"; }, "named \"one\" already");
}

TEST_F(MemoryBankFile, OpensOnlyFilesNamedBySave) {
  one().save(folder() / "outside.safetensors");
  const std::string digits(32, 'a');
  const std::vector<std::string> hostile{"",
                                         ".",
                                         "..",
                                         "../outside.safetensors",
                                         (folder() / "outside.safetensors").string(),
                                         "bank.json",
                                         "memory-" + digits,
                                         "memory-" + digits + "0.safetensors",
                                         "memory-" + std::string(32, 'G') + ".safetensors",
                                         "./memory-" + digits + ".safetensors",
                                         "memory-../../../../../../../../../../a/b.safetensors",
                                         "memory-" + digits + ".safetensors/"};
  for (const std::string& file : hostile)
    refuse_index([&](json& bank) { bank["memories"][1]["file"] = file; }, "is no name of a file");
}

TEST_F(MemoryBankFile, RefusesSwappedFiles) {
  bank_of({{"one", one()}, {"other", other()}}).save(directory);
  const std::string first = file_of_row(0), second = file_of_row(1);
  fs::copy_file(directory / first, directory / second, fs::copy_options::overwrite_existing);
  refuse(second + ": holds another memory");
  cached_memory().save(directory / second);
  refuse(second + ": holds another memory");
}

TEST_F(MemoryBankFile, RefusesAMemoryOfAnotherModel) {
  const fs::path elsewhere = folder() / "elsewhere";
  bank_of({{"foreign", soft_memory({{1, 2}}, {"selfcp", "another model", "", "", 1})}})
      .save(elsewhere);
  const json row = read_json(elsewhere / "bank.json").at("memories").at(0);
  bank_of({{"one", one()}}).save(directory);
  fs::copy_file(elsewhere / row.at("file"), directory / row.at("file"));
  damage_json(index, [&](json& bank) { bank["memories"].push_back(row); });
  refuse("made for model \"another model\"");
}

TEST_F(MemoryBankFile, SurvivesDamageToItsIndex) {
  bank_of({{"one", other()}}).save(directory);
  expect_survives_damage(read_file(index), [&](const fs::path& damaged) {
    fs::copy_file(damaged, index, fs::copy_options::overwrite_existing);
    MemoryBank::load(directory);
  });
}

}  // namespace
}  // namespace precis
