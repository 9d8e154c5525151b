// SPDX-License-Identifier: Apache-2.0
// precis generate: answers a prompt, which may contain a document to compress.
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "cli/savings_in_words.h"
#include "cli/timing.h"
#include "precis/extend/compressor.h"

namespace precis::cli {
namespace {

const std::map<std::string, Overflow> kOverflow{{"refuse", Overflow::kRefuse},
                                                {"truncate", Overflow::kTruncate},
                                                {"compress-former", Overflow::kCompressFormer},
                                                {"compress-latter", Overflow::kCompressLatter},
                                                {"compress-all", Overflow::kCompressAll}};

const std::map<std::string, MemoryUse> kUses{{"autoencode", MemoryUse::kAutoencode},
                                             {"continue", MemoryUse::kContinue},
                                             {"instruct", MemoryUse::kInstruct}};

struct Flags {
  ModelOptions model;
  CompressionFlags compression;
  GenerationOptions generation;
  std::string prompt;
  std::filesystem::path prompt_file, compress_file, context_file;
  std::vector<std::filesystem::path> memories;
  std::string combine = "concat";
  std::optional<MemoryUse> use;
  bool raw = false;
  bool json = false;
};

// The memories of --memory, combined as --combine says.
std::vector<Memory> given_memories(const Flags& flags) {
  std::vector<Memory> memories;
  for (const auto& path : flags.memories) memories.push_back(Memory::load(path));
  if (flags.combine == "sum") return {Memory::sum(memories)};
  return memories;
}

Prompt make_prompt(const Flags& flags) {
  Prompt prompt;
  if (!flags.raw) prompt.turn("user");
  for (Memory& memory : given_memories(flags)) prompt.memory(std::move(memory));
  if (!flags.compress_file.empty()) prompt.compress(read_text(flags.compress_file));
  if (!flags.context_file.empty()) prompt.context(read_text(flags.context_file));
  const bool after_document =
      !flags.memories.empty() || !flags.compress_file.empty() || !flags.context_file.empty();
  // In a chat an empty line separates question and document; raw prompts are read as given.
  return prompt.keep(after_document && !flags.raw ? "\n\n" + flags.prompt : flags.prompt);
}

// Compressors of keys and values with an empty template were trained in chats, or not at all:
// without the model's chat template the answer may be empty.
void warn_of_empty_template(const Flags& flags, const Engine& engine) {
  if (*flags.use != MemoryUse::kInstruct || !engine.compressor()->info().cached) return;
  const MemoryTemplate around = engine.compressor()->memory_template(*flags.use);
  if (!around.before.empty() || !around.after.empty() || !around.end.empty()) return;
  std::cerr
      << "precis: " << engine.compressor()->info().method
      << " has no template of its own for --use instruct: without --use the question is asked in "
         "the model's chat"
      << std::endl;
}

// The prompt in the template that the compressor was trained with.
Prompt templated_prompt(const Flags& flags,
                        const Engine& engine,
                        GenerationOptions& options,
                        CompressedBefore& before) {
  warn_of_empty_template(flags, engine);
  std::vector<Memory> memories = given_memories(flags);
  if (!flags.compress_file.empty()) {
    const std::string text = read_text(flags.compress_file);
    const Clock::time_point start = Clock::now();
    memories.push_back(engine.compress(text, options.compression));
    before.ms = 1e3 * seconds_since(start);
    before.tokens = memories.back().provenance().source_tokens;
  }
  PRECIS_CHECK(!memories.empty(),
               kInvalidArgument,
               "generate: --use needs a memory (--memory or --compress-file)");
  TemplatedPrompt templated = engine.apply_template(memories, *flags.use, flags.prompt);
  options.stop_ids = std::move(templated.stop_ids);
  return std::move(templated.prompt);
}

const char* name_of(Completion::Finish finish) {
  switch (finish) {
    case Completion::Finish::kStop:
      return "stop";
    case Completion::Finish::kLength:
      return "length";
    case Completion::Finish::kCancelled:
      return "cancelled";
    case Completion::Finish::kDeadline:
      return "deadline";
    case Completion::Finish::kError:
      break;
  }
  return "error";
}

nlohmann::json describe(const Completion& completion, const CompressedBefore& before) {
  const Savings& savings = completion.savings;
  const Timings& timings = completion.timings;
  return {{"text", completion.text},
          {"ids", completion.ids},
          {"finish", name_of(completion.finish)},
          {"prompt_tokens", savings.prompt_tokens},
          {"prompt_rows", savings.prompt_rows},
          {"rows_read", savings.rows_read},
          {"compressed_tokens", savings.compressed_tokens + before.tokens},
          {"memory_rows", savings.memory_rows},
          {"kv_bytes_saved", savings.kv_bytes_saved},
          {"compress_ms", timings.compress_ms + before.ms},
          {"prefill_ms", timings.prefill_ms},
          {"decode_ms", timings.decode_ms}};
}

void run(Flags& flags) {
  if (!flags.prompt_file.empty()) flags.prompt = read_text(flags.prompt_file);
  const Prompt given = flags.use ? Prompt() : make_prompt(flags);
  const Engine engine = flags.model.load();
  GenerationOptions options = flags.generation;
  options.compression = flags.compression.options();
  ProgressBar bar("compressing");
  options.compression.progress = [&](double done) {
    bar.update(done);
    if (done >= 1) bar.end();  // before the answer
    return true;
  };
  CompressedBefore before;
  const Prompt prompt = flags.use ? templated_prompt(flags, engine, options, before) : given;
  const TextCallback show = [](std::string_view text) {
    print_text(std::string(text));
    return true;
  };
  const Completion completion =
      engine.generate(prompt, options, flags.json ? TextCallback{} : show);
  if (flags.json) return print(describe(completion, before));
  print_text("\n");
  std::cerr << "precis: " << savings_in_words(completion, before) << std::endl;
}

void add_sampling_flags(CLI::App& command, GenerationOptions& options) {
  command.add_option("--max-tokens", options.max_tokens, "tokens to generate at most")
      ->capture_default_str();
  command.add_option("--temperature", options.temperature, "0: greedy")->capture_default_str();
  command.add_option("--top-k", options.top_k, "0: off")->capture_default_str();
  command.add_option("--top-p", options.top_p, "1: off")->capture_default_str();
  command.add_option("--min-p", options.min_p, "0: off")->capture_default_str();
  command.add_option("--repetition-penalty", options.repetition_penalty, "1: off")
      ->capture_default_str();
  command.add_option("--seed", options.seed, "of the random draws")->capture_default_str();
  command.add_option("--stop", options.stop, "end before this text (may be repeated)");
}

}  // namespace

void add_generate(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Answer a prompt, streaming the text");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kOptional, "auto");
  add_compression_flags(*command, flags->compression);
  auto* prompt = command->add_option(
      "--prompt", flags->prompt, "the question, or with --raw the text to continue");
  auto* prompt_file =
      command
          ->add_option(
              "--prompt-file", flags->prompt_file, "file with the prompt, or - for standard input")
          ->excludes(prompt);
  command
      ->add_option("--use",
                   flags->use,
                   "read the memory in the template that its compressor was trained with")
      ->transform(number_of(kUses));
  command->add_option("--compress-file",
                      flags->compress_file,
                      "document to put before the prompt as a memory, or - for standard input");
  command->add_option(
      "--context-file",
      flags->context_file,
      "document to put before the prompt verbatim, if it fits; else as --overflow says");
  auto* memories = command->add_option(
      "--memory", flags->memories, "memory file to put before the prompt (may be repeated)");
  command
      ->add_option("--combine",
                   flags->combine,
                   "several --memory: concat, one after the other, or sum, added row by row")
      ->check(one_of({"concat", "sum"}))
      ->capture_default_str()
      ->needs(memories);
  command
      ->add_option("--overflow",
                   flags->generation.overflow,
                   "what to do with a prompt over the context limit (default: refuse)")
      ->transform(number_of(kOverflow));
  command->add_option("--context-limit",
                      flags->generation.context_limit,
                      "tokens of prompt and answer in all (default: the model's context length)");
  add_sampling_flags(*command, flags->generation);
  command->add_flag("--raw", flags->raw, "no chat template; --use never applies one");
  command->add_flag("--json", flags->json, "one JSON object instead of streamed text");
  command->callback([flags, prompt, prompt_file] {
    PRECIS_CHECK(*prompt || *prompt_file || flags->use,
                 kInvalidArgument,
                 "--prompt or --prompt-file is required");
    PRECIS_CHECK(!flags->use || flags->context_file.empty(),
                 kInvalidArgument,
                 "generate: --context-file cannot be used with --use, which puts memories before "
                 "the prompt and no other text");
    run(*flags);
  });
}

}  // namespace precis::cli
