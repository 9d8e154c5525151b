// SPDX-License-Identifier: Apache-2.0
#include "cli/new_compressor.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/nearest.h"
#include "cli/choices.h"
#include "compressors/gisting/gisting.h"
#include "compressors/ic_former/ic_former.h"
#include "compressors/icae/icae.h"
#include "compressors/selfcp/selfcp.h"
#include "precis/extend/decoder.h"

namespace precis::cli {
namespace {

template <typename T, typename U>
void set(T& field, const std::optional<U>& flag) {
  if (flag) field = *flag;
}

std::unique_ptr<Compressor> new_selfcp(const NewCompressor& flags,
                                       const Decoder& decoder,
                                       const Tokenizer*) {
  SelfCpConfig config;
  config.ratio = flags.ratio.value_or(4);
  config.reads_prefix = false;
  set(config.max_segment, flags.max_segment);
  set(config.separator, flags.separator);
  return create_selfcp(config, decoder);
}

// Published ICAEs have no connector; models as small as can be trained at home need one.
std::unique_ptr<Compressor> new_icae(const NewCompressor& flags,
                                     const Decoder& decoder,
                                     const Tokenizer*) {
  IcaeConfig config;
  config.connector = true;
  set(config.slots, flags.slots);
  set(config.max_segment, flags.max_segment);
  // A window counts rows, not positions: past it a memory token would not see its own share.
  const int64_t window = decoder.config().window;
  const bool sees_all = window == 0 || config.max_segment <= window;
  config.spread_positions =
      flags.slot_positions.value_or(sees_all ? "spread" : "after") == "spread";
  set(config.rank, flags.rank);
  set(config.alpha, flags.alpha);
  return create_icae(config, decoder, flags.seed);
}

// The frozen form. Where the model wants a BOS, it stands before the text: a memory that stands
// first has none otherwise.
std::unique_ptr<Compressor> new_gisting(const NewCompressor& flags,
                                        const Decoder& decoder,
                                        const Tokenizer* tokenizer) {
  PRECIS_CHECK(!flags.ratio || !flags.slots,
               kInvalidArgument,
               "--ratio of gisting stands in place of --slots");
  GistingConfig config;
  const SpecialTokens special = tokenizer ? tokenizer->special_tokens() : SpecialTokens{};
  if (special.add_bos && special.bos) config.before_text = {*special.bos};
  set(config.num_gists, flags.slots);
  config.ratio = flags.ratio;
  // As many gists as --slots says stand behind the text; by a ratio they are spread over it.
  config.spread_positions =
      flags.slot_positions.value_or(flags.slots ? "after" : "spread") == "spread";
  if (config.spread_positions && !flags.slots) config.ratio = flags.ratio.value_or(4);
  set(config.max_segment, flags.max_segment);
  set(config.rank, flags.rank);
  set(config.alpha, flags.alpha);
  return create_gisting(config, decoder, flags.seed);
}

// Heads and width of the feed-forward layers as the model has them, heads fewer where theirs do not
// divide its width.
std::unique_ptr<Compressor> new_ic_former(const NewCompressor& flags,
                                          const Decoder& decoder,
                                          const Tokenizer*) {
  const DecoderConfig& model = decoder.config();
  IcFormerConfig config;
  config.connector = true;
  config.ffn_size = model.ffn_size;
  config.num_heads = model.num_heads;
  while (config.num_heads > 1 && model.hidden_size % (2 * config.num_heads) != 0)
    --config.num_heads;
  set(config.slots, flags.slots);
  set(config.max_segment, flags.max_segment);
  set(config.num_layers, flags.layers);
  config.token_table = flags.token_table;
  config.spread_positions = flags.slot_positions.value_or("spread") == "spread";
  return create_ic_former(config, decoder, flags.seed);
}

using Create = std::unique_ptr<Compressor> (*)(const NewCompressor&,
                                               const Decoder&,
                                               const Tokenizer*);
const std::map<std::string, Create> kMethods{{"selfcp", new_selfcp},
                                             {"icae", new_icae},
                                             {"gisting", new_gisting},
                                             {"ic-former", new_ic_former}};

}  // namespace

void add_new_compressor_flags(CLI::App& command, NewCompressor& flags, CLI::Option* other) {
  const auto add = [&](const char* name, auto& field, const char* text) {
    return command.add_option(name, field, text)->excludes(other);
  };
  add("--ratio", flags.ratio, "selfcp, gisting: text tokens per memory token (default: 4)");
  add("--slots",
      flags.slots,
      "icae, ic-former: memory tokens of every part (default: 128); gisting: in place of --ratio");
  add("--max-segment", flags.max_segment, "text tokens in one pass (default: 512)");
  add("--separator", flags.separator, "selfcp: id of a token to read before the text");
  add("--rank", flags.rank, "icae, gisting: of the LoRA (default: 128, 16)");
  add("--alpha", flags.alpha, "icae, gisting: of the LoRA (default: 32)");
  add("--layers", flags.layers, "ic-former: of the net (default: 3)");
  command
      .add_flag("--token-table",
                flags.token_table,
                "ic-former: keep what the net makes of each id of the vocabulary: memory for speed")
      ->excludes(other);
  add("--slot-positions",
      flags.slot_positions,
      "icae, gisting, ic-former: of the memory tokens, after the text or spread over it (default: "
      "spread; icae: where the model's window allows; gisting: where --slots is not given)")
      ->check(one_of({"after", "spread"}));
}

namespace {

// Throws for a flag that the method does not have.
void check_flags(const NewCompressor& flags) {
  const struct {
    const char* name;
    bool given;
    std::vector<std::string> methods;
  } all[] = {
      {"--ratio", flags.ratio.has_value(), {"selfcp", "gisting"}},
      {"--slots", flags.slots.has_value(), {"icae", "gisting", "ic-former"}},
      {"--separator", flags.separator.has_value(), {"selfcp"}},
      {"--rank", flags.rank.has_value(), {"icae", "gisting"}},
      {"--alpha", flags.alpha.has_value(), {"icae", "gisting"}},
      {"--layers", flags.layers.has_value(), {"ic-former"}},
      {"--token-table", flags.token_table, {"ic-former"}},
      {"--slot-positions", flags.slot_positions.has_value(), {"icae", "gisting", "ic-former"}}};
  for (const auto& flag : all) {
    PRECIS_CHECK(!flag.given || std::ranges::count(flag.methods, flags.method) > 0,
                 kInvalidArgument,
                 flag.name,
                 " means nothing to method ",
                 flags.method);
  }
}

}  // namespace

void check_method(const NewCompressor& flags) {
  PRECIS_CHECK(kMethods.contains(flags.method),
               kUnsupported,
               "method \"",
               flags.method,
               "\" is unknown (known: selfcp, icae, gisting, ic-former)",
               did_you_mean(flags.method, names_of(kMethods)));
}

std::unique_ptr<Compressor> create(const NewCompressor& flags,
                                   const Decoder& decoder,
                                   const Tokenizer* tokenizer) {
  check_method(flags);
  check_flags(flags);
  return kMethods.at(flags.method)(flags, decoder, tokenizer);
}

}  // namespace precis::cli
