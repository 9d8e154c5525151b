// SPDX-License-Identifier: Apache-2.0
#include "cli/completion_scripts.h"

#include <functional>

#include "base/check.h"

namespace precis::cli {
namespace {

void visit(const CommandWords& words, const std::function<void(const CommandWords&)>& callback) {
  callback(words);
  for (const CommandWords& below : words.commands) visit(below, callback);
}

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

// In single quotes, which all three shells read alike but for a quote inside.
std::string quoted(const std::string& text, const char* quote) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string(quote) : std::string(1, c);
  return result + "'";
}

std::string quoted_for_sh(const std::string& text) { return quoted(text, "'\\''"); }

// fish also interprets backslashes in single quotes.
std::string quoted_for_fish(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '\\' ? std::string("\\\\") : std::string(1, c);
  return quoted(escaped, "\\'");
}

std::vector<std::string> names_below(const CommandWords& words) {
  std::vector<std::string> names;
  for (const CommandWords& below : words.commands)
    names.push_back(below.path.substr(words.path.empty() ? 0 : words.path.size() + 1));
  return names;
}

// For bash and zsh: the branches of a `case` over "COMMAND WORD", which follows the words up to the
// cursor.
std::string branches_of_path(const CommandWords& words) {
  std::string branches;
  visit(words, [&](const CommandWords& one) {
    for (const std::string& name : names_below(one)) {
      const std::string path = one.path.empty() ? name : one.path + " " + name;
      branches += concat("      '", one.path, " ", name, "') command='", path, "' ;;\n");
    }
  });
  return branches;
}

// For bash and zsh: the branches of a `case` over "COMMAND FLAG", with the word before the cursor.
// `complete_choices`: what completes one of the words behind it.
std::string branches_of_values(const CommandWords& words,
                               const std::string& complete_choices,
                               const std::string& complete_file) {
  std::string branches;
  visit(words, [&](const CommandWords& one) {
    std::vector<std::string> any;
    for (const FlagWords& flag : one.flags) {
      if (!flag.takes_value) continue;
      const std::string pattern = "'" + one.path + " " + flag.name + "'";
      if (flag.choices.empty()) {
        any.push_back(pattern);
      } else {
        branches += concat("    ",
                           pattern,
                           ") ",
                           complete_choices,
                           " ",
                           quoted_for_sh(joined(flag.choices)),
                           "; return ;;\n");
      }
    }
    if (!any.empty())
      branches += "    " + joined(any, " | ") + ") " + complete_file + "return ;;\n";
  });
  return branches;
}

// The same as branches_of_path(), for fish.
std::string cases_of_path(const CommandWords& words) {
  std::string cases;
  visit(words, [&](const CommandWords& one) {
    for (const std::string& name : names_below(one)) {
      const std::string path = one.path.empty() ? name : one.path + " " + name;
      cases += concat("            case '", one.path, " ", name, "'\n");
      cases += concat("                set path '", path, "'\n");
    }
  });
  return cases;
}

}  // namespace

// A flag that takes any value completes to nothing, so that `-o default` offers files.
std::string bash_completion(const CommandWords& words) {
  std::string candidates;
  visit(words, [&](const CommandWords& one) {
    std::vector<std::string> all = names_below(one);
    all.insert(all.end(), one.arguments.begin(), one.arguments.end());
    for (const FlagWords& flag : one.flags) all.push_back(flag.name);
    candidates += concat("    '", one.path, "') _precis_among '", joined(all), "' ;;\n");
  });
  return concat(R"(# bash completion of precis:  source <(precis completion bash)
_precis_among() {
  COMPREPLY=($(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}"))
}
_precis() {
  local command='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
)",
                branches_of_path(words),
                R"(    esac
  done
  case "$command ${COMP_WORDS[COMP_CWORD - 1]}" in
)",
                branches_of_values(words, "_precis_among", ""),
                R"(  esac
  case "$command" in
)",
                candidates,
                R"(  esac
}
complete -o bashdefault -o default -F _precis precis
)");
}

std::string zsh_completion(const CommandWords& words) {
  // _describe takes "word:description".
  const auto described = [](const std::string& word, const std::string& description) {
    return " " + quoted_for_sh(word + ":" + description);
  };
  std::string candidates;
  visit(words, [&](const CommandWords& one) {
    std::string commands, flags;
    const std::vector<std::string> names = names_below(one);
    for (size_t i = 0; i < names.size(); ++i)
      commands += described(names[i], one.commands[i].description);
    for (const std::string& argument : one.arguments) commands += described(argument, "");
    for (const FlagWords& flag : one.flags) flags += described(flag.name, flag.description);
    candidates += concat("    '", one.path, "')\n      words_here=(", commands, ")\n");
    candidates += concat("      flags=(", flags, ") ;;\n");
  });
  return concat(R"(#compdef precis
# zsh completion of precis:  source <(precis completion zsh), or as the file _precis in a folder of $fpath
_precis_among() {
  compadd -- ${=1}
}
_precis() {
  local command=''
  local -a words_here flags
  integer i
  for ((i = 2; i < CURRENT; ++i)); do
    case "$command ${words[i]}" in
)",
                branches_of_path(words),
                R"(    esac
  done
  case "$command ${words[CURRENT - 1]}" in
)",
                branches_of_values(words, "_precis_among", "_files; "),
                R"(  esac
  case "$command" in
)",
                candidates,
                R"(  esac
  (( ${#words_here} )) && _describe -t commands command words_here
  _describe -o -t options flag flags
}
if [[ "${funcstack[1]}" == _precis ]]; then
  _precis "$@"
else
  compdef _precis precis
fi
)");
}

std::string fish_completion(const CommandWords& words) {
  std::string lines;
  visit(words, [&](const CommandWords& one) {
    const std::string start =
        "complete -c precis -n " + quoted_for_fish("__precis_at " + quoted_for_fish(one.path));
    for (size_t i = 0; i < one.commands.size(); ++i) {
      lines += concat(start,
                      " -a ",
                      names_below(one)[i],
                      " -d ",
                      quoted_for_fish(one.commands[i].description),
                      "\n");
    }
    if (!one.arguments.empty())
      lines += concat(start, " -a ", quoted_for_fish(joined(one.arguments)), "\n");
    for (const FlagWords& flag : one.flags) {
      const std::string value = !flag.takes_value ? ""
                                : flag.choices.empty()
                                    ? " -r -F"
                                    : " -x -a " + quoted_for_fish(joined(flag.choices));
      lines += concat(start,
                      " -l ",
                      flag.name.substr(2),
                      value,
                      " -d ",
                      quoted_for_fish(flag.description),
                      "\n");
    }
  });
  return concat(R"(# fish completion of precis:  precis completion fish | source
function __precis_at --description 'Whether the words so far are of this command'
    set -l path ''
    for word in (commandline -opc)[2..-1]
        switch "$path $word"
)",
                cases_of_path(words),
                R"(        end
    end
    test "$path" = "$argv[1]"
end
complete -c precis -f
)",
                lines);
}

}  // namespace precis::cli
