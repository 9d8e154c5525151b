// SPDX-License-Identifier: Apache-2.0
// Where results go: what stands there stays what it is, what cannot be written is told, and two at
// work in one place lose nothing.
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli_fixture.h"
#include "io/lock_file.h"
#include "io/safetensors.h"
#include "support/make_memory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kLlama = " --model " + kModels + "llama ";

class Output : public CliTest {
 protected:
  std::string logits(const std::string& out) const {
    return "logits" + kLlama + "--ids " + write("ids.json", "[1,2,3,4]") + " --out " + out;
  }
  std::string generate(const std::string& flags = "") const {
    return "generate" + kLlama + "--raw --prompt 'the town' --max-tokens 8 --dtype float32 " +
           flags;
  }

  // Of shell commands; what they say on standard error is in `err`.
  Result shell(const std::string& command) const {
    const std::string err = path("stderr");
    const int status = std::system(("( " + command + " ) 2>" + err).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", read_file(err)};
  }

  // With standard output put to `where`.
  void refuse_output(const std::string& arguments, const std::string& where) const {
    const Result result = shell(program + " " + arguments + " " + where);
    EXPECT_EQ(result.code, 2) << arguments << where << "\n" << result.err;
    EXPECT_THAT(result.err, testing::HasSubstr("standard output cannot be written")) << arguments;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  std::string saved(const std::string& name, const Memory& memory) const {
    memory.save(directory / name);
    return path(name);
  }
};

// Files

TEST_F(Output, FollowsALink) {
  fs::create_directory(path("elsewhere"));
  const std::string out = path("link");
  fs::create_symlink(path("elsewhere/real"), out);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(run(logits(out)).code, 0);
    EXPECT_TRUE(fs::is_symlink(out));
    EXPECT_TRUE(SafetensorsFile::open(path("elsewhere/real")).find("logits"));
  }
}

TEST_F(Output, KeepsTheModeOfWhatItReplaces) {
  const std::string out = write("out", "old");
  ASSERT_EQ(::chmod(out.c_str(), 0600), 0);
  ASSERT_EQ(run(logits(out)).code, 0);
  EXPECT_TRUE(SafetensorsFile::open(out).find("logits"));
  EXPECT_EQ(fs::status(out).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Output, GoesIntoAPipe) {
  const std::string pipe = path("pipe"), heard = path("heard");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const Result result = shell("timeout 60 cat " + pipe + " >" + heard + " & " + program + " " +
                              logits(pipe) + "; code=$?; wait; exit $code");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_TRUE(SafetensorsFile::open(heard).find("logits"));
}

// By way of links, so that a fault replaces no device of the machine's.
TEST_F(Output, GoesToADevice) {
  for (const char* device : {"null", "full"})
    fs::create_symlink(fs::path("/dev") / device, path(device));
  EXPECT_EQ(run(logits(path("null"))).code, 0);
  refuse(logits(path("full")), "full: cannot be written: No space left on device");
  for (const char* device : {"null", "full"}) EXPECT_TRUE(fs::is_symlink(path(device)));
}

TEST_F(Output, TooLargeForALimitIsNamed) {
  const std::string out = path("out.safetensors");
  refuse(logits(out), "out.safetensors: cannot be written: File too large", "ulimit -f 1; ");
  expect_nothing_at(out);
}

TEST_F(Output, RemovesWhatAKilledRunLeft) {
  write(".precis-0123456789abcdef.part", "half a file");
  ASSERT_EQ(run(logits(path("out"))).code, 0);
  EXPECT_FALSE(fs::exists(path(".precis-0123456789abcdef.part")));
}

// Standard output

TEST_F(Output, OnAFullDeviceIsAnError) {
  for (const std::string& arguments : {generate(),
                                       generate("--json"),
                                       "tokenize" + kLlama + "--file " + write("text", "the town"),
                                       "info" + kLlama,
                                       std::string("--help"),
                                       std::string("--version")})
    refuse_output(arguments, ">/dev/full");
}

TEST_F(Output, ThatIsClosedIsAnError) {
  refuse_output(generate(), ">&-");
  refuse_output("tokenize" + kLlama + "--file " + write("text", "the town"), ">&-");
}

// Nobody reads it.
TEST_F(Output, ThatIsABrokenPipeIsAnError) {
  const Result result =
      shell("( " + program + " " + generate() + "; echo $? >" + path("code") + " ) | true");
  EXPECT_EQ(read_file(path("code")), "2\n");
  EXPECT_THAT(result.err, testing::HasSubstr("standard output cannot be written: Broken pipe"));
}

// A file that is opened while standard streams are closed would have their numbers.
TEST_F(Output, OfClosedStreamsIsNotWrittenIntoFiles) {
  const std::string out = path("m.safetensors");
  const int status = std::system((program + " compress" + kLlama + "--ids " +
                                  write("ids.json", "[20,21,22,23,24,25,26,27]") + " --out " + out +
                                  " <&- >&- 2>&-")
                                     .c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(Memory::load(out).provenance().source_tokens, 8);
}

// Several at work

TEST_F(Output, BanksLoseNothingOfSixAtOnce) {
  const std::string memory = saved("memory", soft_memory({{1, 2}, {3, 4}}));
  const Result result =
      shell("for i in 1 2 3 4 5 6; do " + program + " bank --bank " + path("bank") +
            " add --name $i --memory " + memory + " >/dev/null & done; wait");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(succeed("bank list --bank " + path("bank")).at("memories").size(), 6u);
}

TEST_F(Output, TrainingIsRefusedWhereAnotherRunIs) {
  const std::string arguments = training() + " --steps 2";
  fs::create_directory(path("trained"));
  {
    const LockFile lock(path("trained"), std::chrono::milliseconds(0));
    refuse(arguments, concat("trained: is being changed by process ", ::getpid()));
  }
  EXPECT_TRUE(fs::is_empty(path("trained")));
  ASSERT_EQ(run(arguments, "OMP_NUM_THREADS=1 ").code, 0);
  EXPECT_FALSE(fs::exists(path("trained/.precis-lock")));
}

TEST_F(Output, AResultIsRefusedWhereAnotherProcessWrites) {
  const std::string compressor = import_selfcp();
  const std::vector<std::string> commands = {
      "import --from selfcp --source " + kSelfCp + " --base " + kModels + "llama --ratio 8",
      "convert --compressor " + compressor,
      "eval" + kLlama + "--compressor " + compressor +
          " --task continue --older 24 --kept 5 --scored 7 --texts " +
          write("texts.jsonl", "{\"text\": \"the town\"}\n")};
  const std::string out = path("out");
  fs::create_directory(out);
  for (const std::string& command : commands) {
    const LockFile lock(out, std::chrono::milliseconds(0));
    refuse(command + " --out " + out, concat("out: is being changed by process ", ::getpid()));
  }
  EXPECT_TRUE(fs::is_empty(out));
  succeed(commands.front() + " --out " + out);
  EXPECT_FALSE(fs::exists(out + "/.precis-lock"));
}

// Recipes

TEST_F(Output, ARecipeNamesNoFiles) {
  const std::string victim = path("victim");
  for (const char* key : {"cache", "out", "data", "validation", "start-from", "model", "recipe"}) {
    const json one{{key, victim}};
    const json staged{{"stages", json::array({json::object(), one})}};
    for (const json& recipe : {one, staged}) {
      refuse(training() + " --recipe " + write("recipe.json", recipe.dump()),
             std::string("recipe.json: ") + key + " names a file or a machine");
      expect_nothing_at(victim);
      expect_nothing_at(path("trained"));
    }
  }
}

}  // namespace
}  // namespace precis
