// SPDX-License-Identifier: Apache-2.0
#include "compressors/compressor_shape.h"

#include <cmath>

#include "base/check.h"
#include "compressors/compressor_files.h"
#include "compressors/compressor_settings.h"
#include "compressors/selecting_compressor.h"
#include "io/safetensors.h"

namespace precis {
namespace {

CompressorShape read_selfcp(const CompressorFiles& files) {
  const Settings settings(files);
  SelfCpShape shape;
  shape.ratio = settings.number("ratio");
  shape.max_segment = settings.integer("max_segment");
  shape.separator = settings.has("separator_id");
  shape.layer_norm = settings.flag("layer_norm", true);
  return shape;
}

CompressorShape read_icae(const CompressorFiles& files) {
  const Settings settings(files);
  IcaeShape shape;
  shape.slots = settings.integer("slots");
  shape.max_segment = settings.integer("max_segment");
  shape.rank = settings.integer("rank");
  shape.connector = settings.flag("connector", false);
  shape.rows_before = std::ssize(settings.ids("before_text"));
  return shape;
}

CompressorShape read_gisting(const CompressorFiles& files) {
  const Settings settings(files);
  GistingShape shape;
  shape.tuned = settings.choice("form", "tuned", "frozen");
  shape.num_gists = settings.integer("num_gists");
  if (settings.has("ratio")) shape.ratio = settings.number("ratio");
  shape.spread = settings.choice("gist_positions", "spread", "after");
  shape.max_segment = settings.integer("max_segment");
  shape.rank = shape.tuned ? 0 : settings.integer("rank");
  shape.rows_before = std::ssize(settings.ids("before_text"));
  return shape;
}

// The rows for the model are told by the tensors alone: FT may be missing.
CompressorShape read_ic_former(const CompressorFiles& files) {
  const Settings settings(files);
  IcFormerShape shape;
  shape.slots = settings.integer("slots");
  shape.max_segment = settings.integer("max_segment");
  shape.num_layers = settings.integer("num_layers");
  shape.ffn_size = settings.integer("ffn_size");
  shape.connector = settings.flag("connector", false);
  if (settings.has("num_kv_heads")) {
    const int64_t heads = settings.integer("num_heads");
    const int64_t kv_heads = settings.integer("num_kv_heads");
    PRECIS_CHECK(kv_heads >= 1 && heads >= kv_heads && heads % kv_heads == 0,
                 kBadWeights,
                 files.origin(),
                 ": num_kv_heads is ",
                 kv_heads,
                 ", expected a number that divides the ",
                 heads,
                 " heads");
    shape.query_heads_per_key = heads / kv_heads;
  }
  const auto stored = SafetensorsFile::open(files.directory / "compressor.safetensors");
  for (const char* mark : {"autoencode_embedding", "instruct_embedding"})
    shape.num_marks += stored.find(mark) != nullptr ? 1 : 0;
  return shape;
}

struct BuiltIn {
  const char* name;
  SelectionShape::Method method;
};

constexpr BuiltIn kBuiltIns[] = {{"attention_matching", SelectionShape::Method::kAttentionMatching},
                                 {"kvzip", SelectionShape::Method::kKvZip}};

SelectionShape selection_shape(const std::string& name, const SelectionPrompts& prompts) {
  for (const BuiltIn& one : kBuiltIns) {
    if (name != one.name) continue;
    SelectionShape shape;
    shape.method = one.method;
    shape.rows_before = std::ssize(prompts.bos);
    shape.repeat_rows = std::ssize(prompts.repeat);
    return shape;
  }
  fail(ErrorKind::kNotFound, "\"", name, "\" is no built-in compressor");
}

CompressorShape read_selection(const CompressorFiles& files) {
  const Settings settings(files);
  return selection_shape(files.config["method"], {settings.ids("bos"), settings.ids("repeat")});
}

struct ShapeReader {
  const char* method;
  CompressorShape (*read)(const CompressorFiles&);
};

constexpr ShapeReader kReaders[] = {{"selfcp", read_selfcp},
                                    {"icae", read_icae},
                                    {"gisting", read_gisting},
                                    {"ic_former", read_ic_former},
                                    {"attention_matching", read_selection},
                                    {"kvzip", read_selection}};

// Demands sizes in the name of one file or call.
struct SizeCheck {
  ErrorKind kind;
  const std::string& origin;

  void at_least(int64_t smallest, const char* name, int64_t value) const {
    if (value < smallest)
      fail(kind, origin, ": ", name, " is ", value, ", expected at least ", smallest);
  }

  void check_ratio(double ratio) const {
    if (!(ratio >= 1 && std::isfinite(ratio)))
      fail(kind, origin, ": ratio is ", ratio, ", expected at least 1");
  }

  void operator()(const SelfCpShape& shape) const {
    check_ratio(shape.ratio);
    at_least(1, "max_segment", shape.max_segment);
  }
  void operator()(const IcaeShape& shape) const {
    at_least(1, "slots", shape.slots);
    at_least(1, "max_segment", shape.max_segment);
    at_least(1, "rank", shape.rank);
    at_least(0, "rows_before", shape.rows_before);
  }
  void operator()(const GistingShape& shape) const {
    at_least(1, "num_gists", shape.num_gists);
    if (shape.ratio) check_ratio(*shape.ratio);
    if (shape.spread && (shape.tuned || !shape.ratio))
      fail(kind, origin, ": spread gists are of the frozen form and need a ratio");
    at_least(1, "max_segment", shape.max_segment);
    at_least(0, "rank", shape.rank);
    at_least(0, "rows_before", shape.rows_before);
  }
  void operator()(const IcFormerShape& shape) const {
    at_least(1, "slots", shape.slots);
    at_least(1, "max_segment", shape.max_segment);
    at_least(1, "num_layers", shape.num_layers);
    at_least(1, "ffn_size", shape.ffn_size);
    at_least(0, "num_marks", shape.num_marks);
    at_least(1, "query_heads_per_key", shape.query_heads_per_key);
  }
  void operator()(const SelectionShape& shape) const {
    check_ratio(shape.ratio);
    at_least(0, "max_segment", shape.max_segment);
    at_least(0, "rows_before", shape.rows_before);
    at_least(0, "repeat_rows", shape.repeat_rows);
  }
};

}  // namespace

void check_compressor_shape(const CompressorShape& shape,
                            ErrorKind kind,
                            const std::string& origin) {
  std::visit(SizeCheck{kind, origin}, shape);
}

CompressorShape read_compressor_shape(const std::filesystem::path& directory) {
  const CompressorFiles files = open_compressor(directory);
  const std::string method = files.config["method"];
  for (const ShapeReader& reader : kReaders) {
    if (method != reader.method) continue;
    const CompressorShape shape = reader.read(files);
    check_compressor_shape(shape, ErrorKind::kBadWeights, files.origin());
    return shape;
  }
  fail(ErrorKind::kUnsupported,
       files.origin(),
       ": what compressors of method \"",
       method,
       "\" compute is not known here");
}

SelectionShape built_in_shape(const std::string& name, const Tokenizer* tokenizer) {
  return selection_shape(name, selection_prompts(tokenizer));
}

}  // namespace precis
