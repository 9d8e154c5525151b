// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/gisting_config.h"

#include <cmath>

#include "base/check.h"
#include "compressors/compressor_settings.h"
#include "compressors/request_checks.h"
#include "precis/extend/decoder.h"

namespace precis {
namespace {

using Form = GistingConfig::Form;

void check_numbers(const GistingConfig& config,
                   const DecoderConfig& decoder,
                   ErrorKind kind,
                   const std::string& origin) {
  const int64_t window = decoder.context_length;
  if (config.num_gists < 1 || config.num_gists > window)
    fail(kind, origin, ": num_gists is ", config.num_gists, ", expected 1 to ", window);
  if (config.ratio) {
    if (!(*config.ratio >= 1 && std::isfinite(*config.ratio)))
      fail(kind, origin, ": ratio is ", *config.ratio, ", expected at least 1");
    if (config.form == Form::kTuned || config.num_gists != 1)
      fail(kind, origin, ": a ratio needs the frozen form and num_gists of 1");
  }
  if (config.form == Form::kTuned && config.spread_positions)
    fail(kind, origin, ": the tuned form has its gists behind the text, not spread over it");
  if (config.spread_positions && !config.ratio) fail(kind, origin, ": spread gists need a ratio");
  if (config.max_segment < 1)
    fail(kind, origin, ": max_segment is ", config.max_segment, ", expected at least 1");
  if (config.rank < 0 || config.rank > decoder.hidden_size)
    fail(kind, origin, ": rank is ", config.rank, ", expected 0 to ", decoder.hidden_size);
  if (!std::isfinite(config.alpha))
    fail(kind, origin, ": alpha is ", config.alpha, ", expected a finite number");
}

void check_template(const GistingConfig& config,
                    const Decoder& decoder,
                    ErrorKind kind,
                    const std::string& origin) {
  if ((config.form == Form::kTuned) != config.gist_id.has_value()) {
    fail(kind,
         origin,
         ": the ",
         name_of(config.form),
         " form ",
         config.gist_id ? "has no use for a gist_id" : "needs a gist_id");
  }
  std::vector<TokenId> ids = config.before_text;
  ids.insert(ids.end(), config.after.begin(), config.after.end());
  ids.insert(ids.end(), config.end.begin(), config.end.end());
  for (const TokenId id : ids) {
    if (id == config.gist_id) fail(kind, origin, ": the gist ", id, " stands in the template");
  }
  if (config.gist_id) ids.push_back(*config.gist_id);
  check_template_ids(ids, decoder, kind, origin);
}

}  // namespace

const char* name_of(Form form) { return form == Form::kFrozen ? "frozen" : "tuned"; }

void check_gisting_config(const GistingConfig& config,
                          const Decoder& decoder,
                          ErrorKind kind,
                          const std::string& origin) {
  check_numbers(config, decoder.config(), kind, origin);
  check_template(config, decoder, kind, origin);
}

GistingConfig read_gisting_config(const CompressorFiles& files, const Decoder& decoder) {
  const Settings settings(files);
  GistingConfig config;
  config.form = settings.choice("form", name_of(Form::kTuned), name_of(Form::kFrozen))
                    ? Form::kTuned
                    : Form::kFrozen;
  config.num_gists = settings.integer("num_gists");
  config.max_segment = settings.integer("max_segment");
  if (settings.has("ratio")) config.ratio = settings.number("ratio");
  config.spread_positions = settings.choice("gist_positions", "spread", "after");
  if (config.form == Form::kFrozen) {
    config.rank = settings.integer("rank");
    config.alpha = settings.number("alpha");
  }
  if (settings.has("gist_id")) config.gist_id = settings.id("gist_id");
  config.before_text = settings.ids("before_text");
  config.after = settings.ids("after");
  config.end = settings.ids("end");
  check_gisting_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  return config;
}

}  // namespace precis
