// SPDX-License-Identifier: Apache-2.0
// precis logits, score, compress: outputs of a model and a compressor, for scripts.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "cli/savings_in_words.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis::cli {
namespace {

void check_ids(std::span<const TokenId> ids, const Decoder& decoder) {
  PRECIS_CHECK(std::ssize(ids) <= decoder.config().context_length,
               kInvalidArgument,
               "logits: ",
               ids.size(),
               " ids are over the context limit of ",
               decoder.config().context_length);
  for (const TokenId id : ids) {
    PRECIS_CHECK(id >= 0 && id < decoder.config().vocab_size,
                 kInvalidArgument,
                 "logits: id ",
                 id,
                 " is outside the vocabulary of ",
                 decoder.config().vocab_size);
  }
}

void write_logits(const Decoder& decoder,
                  const std::vector<TokenId>& ids,
                  const std::filesystem::path& out) {
  const c10::InferenceMode inference;
  check_ids(ids, decoder);
  const at::Tensor tokens = at::tensor(ids, at::kLong).to(decoder.options().device());
  const int64_t n = tokens.size(0);
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  const at::Tensor hidden =
      decoder.forward({decoder.embed(tokens), at::arange(n, tokens.options()), {0, n}, {0}}, cache);
  const auto plain = [](const at::Tensor& t) { return t.to(at::kFloat).cpu().contiguous(); };
  const at::Tensor wide_hidden = plain(hidden), logits = plain(decoder.logits(hidden));
  const std::vector<StoredTensor> tensors{to_stored("logits", logits),
                                          to_stored("hidden", wide_hidden)};
  write_safetensors(out, tensors, {{"format", "pt"}});
}

}  // namespace

void add_logits(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("logits", "Logits and final hidden states of token ids, as safetensors");
  struct Flags {
    ModelOptions model;
    std::filesystem::path ids, out;
  };
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "float32");
  command->add_option("--ids", flags->ids, "JSON array of token ids")->required();
  command
      ->add_option(
          "--out", flags->out, "safetensors: logits [n, vocab] and hidden [n, hidden], float32")
      ->required();
  command->callback([flags] {
    check_can_be_written(flags->out);
    const auto ids = read_ids(flags->ids);
    const Engine engine = flags->model.load();
    translate_errors([&] { write_logits(engine.decoder(), ids, flags->out); });
  });
}

void add_score(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "score", "Negative log-likelihood of each id: {\"nll\":[...],\"mean_nll\":x}");
  struct Flags {
    ModelOptions model;
    CompressionFlags compression;
    std::filesystem::path context_ids, ids;
  };
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kOptional, "float32");
  add_compression_flags(*command, flags->compression);
  command->add_option(
      "--context-ids",
      flags->context_ids,
      "JSON array of token ids that the compressor turns into the memory before the scored ids");
  command->add_option("--ids", flags->ids, "JSON array of token ids to score")->required();
  command->callback([flags] {
    const bool compresses = !flags->context_ids.empty();
    PRECIS_CHECK(compresses || flags->model.engine.compressor.empty(),
                 kInvalidArgument,
                 "score: --compressor needs --context-ids");
    const auto ids = read_ids(flags->ids);
    const auto context = compresses ? read_ids(flags->context_ids) : std::vector<TokenId>{};
    const Engine engine = flags->model.load();
    Prompt prompt;
    if (compresses) prompt.memory(engine.compress_ids(context, flags->compression.options()));
    const Score score = engine.score_ids(prompt, ids);
    print({{"nll", score.nll}, {"mean_nll", score.mean()}});
  });
}

namespace {

// Reports the sizes of a memory: JSON on standard output, a sentence on standard error.
void report(const Memory& memory, const Decoder& decoder) {
  const int64_t tokens = memory.provenance().source_tokens, rows = memory.num_tokens();
  const double ratio = static_cast<double>(tokens) / static_cast<double>(rows);
  const auto element = static_cast<int64_t>(decoder.options().dtype().itemsize());
  const int64_t full = tokens * decoder.config().kv_shape().bytes_per_token(element);
  print({{"source_tokens", tokens},
         {"memory_tokens", rows},
         {"ratio", ratio},
         {"bytes", memory.bytes()},
         {"kv_bytes_full", full}});
  std::cerr << "precis: " << with_commas(tokens) << " tokens -> " << with_commas(rows) << " rows ("
            << std::round(10 * ratio) / 10 << "x), " << in_bytes(memory.bytes())
            << "; the keys and values of the text take " << in_bytes(full) << std::endl;
}

}  // namespace

void add_compress(CLI::App& app) {
  CLI::App* command = app.add_subcommand("compress", "Text to a memory file");
  struct Flags {
    ModelOptions model;
    CompressionFlags compression;
    std::filesystem::path file, ids, out;
    bool prefill = false;
  };
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kOptional, "auto");
  add_compression_flags(*command, flags->compression);
  auto* file = command->add_option("--file", flags->file, "text file, or - for standard input");
  command->add_option("--ids", flags->ids, "JSON array of token ids")->excludes(file);
  command
      ->add_option(
          "--out",
          flags->out,
          "safetensors: keys and values, or of selfcp, icae and ic-former embeddings [k, hidden]")
      ->required();
  command->add_flag("--prefill",
                    flags->prefill,
                    "store the keys and values that the model computes for the memory: a larger "
                    "file, and no prefill of the memory when it is used");
  command->callback([flags] {
    PRECIS_CHECK(!flags->file.empty() || !flags->ids.empty(),
                 kInvalidArgument,
                 "compress: give --file or --ids");
    check_can_be_written(flags->out);
    const std::string text = flags->file.empty() ? "" : read_text(flags->file);
    const auto ids = flags->ids.empty() ? std::vector<TokenId>{} : read_ids(flags->ids);
    const Engine engine = flags->model.load();
    CompressOptions options = flags->compression.options();
    ProgressBar bar("compressing");
    bar.begin();
    options.progress = [&](double done) {
      bar.update(done);
      return true;
    };
    Memory memory =
        ids.empty() ? engine.compress(text, options) : engine.compress_ids(ids, options);
    bar.end();
    if (flags->prefill) memory = engine.prefill(memory);
    memory.save(flags->out);
    report(memory, engine.decoder());
  });
}

}  // namespace precis::cli
