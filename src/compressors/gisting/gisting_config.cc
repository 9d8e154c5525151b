// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/gisting_config.h"

#include <cmath>

#include "base/check.h"
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
  if (config.ratio && (config.form == Form::kTuned || config.num_gists != 1))
    fail(kind, origin, ": a ratio needs the frozen form and num_gists of 1");
  if (config.form == Form::kTuned && config.spread_positions)
    fail(kind, origin, ": the tuned form has its gists behind the text, not spread over it");
  if (config.spread_positions && !config.ratio) fail(kind, origin, ": spread gists need a ratio");
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
         config.form == Form::kFrozen ? "frozen" : "tuned",
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

SettingTable gisting_settings(GistingConfig& config) {
  using enum Setting::Limit;
  SettingTable table{{"form", choice(config.form, {"frozen", "tuned"})},
                     {"ratio", &config.ratio, kAtLeast1, "text tokens per memory token"},
                     {"num_gists", &config.num_gists, kAtLeast1, "gists of each text", "slots"},
                     {"max_segment", &config.max_segment, kAtLeast1, "text tokens in one pass"},
                     {"gist_positions",
                      choice(config.spread_positions, {"after", "spread"}),
                      kNone,
                      "positions of the memory tokens: after the text or spread over it",
                      "slot_positions"},
                     {"gist_id", &config.gist_id},
                     {"before_text", &config.before_text},
                     {"after", &config.after},
                     {"end", &config.end}};
  if (config.form == Form::kTuned) return table;
  table.push_back({"rank", &config.rank, kAtLeast0, "of the LoRA"});
  table.push_back({"alpha", &config.alpha, kNone, "of the LoRA, which is scaled by alpha / rank"});
  return table;
}

void check_gisting_config(GistingConfig config,
                          const Decoder& decoder,
                          ErrorKind kind,
                          const std::string& origin) {
  check_limits(pick(gisting_settings(config), {"ratio", "max_segment"}), kind, origin);
  check_numbers(config, decoder.config(), kind, origin);
  check_template(config, decoder, kind, origin);
}

GistingConfig read_gisting_config(const CompressorFiles& files, const Decoder& decoder) {
  GistingConfig config;
  read_settings(files, pick(gisting_settings(config), {"form"}));
  read_settings(files, gisting_settings(config));
  check_gisting_config(config, decoder, ErrorKind::kBadWeights, files.origin());
  return config;
}

}  // namespace precis
