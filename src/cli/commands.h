// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace precis::cli {

// Each adds one subcommand, which runs when the command line has been parsed.
void add_info(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_detokenize(CLI::App& app);
void add_logits(CLI::App& app);
void add_score(CLI::App& app);
void add_compress(CLI::App& app);
void add_generate(CLI::App& app);
void add_train(CLI::App& app);
void add_convert(CLI::App& app);
void add_distil_answers(CLI::App& app);
void add_eval(CLI::App& app);
void add_bench(CLI::App& app);
void add_import(CLI::App& app);
void add_bank(CLI::App& app);
void add_completion(CLI::App& app);
void add_help(CLI::App& app);  // of the commands that were added before

// The output of `precis` without arguments: a line for each command.
std::string list_of_commands(const CLI::App& app);

}  // namespace precis::cli
