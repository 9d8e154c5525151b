// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "io/json_file.h"
#include "support/damage.h"
#include "support/temporary_directory.h"

namespace precis {

inline const std::string kModels = PRECIS_TEST_GOLDEN_DIR "/models/";
inline const std::string kTokenizers = PRECIS_TEST_GOLDEN_DIR "/tokenizers/";
inline const std::string kSelfCp = PRECIS_TEST_GOLDEN_DIR "/selfcp/selfcp.safetensors";

struct Result {
  int code;
  std::string out;
  std::string err;
};

// Runs the program, with a directory of its own for what it reads and writes.
class CliTest : public testing::Test {
 protected:
  // `before`: shell commands that the program's process starts with.
  Result run(const std::string& arguments, const std::string& before = "") const {
    const std::string out = path("stdout"), err = path("stderr");
    const std::string command = before + program + " " + arguments + " >" + out + " 2>" + err;
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
  }

  nlohmann::json succeed(const std::string& arguments) const {
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 0) << arguments << "\n" << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }

  // Exit code 2, one line on standard error with `part` in it beside lines of progress, nothing on
  // standard output.
  void refuse(const std::string& arguments,
              const std::string& part,
              const std::string& before = "") const {
    const Result result = run(arguments, before);
    EXPECT_EQ(result.code, 2) << arguments << "\n" << result.err;
    EXPECT_THAT(result.err, testing::HasSubstr(part)) << arguments;
    const std::string said =
        std::regex_replace(result.err, std::regex("precis: training [0-9]+%[^\n]*\n"), "");
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "") << arguments;
  }

  // Neither the file or directory nor a draft of it.
  void expect_nothing_at(const std::string& out) const {
    EXPECT_FALSE(std::filesystem::exists(out)) << out;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
      EXPECT_NE(entry.path().extension(), ".part") << entry.path();
  }

  std::string write(const std::string& name, const std::string& text) const {
    overwrite(directory / name, text);
    return path(name);
  }
  std::string path(const std::string& name) const { return (directory / name).string(); }

  std::string import_selfcp() const {
    succeed("import --from selfcp --source " + kSelfCp + " --base " + kModels +
            "llama --ratio 8 --out " + path("selfcp"));
    return path("selfcp");
  }

  // A training run into path("trained"), but for the number of steps.
  std::string training() const {
    std::string data;
    for (int i = 0; i < 30; ++i)
      data += nlohmann::json{{"text",
                              "the town and its water " + std::to_string(i * i) +
                                  " and more of the same kind"}}
                  .dump() +
              "\n";
    return "train --method selfcp --model " + kModels + "llama --data " +
           write("data.jsonl", data) + " --out " + path("trained") +
           " --batch 2 --min-older 8 --max-older 12 --target 6";
  }

  TemporaryDirectory directory;
  std::string program = PRECIS_TEST_PROGRAM;
};

}  // namespace precis
