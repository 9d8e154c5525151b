// SPDX-License-Identifier: Apache-2.0
// precis import --from gisting: a model that was tuned with gists, or its difference to its base.
#include "cli/import_gisting.h"

#include <ATen/core/TensorBody.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/model_options.h"
#include "compressors/gisting/import_gisting.h"
#include "compressors/published_weights.h"
#include "compressors/weight_difference.h"
#include "io/draft_directory.h"
#include "io/lock_file.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "precis/extend/shapes.h"

namespace precis::cli {
namespace {

namespace fs = std::filesystem;

// Before anything takes long.
void check_flags(const GistingImportOptions& options,
                 const std::optional<double>& check_sum,
                 const GistingPaths& paths) {
  const auto demand_positive = [](int64_t value, const char* flag) {
    PRECIS_CHECK(
        value >= 1, kInvalidArgument, "import: ", flag, " is ", value, ", expected at least 1");
  };
  demand_positive(options.num_gists, "--memory-tokens");
  demand_positive(options.max_segment, "--max-segment");
  PRECIS_CHECK(
      !check_sum || !paths.base.empty(),
      kInvalidArgument,
      "import: --check-sum needs --base: it is of the weights that base and difference give");
  PRECIS_CHECK(!check_sum || std::isfinite(*check_sum),
               kInvalidArgument,
               "import: --check-sum is ",
               *check_sum,
               ", expected a finite number");
  PRECIS_CHECK(
      paths.base.empty() || paths.dtype != "auto",
      kInvalidArgument,
      "import: with --base, --dtype is how weights are stored, expected float32 or bfloat16");
}

// Narrow, since only sizes and the fingerprint of its files are asked for.
Engine load_model(const fs::path& model) {
  ModelOptions options;
  options.engine.model = model;
  options.dtype = "bfloat16";
  return options.load();
}

nlohmann::json describe(const Compressor& compressor, const fs::path& model, const fs::path& out) {
  return {{"method", "gisting"},
          {"memory_tokens", compressor.info().slots},
          {"parameters", compressor.info().num_parameters},
          {"model", model.string()},
          {"compressor", out.string()}};
}

nlohmann::json import_tuned(const GistingImportOptions& options, const GistingPaths& paths) {
  std::error_code ignored;
  PRECIS_CHECK(
      !fs::is_regular_file(paths.source, ignored),
      kInvalidArgument,
      paths.source.string(),
      ": is a file, expected the Hugging Face directory of a tuned model (with --base: its "
      "difference)");
  PRECIS_CHECK(
      !is_weight_difference(*published_weights(paths.source)),
      kBadWeights,
      paths.source.string(),
      ": holds a difference of weights, not a model; name the model it belongs to with --base");
  const auto tokenizer = load_tokenizer(paths.source);
  const Engine engine = load_model(paths.source);
  const auto compressor = precis::import_gisting(engine.decoder(), *tokenizer, options);
  const LockFile lock = lock_directory(paths.out);
  compressor->save(paths.out);
  return describe(*compressor, paths.source, paths.out);
}

// What would be refused once tens of gigabytes are recovered. The new row is the gist.
void check_base(const fs::path& base, const Tokenizer& tokenizer, int64_t num_gists) {
  const DecoderConfig config = model_shape(fs::absolute(base).string());
  const int64_t ids = tokenizer.vocab_size();
  PRECIS_CHECK(ids <= config.vocab_size || tokenizer.find("<GIST>") == config.vocab_size,
               kBadWeights,
               base.string(),
               ": the tokenizer has ",
               ids,
               " ids, expected at most the ",
               config.vocab_size,
               " rows of the model's vocabulary, since the next is the gist's");
  PRECIS_CHECK(num_gists <= config.context_length,
               kInvalidArgument,
               "import: --memory-tokens is ",
               num_gists,
               ", expected at most the base's context length of ",
               config.context_length);
}

nlohmann::json import_difference(GistingImportOptions options,
                                 const std::optional<double>& check_sum,
                                 const GistingPaths& paths) {
  const auto tokenizer = load_tokenizer(paths.base);
  check_base(paths.base, *tokenizer, options.num_gists);
  DraftDirectory draft(paths.out);
  const fs::path model = draft.path() / "model";
  RecoveryOptions recovery;
  recovery.dtype = paths.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  recovery.check_sum = check_sum;
  const RecoveredModel recovered = recover_model(paths.base, paths.source, model, recovery);
  options.gist_id = recovered.vocab_size - 1;
  const Engine engine = load_model(model);
  const auto compressor = precis::import_gisting(engine.decoder(), *tokenizer, options);
  compressor->save(draft.path());
  draft.commit();
  nlohmann::json result = describe(*compressor, paths.out / "model", paths.out);
  result["sum"] = recovered.sum;
  return result;
}

}  // namespace

void add_check_sum(CLI::App& command, std::optional<double>& check_sum) {
  command.add_option("--check-sum",
                     check_sum,
                     "gisting with --base: the sum of all weights; 50547.9570 for gist-1, "
                     "50596.9141 and 50503.8789 for the positive and negative control");
}

nlohmann::json import_gisting(const CompressorSettings& settings,
                              const std::optional<double>& check_sum,
                              const GistingPaths& paths) {
  const GistingImportOptions options = gisting_import_options(settings);
  check_flags(options, check_sum, paths);
  if (paths.base.empty()) return import_tuned(options, paths);
  return import_difference(options, check_sum, paths);
}

}  // namespace precis::cli
