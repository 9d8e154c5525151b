// SPDX-License-Identifier: Apache-2.0
// The `precis` program. Results go to standard output, messages and progress to standard error; bad
// input is one line there and exit code 2.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/misspelt.h"
#include "cli/model_options.h"
#include "cli/process.h"
#include "cli/version.h"
#include "io/translate_errors.h"
#include "precis/error.h"

namespace {

constexpr int kBadInput = 2;
constexpr int kInternalError = 1;

int report(std::string message, int code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cerr << "precis: " << message << std::endl;
  return code;
}

// Reports any exception. Out of memory counts as bad input, not as a defect.
int report_current() {
  try {
    precis::translate_errors([] { throw; });
  } catch (const precis::Error& error) {
    return report(error.what(),
                  error.kind() == precis::ErrorKind::kInternal ? kInternalError : kBadInput);
  }
  return kInternalError;
}

void parse(CLI::App& app, int count, char** arguments) {
  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& wanted) {  // --help, --version
    app.exit(wanted);
  }
}

}  // namespace

int main(int count, char** arguments) {
  precis::cli::prepare_process();
  CLI::App app(
      "Compressed-prompt inference: a frozen language model reads memories in place of long text.",
      "precis");
  app.require_subcommand(1);
  app.footer("precis COMMAND --help lists the flags of a command.");
  app.set_version_flag("--version", precis::cli::version_text);
  precis::cli::add_info(app);
  precis::cli::add_tokenize(app);
  precis::cli::add_detokenize(app);
  precis::cli::add_logits(app);
  precis::cli::add_score(app);
  precis::cli::add_compress(app);
  precis::cli::add_generate(app);
  precis::cli::add_train(app);
  precis::cli::add_convert(app);
  precis::cli::add_distil_answers(app);
  precis::cli::add_eval(app);
  precis::cli::add_bench(app);
  precis::cli::add_import(app);
  precis::cli::add_bank(app);
  const std::string json_flag = "accepted by every command; this one always prints JSON";
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->get_option_no_throw("--device") == nullptr)
      precis::cli::add_ignored_device(*command);
    if (command->get_option_no_throw("--json") == nullptr) command->add_flag("--json", json_flag);
  }
  precis::cli::add_completion(app);
  precis::cli::add_help(app);
  try {
    if (count <= 1) {
      precis::cli::print_text(precis::cli::list_of_commands(app));
    } else {
      parse(app, count, arguments);
    }
    precis::cli::check_output();
    return 0;
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> given(arguments + 1, arguments + count);
    return report(precis::cli::misspelt(app, given).value_or(error.what()), kBadInput);
  } catch (...) {
    return report_current();
  }
}
