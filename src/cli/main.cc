// SPDX-License-Identifier: Apache-2.0
// The `precis` program. Results go to standard output, messages and progress to standard error; bad
// input is one line there and exit code 2.
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>

#include "cli/commands.h"
#include "cli/model_options.h"
#include "precis/error.h"

namespace {

constexpr int kBadInput = 2;
constexpr int kInternalError = 1;

int report(std::string message, int code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cerr << "precis: " << message << std::endl;
  return code;
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app(
      "Compressed-prompt inference: a frozen language model reads memories in place of long text.",
      "precis");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(PRECIS_VERSION));
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
  const std::string json_flag = "taken everywhere; this command prints JSON anyway";
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->get_option_no_throw("--device") == nullptr)
      precis::cli::add_ignored_device(*command);
    if (command->get_option_no_throw("--json") == nullptr) command->add_flag("--json", json_flag);
  }
  try {
    app.parse(count, arguments);
    return 0;
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    return report(error.what(), kBadInput);
  } catch (const precis::Error& error) {
    return report(error.what(),
                  error.kind() == precis::ErrorKind::kInternal ? kInternalError : kBadInput);
  } catch (const std::exception& error) {
    return report(error.what(), kInternalError);
  }
}
