// SPDX-License-Identifier: Apache-2.0
// Writes what every fuzz target begins with: make_fuzz_seeds DIRECTORY makes DIRECTORY/TARGET/.
// Most are the golden files of the other tests, or made by the library, so that they change with
// the formats.
#include <zstd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fuzz/small_parts.h"
#include "io/json_file.h"
#include "precis/extend/registry.h"
#include "store/stored_entry.h"
#include "support/damage.h"
#include "tokenizers/protobuf_fields.h"
#include "train/checkpoint.h"

namespace precis::fuzz {
namespace {

namespace fs = std::filesystem;

// The seeds of one target.
class Seeds {
 public:
  Seeds(const fs::path& root, const std::string& target) : directory_(root / target) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }

  fs::path path(const std::string& name) const { return directory_ / name; }
  void add(const std::string& name, const std::string& bytes) const {
    overwrite(path(name), bytes);
  }
  void copy(const fs::path& file, const std::string& name) const {
    fs::copy_file(file, path(name), fs::copy_options::overwrite_existing);
  }

 private:
  fs::path directory_;
};

// Files of this name in the directories below `parent`, under the names of those.
void copy_from_each(const Seeds& seeds, const fs::path& parent, const std::string& name) {
  for (const auto& entry : fs::directory_iterator(parent)) {
    const fs::path file = entry.path() / name;
    if (fs::exists(file)) seeds.copy(file, entry.path().filename().string());
  }
}

void make_model_seeds(const fs::path& root) {
  const Seeds gguf(root, "gguf");
  for (const char* file : {"tokenizers/spm.gguf",
                           "tokenizers/smollm.gguf",
                           "gguf/quants.gguf",
                           "models/llama3_rope.gguf"})
    gguf.copy(golden() / file, fs::path(file).filename().string());
  const Seeds safetensors(root, "safetensors");
  for (const char* file : {"gisting/gisting.safetensors",
                           "ic_former/connector.safetensors",
                           "icae/llama.safetensors",
                           "selfcp/selfcp.safetensors"})
    safetensors.copy(golden() / file, fs::path(file).filename().string());
  copy_from_each(Seeds(root, "config_json"), golden() / "models", "config.json");
}

// The first pieces of a model, without the table of characters that makes it large.
std::string small_sentencepiece_model(const std::string& bytes, size_t pieces) {
  constexpr uint64_t kPiece = 1, kTrainerSpec = 2;
  std::string small;
  size_t taken = 0;
  for (const ProtobufField& field : read_protobuf(bytes, "tokenizer.model")) {
    if (field.number == kTrainerSpec || (field.number == kPiece && taken++ < pieces))
      small += field.whole;
  }
  return small;
}

void make_text_seeds(const fs::path& root) {
  const Seeds json(root, "tokenizer_json");
  copy_from_each(json, golden() / "tokenizers", "tokenizer.json");
  json.copy(golden() / "models" / "llama" / "tokenizer.json", "tiny");
  const Seeds model(root, "tokenizer_model");
  const std::string whole =
      read_file(golden() / "tokenizers" / "sentencepiece" / "tokenizer.model");
  model.add("few", small_sentencepiece_model(whole, 60));
  model.add("many", small_sentencepiece_model(whole, 600));
  const Seeds templates(root, "chat_template");
  for (const auto& entry : fs::directory_iterator(golden() / "chat_templates")) {
    if (entry.path().extension() == ".jinja")
      templates.copy(entry.path(), entry.path().stem().string());
  }
  int number = 0;
  const auto snippets = read_json(golden() / "chat_templates" / "snippets.json");
  for (const nlohmann::json& snippet : snippets.at("snippets"))
    templates.add("snippet_" + std::to_string(number++), snippet.at("source"));
}

void make_line_seeds(const fs::path& root) {
  const Seeds seeds(root, "json_lines");
  const std::string lines =
      "{\"text\": \"one two three\"}\n\n"
      "{\"context\": \"a \\u00e9 \\ud83d\\ude00\", \"prompt\": \"b\", \"answer\": \"c\"}\r\n"
      "{\"text\": \"\xc3\xa9\", \"n\": [1, -2.5e3, null, true, {\"x\": {}}]}";
  seeds.add("plain", lines);
  std::string packed(ZSTD_compressBound(lines.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), lines.data(), lines.size(), 3));
  seeds.add("zstd", packed);
  seeds.add("zstd_twice", packed + packed);
}

void make_memory_seeds(const fs::path& root) {
  const Seeds memory(root, "memory_file");
  soft_memory({{1, 2, 3, 4}, {5, 6, 7, 8}}).save(memory.path("soft"));
  cached_memory().save(memory.path("cached"));
  make_memory(SoftTokens{at::ones({2, 4}, at::kBFloat16)}).save(memory.path("bfloat16"));
  const fs::path bank = root / "bank_directory";
  small_bank().save(bank);
  Seeds(root, "bank").copy(bank / "bank.json", "two");
  fs::remove_all(bank);
}

void make_store_seeds(const fs::path& root) {
  const Seeds seeds(root, "store_entry");
  const std::string id = "mem_" + std::string(64, '0');
  const auto entry_of = [&](const Memory& memory, const EntryOptions& options) {
    return entry_bytes(make_header(id, memory, options, {}), memory);
  };
  const Expiry expiry{Expiry::Anchor::kCreatedAt, std::chrono::seconds(1)};
  seeds.add("soft", entry_of(soft_memory({{1, 2}}), {}));
  seeds.add("cached", entry_of(cached_memory(), {"a name", expiry}));
  seeds.add("memory", soft_memory({{1, 2}}).serialize());
}

void make_compressor_seeds(const fs::path& root) {
  const c10::NoGradGuard no_grad;
  const Seeds seeds(root, "compressor_json");
  const Decoder& decoder = small_decoder();
  const fs::path directory = root / "compressor_directory";
  const auto add = [&](const std::string& name, const Compressor& compressor) {
    compressor.save(directory);
    seeds.copy(directory / "compressor.json", name);
    fs::remove_all(directory);
  };
  add("selfcp", *make_small_selfcp(decoder));
  add("icae", *make_small_icae(decoder));
  add("ic_former", *make_small_ic_former(decoder));
  add("gisting", *make_small_gisting(decoder));
  for (const std::string& name : built_in_compressors()) add(name, *load_compressor(name, decoder));
}

void make_training_seeds(const fs::path& root) {
  const Seeds checkpoint(root, "checkpoint");
  const auto compressor = small_compressor();
  torch::optim::AdamW optimizer = optimizer_of(*compressor);
  const fs::path directory = checkpoint.path("");
  const auto add = [&](const std::string& name) {
    save_checkpoint(directory, {2, kRecipe, 0.5}, *compressor, optimizer);
    fs::rename(directory / "checkpoint.safetensors", checkpoint.path(name));
  };
  add("first_step");
  for (const NamedTensor& named : compressor->parameters()) {
    at::Tensor parameter = named.tensor;
    parameter.requires_grad_(true);
    parameter.mutable_grad() = at::ones_like(parameter);
  }
  optimizer.step();
  add("later_step");
  const Seeds recipe(root, "recipe");
  recipe.add("flat",
             R"({"steps": 100, "ratio": 4.5, "method": "icae", "recompute": true, "seed": 3})");
  recipe.add(
      "stages",
      R"({"dtype": "bfloat16", "stages": [{"steps": 5}, {"ratios": "2,4"}, {"ratios": [3]}]})");
}

void make_seeds(const fs::path& root) {
  make_model_seeds(root);
  make_text_seeds(root);
  make_line_seeds(root);
  make_memory_seeds(root);
  make_store_seeds(root);
  make_compressor_seeds(root);
  make_training_seeds(root);
}

}  // namespace
}  // namespace precis::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_fuzz_seeds DIRECTORY\n");
    return 2;
  }
  precis::fuzz::make_seeds(argv[1]);
  return 0;
}
