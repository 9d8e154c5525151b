// SPDX-License-Identifier: Apache-2.0
// Help of the `precis` program: lists, suggestions, version and shell completion.
#include <regex>
#include <set>

#include "cli_fixture.h"

namespace precis {
namespace {

using nlohmann::json;
using testing::ContainsRegex;
using testing::HasSubstr;

const std::string kLlama = " --model " + kModels + "llama ";

class Help : public CliTest {
 protected:
  // The commands, as listed.
  std::vector<std::string> commands() const {
    const std::string list = run("help").out;
    std::vector<std::string> names;
    const std::string below = list.substr(list.find("Subcommands:"));
    const std::regex line("\n  ([a-z-]+) +[^ ]");
    for (std::sregex_iterator i(below.begin(), below.end(), line), end; i != end; ++i)
      names.push_back((*i)[1]);
    return names;
  }

  // The flags that `precis COMMAND --help` has.
  std::set<std::string> flags_of(const std::string& command) const {
    const std::string help = run(command + " --help").out;
    std::set<std::string> names;
    const std::regex line("\n  (?:-h,)?(--[a-z-]+)");
    for (std::sregex_iterator i(help.begin(), help.end(), line), end; i != end; ++i)
      names.insert((*i)[1]);
    return names;
  }

  // Completions by bash of the last of these words.
  std::set<std::string> completed(const std::vector<std::string>& words) const {
    std::string script = "source <(" + program + " completion bash)\nCOMP_WORDS=(precis";
    for (const std::string& word : words) script += " '" + word + "'";
    script += ")\nCOMP_CWORD=" + std::to_string(words.size()) +
              "\n_precis\nprintf '%s\\n' \"${COMPREPLY[@]}\" >" + path("completed") + "\n";
    EXPECT_EQ(std::system(("bash " + write("complete.sh", script)).c_str()), 0);
    std::set<std::string> found;
    std::istringstream lines(read_file(directory / "completed"));
    for (std::string line; std::getline(lines, line);)
      if (!line.empty()) found.insert(line);
    return found;
  }
};

TEST_F(Help, TheCommandsAreListedWithALineEach) {
  for (const char* arguments : {"", "help", "--help"}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 0) << arguments;
    EXPECT_EQ(result.err, "") << arguments;
    EXPECT_THAT(result.out, ContainsRegex("\n  generate +Answer a prompt")) << arguments;
    EXPECT_THAT(result.out, ContainsRegex("\n  bank +Keep memories")) << arguments;
    EXPECT_THAT(result.out, HasSubstr("precis COMMAND --help")) << arguments;
  }
  EXPECT_GE(commands().size(), 16u);
}

TEST_F(Help, TheFlagsOfACommandAreListed) {
  const Result result = run("help compress");
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("--ratio"));
  EXPECT_EQ(result.out, run("compress --help").out);
  refuse("help compres", "did you mean compress?");
}

TEST_F(Help, AMisspeltCommandSuggestsTheNearest) {
  refuse("genrate --prompt x", "precis has no command genrate; did you mean generate?");
  refuse("bank --bank b ad", "precis bank has no command ad; did you mean add?");
  refuse("frobnicate", "precis has no command frobnicate; precis --help lists them");
}

TEST_F(Help, AMisspeltFlagSuggestsTheNearest) {
  refuse("generate --modle x --prompt y",
         "precis generate has no flag --modle; did you mean --model?");
  refuse("generate --model x --prompt y --contxt-file=z", "did you mean --context-file?");
  refuse("bank add --bnk b --name n", "precis bank add has no flag --bnk; did you mean --bank?");
  refuse("train --nonsense 3", "precis train has no flag --nonsense; precis train --help");
}

// Values may look like commands.
TEST_F(Help, ValuesAreNotTakenForCommands) {
  refuse("bank --bank ad add --nam x", "no flag --nam; did you mean --name?");
  refuse("generate --prompt genrate", "--model is required");
}

TEST_F(Help, AMisspeltValueListsTheChoices) {
  const std::string generate = "generate" + kLlama + "--prompt x --raw --max-tokens 1 ";
  refuse(
      generate + "--overflow compres",
      "--overflow: \"compres\" is none of compress-all, compress-former, compress-latter, refuse, "
      "truncate; did you mean compress-all?");
  refuse(generate + "--overflow 2", "\"2\" is none of compress-all");
  refuse(generate + "--use instuct", "did you mean instruct?");
  refuse(generate + "--dtype bfloat61", "did you mean bfloat16?");
  refuse(generate + "--weights int", "is none of float32, bfloat16, int8, int4");
  EXPECT_EQ(run(generate + "--overflow Truncate").code, 0);
}

TEST_F(Help, AMisspeltMethodSuggestsTheNearest) {
  refuse("import --from icea --source s --out " + path("o"), "did you mean icae?");
  refuse("info --shape llama-2-7b --method slefcp", "did you mean selfcp?");
  refuse("compress" + kLlama + "--compressor attention_maching --ids " + write("i.json", "[5]") +
             " --out " + path("m"),
         "did you mean attention_matching?");
  std::string train = training();
  train.replace(train.find("selfcp"), 6, "gistign");
  refuse(train, "did you mean gisting?");
}

TEST_F(Help, TheVersionNamesCommitLibtorchAndInstructionSet) {
  const Result result = run("--version");
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, ContainsRegex("^precis [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(result.out, ContainsRegex("\ncommit ([0-9a-f]{12}( and changes)?|unknown)\n"));
  EXPECT_THAT(result.out, ContainsRegex("\nlibtorch [0-9]+\\.[0-9]+"));
  EXPECT_THAT(result.out, ContainsRegex("\ninstruction set (AVX|x86-64)"));
}

// Completion

TEST_F(Help, BashCompletesCommands) {
  EXPECT_EQ(completed({"gen"}), std::set<std::string>{"generate"});
  EXPECT_EQ(completed({"bank", "--bank", "b", "n"}), std::set<std::string>{"nearest"});
  EXPECT_EQ(completed({"completion", ""}),
            (std::set<std::string>{"--help", "bash", "fish", "zsh"}));
  EXPECT_EQ(completed({"help", "tok"}), std::set<std::string>{"tokenize"});
}

TEST_F(Help, BashCompletesValues) {
  EXPECT_EQ(completed({"generate", "--overflow", "compress-l"}),
            std::set<std::string>{"compress-latter"});
  EXPECT_EQ(completed({"generate", "--combine", ""}), (std::set<std::string>{"concat", "sum"}));
  EXPECT_TRUE(completed({"generate", "--model", ""}).empty());  // bash puts files there
}

TEST_F(Help, EveryCommandAndFlagIsCompleted) {
  const std::set<std::string> all = completed({""});
  for (const std::string& command : commands()) {
    EXPECT_TRUE(all.contains(command)) << command;
    EXPECT_EQ(completed({command, "--"}), flags_of(command)) << command;
  }
}

TEST_F(Help, TheOtherShellsCompleteTheSame) {
  const std::string zsh = run("completion zsh").out, fish = run("completion fish").out;
  EXPECT_THAT(zsh, testing::StartsWith("#compdef precis\n"));
  for (const std::string& command : commands()) {
    EXPECT_THAT(zsh, HasSubstr(" ' " + command + "') command=")) << command;
    EXPECT_THAT(fish, HasSubstr(" -a " + command + " -d ")) << command;
    for (const std::string& flag : flags_of(command)) {
      EXPECT_THAT(zsh, HasSubstr(" '" + flag + ":")) << command;
      EXPECT_THAT(fish, HasSubstr("\\'" + command + "\\'' -l " + flag.substr(2) + " ")) << command;
    }
  }
  refuse("completion basj", "\"basj\" is none of bash, zsh, fish; did you mean bash?");
}

// Standard input and files

TEST_F(Help, StandardInputReplacesAFile) {
  const std::string text = write("text.txt", "the town and its water"),
                    ids = write("ids.json", "[20,21,22,23,24,25]");
  EXPECT_EQ(succeed("tokenize" + kLlama + "--file - <" + text),
            succeed("tokenize" + kLlama + "--file " + text));
  EXPECT_EQ(succeed("detokenize" + kLlama + "--ids - <" + ids),
            succeed("detokenize" + kLlama + "--ids " + ids));
  const std::string selfcp = import_selfcp();
  for (const char* out : {"piped", "read"}) {
    const std::string from = std::string(out) == "piped" ? "- <" + text : text;
    succeed("compress" + kLlama + "--compressor " + selfcp + " --out " + path(out) + " --file " +
            from);
  }
  EXPECT_EQ(read_file(directory / "piped"), read_file(directory / "read"));
  refuse("compress" + kLlama + "--out " + path("m") + " --file - </dev/null",
         "standard input: the document is empty");
  refuse("detokenize" + kLlama + "--ids - </dev/null", "standard input: not valid JSON");
}

TEST_F(Help, APromptMayBeInAFile) {
  const std::string generate = "generate" + kLlama + "--raw --max-tokens 3 --dtype float32 --json ";
  const std::string prompt = write("prompt.txt", "the town and");
  const json said = succeed(generate + "--prompt 'the town and'").at("ids");
  EXPECT_EQ(succeed(generate + "--prompt-file " + prompt).at("ids"), said);
  EXPECT_EQ(succeed(generate + "--prompt-file - <" + prompt).at("ids"), said);
  refuse(generate + "--prompt x --prompt-file " + prompt, "--prompt");
  refuse(generate, "--prompt or --prompt-file is required");
}

TEST_F(Help, NoIdsAreTheEmptyText) {
  EXPECT_EQ(succeed("detokenize" + kLlama + "--ids " + write("ids.json", "[]")),
            json({{"text", ""}}));
}

// In scripts that people have.
TEST_F(Help, FormerNamesOfFlagsAreAcceptedAndNotShown) {
  EXPECT_THAT(run("eval --framed").err, testing::Not(testing::HasSubstr("framed")));
  EXPECT_THAT(run("eval --help").out, testing::Not(testing::HasSubstr("--framed")));
}

}  // namespace
}  // namespace precis
