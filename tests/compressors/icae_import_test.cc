// SPDX-License-Identifier: Apache-2.0
// Checkpoints in the format of the authors of ICAE, made from the golden compressors.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "compressors/icae/import_icae.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = PRECIS_TEST_GOLDEN_DIR;
constexpr const char* kEncoder = "icae.base_model.model.";
using Ids = std::vector<TokenId>;

// "layers.1.q.down" as the authors' code names it, PEFT's wrapping included.
std::string published_name(int64_t layer, const std::string& projection, const std::string& side) {
  return concat(kEncoder,
                "model.layers.",
                layer,
                ".self_attn.",
                projection,
                "_proj.lora_",
                side,
                ".default.weight");
}

class IcaeImport : public testing::Test {
 protected:
  IcaeImport() : decoder(load_model("llama")), checkpoint(published("llama")) {}

  static std::unique_ptr<Decoder> load_model(const std::string& name) {
    return load_decoder(kGolden / "models" / name, at::kFloat);
  }

  // The golden compressor under the published names.
  static TensorFile published(const std::string& compressor) {
    TensorFile file(kGolden / "icae" / (compressor + ".safetensors"));
    file.at("memory_embeddings").name = "memory_token_embed.weight";
    for (int64_t i = 0; i < 3; ++i) {
      for (const std::string projection : {"q", "v"}) {
        const std::string own = concat("layers.", i, ".", projection);
        file.at(own + ".down").name = published_name(i, projection, "A");
        file.at(own + ".up").name = published_name(i, projection, "B");
      }
    }
    return file;
  }

  std::unique_ptr<Compressor> import(const IcaeImportOptions& options = {}) const {
    checkpoint.write(source);
    return import_icae(source, *decoder, options);
  }
  void refuse(const std::string& part) const {
    expect_error(ErrorKind::kBadWeights, part, [&] { import(); });
    expect_error(ErrorKind::kBadWeights, source.string(), [&] { import(); });
  }
  void add(const std::string& name) { checkpoint.add({name, "F32", {1}, "four"}); }

  static at::Tensor compress(const Compressor& compressor, Ids ids) {
    const Segment segment{std::move(ids), nullptr};
    return std::get<SoftTokens>(compressor.compress({&segment, 1}, {})[0]).embeddings;
  }
  static at::Tensor compress(const Compressor& compressor) {
    Ids ids;
    for (int64_t i = 0; i < 37; ++i) ids.push_back((i * 37) % 90);
    return compress(compressor, ids);
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
  const fs::path source = directory / "icae.safetensors";
  std::unique_ptr<Decoder> decoder;
  TensorFile checkpoint;
};

TEST_F(IcaeImport, InfersSizesFromTheTensors) {
  const CompressorInfo info = import()->info();
  EXPECT_EQ(info.method, "icae");
  EXPECT_EQ(info.slots, 4);
  EXPECT_EQ(info.max_segment, 16);
  EXPECT_EQ(info.num_parameters, 7 * 32 + 3 * 3 * (32 + 32 + 32 + 16));
}

TEST_F(IcaeImport, KeepsEveryValue) {
  const auto golden = SafetensorsFile::open(kGolden / "icae" / "llama.safetensors");
  const auto imported = import();
  ASSERT_EQ(imported->parameters().size(), golden.tensors().size());
  for (const NamedTensor& named : imported->parameters()) {
    EXPECT_TRUE(at::equal(named.tensor, to_tensor(*golden.find(named.name)))) << named.name;
  }
}

TEST_F(IcaeImport, GivesTheMemoriesOfTheGoldenCompressor) {
  const auto expected = SafetensorsFile::open(kGolden / "icae" / "expected.safetensors");
  const at::Tensor wanted = to_tensor(*expected.find("llama_parts.slots"));
  const nlohmann::json text = read_json(kGolden / "icae" / "cases.json").at("llama_parts")["text"];
  IcaeImportOptions options;
  options.before_text = Ids();
  const at::Tensor slots = compress(*import(options), text.get<Ids>()).to(at::kDouble);
  EXPECT_TRUE(at::allclose(slots, wanted, 1e-4, 1e-4));
}

TEST_F(IcaeImport, LoadsWhatItSaved) {
  const auto imported = import();
  imported->save(directory / "compressor");
  const auto loaded = load_icae(open_compressor(directory / "compressor"), *decoder);
  EXPECT_TRUE(at::equal(compress(*loaded), compress(*imported)));
  EXPECT_EQ(loaded->info().fingerprint, imported->info().fingerprint);
}

TEST_F(IcaeImport, ReadsBfloat16) {
  const auto exact = import();
  std::vector<at::Tensor> values;
  std::vector<StoredTensor> stored;
  const SafetensorsFile file = SafetensorsFile::open(source);
  for (const StoredTensor& tensor : file.tensors())
    values.push_back(to_tensor(tensor).to(at::kBFloat16));
  for (size_t i = 0; i < values.size(); ++i)
    stored.push_back(to_stored(file.tensors()[i].name, values[i]));
  const fs::path rounded = directory / "rounded.safetensors";
  write_safetensors(rounded, stored, {});
  const auto wanted = exact->parameters(), read = import_icae(rounded, *decoder)->parameters();
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(at::equal(read[i].tensor, wanted[i].tensor.to(at::kBFloat16).to(at::kFloat)))
        << wanted[i].name;
  }
}

TEST_F(IcaeImport, ReadsTheDirectoryOfATrainingRun) {
  checkpoint.write(directory / "model.safetensors");
  EXPECT_EQ(import_icae(directory.path(), *decoder)->info().fingerprint,
            import()->info().fingerprint);
}

TEST_F(IcaeImport, TheArchitectureDecidesTheGeneration) {
  EXPECT_EQ(import()->memory_template(MemoryUse::kInstruct).answer_ends, (Ids{1}));
  decoder = load_model("mistral_window");
  checkpoint = published("mistral");
  // A vocabulary of 96 has no [INST].
  expect_error(ErrorKind::kInvalidArgument, "id 733 is outside", [&] { import(); });
  IcaeImportOptions options;
  options.generation = IcaeGeneration::kNone;
  EXPECT_TRUE(import(options)->memory_template(MemoryUse::kInstruct).answer_ends.empty());
}

TEST_F(IcaeImport, TextsBeginAsInTheScripts) {
  IcaeImportOptions options;
  options.before_text = Ids();
  const auto bare = import(options), as_script = import();
  EXPECT_TRUE(at::equal(compress(*as_script, {50, 60}), compress(*bare, {1, 50, 60})));
  EXPECT_TRUE(at::equal(compress(*as_script, {1, 50, 60}), compress(*bare, {1, 50, 60})));
  EXPECT_FALSE(at::allclose(compress(*bare, {50, 60}), compress(*bare, {1, 50, 60})));
  EXPECT_EQ(as_script->memory_size(16, {}), 8);
  EXPECT_EQ(bare->memory_size(16, {}), 4);
  options.before_text = Ids{320};
  expect_error(ErrorKind::kInvalidArgument, "id 320 is outside", [&] { import(options); });
  options = {};
  options.generation = IcaeGeneration::kNone;
  EXPECT_TRUE(at::equal(compress(*import(options), {50, 60}), compress(*bare, {50, 60})));
}

TEST_F(IcaeImport, AppliesItsOptions) {
  const auto plain = import();
  EXPECT_TRUE(plain->memory_template(MemoryUse::kContinue).after.empty());
  IcaeImportOptions options;
  options.continuation_mark = true;
  options.alpha = 3;
  EXPECT_EQ(import(options)->memory_template(MemoryUse::kContinue).after.size(), 1u);
  EXPECT_FALSE(at::allclose(compress(*import(options)), compress(*plain)));
  options.max_segment = 20;
  EXPECT_EQ(import(options)->info().max_segment, 20);
  options.max_segment = 0;
  expect_error(ErrorKind::kInvalidArgument, "max_segment is 0", [&] { import(options); });
}

TEST_F(IcaeImport, SkipsTheFrozenModel) {
  const std::string fingerprint = import()->info().fingerprint;
  for (const std::string copy : {kEncoder, "decoder."}) {
    for (const char* name : {"model.embed_tokens.weight",
                             "model.norm.weight",
                             "lm_head.weight",
                             "model.layers.0.self_attn.q_proj.weight",
                             "model.layers.1.self_attn.q_proj.base_layer.weight",
                             "model.layers.1.self_attn.k_proj.weight",
                             "model.layers.2.self_attn.rotary_emb.inv_freq",
                             "model.layers.2.mlp.down_proj.weight",
                             "model.layers.2.input_layernorm.weight",
                             "model.layers.2.post_attention_layernorm.weight"})
      add(copy + name);
  }
  EXPECT_EQ(import()->info().fingerprint, fingerprint);
}

TEST_F(IcaeImport, SurplusTensorsAreNamed) {
  for (const std::string& name :
       {published_name(0, "k", "A"),
        published_name(3, "q", "A"),
        concat(kEncoder, "model.layers.3.input_layernorm.weight"),
        concat(kEncoder, "model.layers.0.self_attn.q_proj.lora_magnitude"),
        std::string("memory_head.0.weight"),
        std::string("decoder.memory_token_embed.weight")}) {
    checkpoint = published("llama");
    add(name);
    refuse("surplus tensor " + name);
  }
}

TEST_F(IcaeImport, AMissingTensorIsNamed) {
  for (const std::string& name : {std::string("memory_token_embed.weight"),
                                  published_name(0, "q", "A"),
                                  published_name(1, "v", "B"),
                                  published_name(2, "v", "A")}) {
    checkpoint = published("llama");
    checkpoint.remove(name);
    refuse(name + " is missing");
  }
}

TEST_F(IcaeImport, ATensorOfAnotherShapeIsNamed) {
  const auto refuse_shape =
      [&](const std::string& name, const std::vector<int64_t>& shape, const std::string& part) {
        checkpoint = published("llama");
        checkpoint.at(name).shape = shape;
        refuse(part);
      };
  const std::string down = published_name(0, "q", "A"), up = published_name(0, "q", "B");
  refuse_shape(up, {3, 32}, up + " is [3, 32], expected [32, 3]");
  refuse_shape(down, {96}, down + " is [96], expected rows and columns");
  refuse_shape(down, {6, 16}, down + " is [6, 16], expected [6, 32]");
  refuse_shape("memory_token_embed.weight", {14, 16}, "is [14, 16], expected [14, 32]");
  refuse_shape("memory_token_embed.weight", {2, 112}, "has 2 rows");
}

TEST_F(IcaeImport, AMissingFileIsNamed) {
  expect_error(
      ErrorKind::kNotFound, "nowhere", [&] { import_icae(directory / "nowhere", *decoder); });
}

TEST_F(IcaeImport, OverAModelOfAnotherShapeItIsRefused) {
  decoder = load_model("qwen3");  // four heads of twelve
  refuse(published_name(0, "q", "B") + " is [32, 3], expected [48, 3]");
}

}  // namespace
}  // namespace precis
