// SPDX-License-Identifier: Apache-2.0
// IC-Former from files: the published layout, the layout of Precis, and both of them damaged.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "compressors/ic_former/import_ic_former.h"
#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kGolden = fs::path(PRECIS_TEST_GOLDEN_DIR) / "ic_former";

// A tensor of the published files.
at::Tensor published_tensor(const std::string& name) {
  const auto find = [](const char* file, const std::string& own) {
    return to_tensor(*SafetensorsFile::open(kGolden / "published" / file).find(own));
  };
  if (name == "digest_embeddings") return find("param.safetensors", name);
  if (name == "autoencode_embedding") return find("param.safetensors", "AE");
  if (name == "instruct_embedding") return find("param.safetensors", "FT");
  return find("model.safetensors", name);
}

class ImportIcFormer : public testing::Test {
 protected:
  ImportIcFormer()
      : decoder(load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat)) {
    for (const fs::path& file : {config, model, param})
      fs::copy_file(kGolden / "published" / file.filename(), file);
  }

  std::unique_ptr<Compressor> import_folder(const IcFormerImportOptions& options = {}) const {
    return import_ic_former(folder.path(), *decoder, options);
  }

  void refuse(ErrorKind kind, const fs::path& file, const std::string& part) const {
    expect_error(kind, part, [&] { import_folder(); });
    expect_error(kind, file.string(), [&] { import_folder(); });
  }

  // Expects an error with one value of config.json changed, then restores it.
  void refuse_value(const std::string& key,
                    const json& value,
                    const std::string& part,
                    ErrorKind kind = ErrorKind::kBadWeights) const {
    const std::string good = read_file(config);
    damage_json(config, [&](json& changed) { changed[key] = value; });
    refuse(kind, config, part);
    overwrite(config, good);
  }

  template <typename Damage>
  void refuse_tensors(const fs::path& file, const Damage& damage, const std::string& part) const {
    const TensorFile good(file);
    damage_tensors(file, damage);
    refuse(ErrorKind::kBadWeights, file, part);
    good.write(file);
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory folder;
  const fs::path config = folder / "config.json";
  const fs::path model = folder / "model.safetensors";
  const fs::path param = folder / "param.safetensors";
  std::unique_ptr<Decoder> decoder;
};

TEST_F(ImportIcFormer, TakesEveryTensor) {
  const auto imported = import_folder();
  EXPECT_EQ(imported->parameters().size(), 3u + 3 * 10 + 1);
  for (const NamedTensor& named : imported->parameters()) {
    EXPECT_TRUE(at::equal(named.tensor, published_tensor(named.name).reshape_as(named.tensor)))
        << named.name;
  }
}

TEST_F(ImportIcFormer, GivesTheMemoriesOfTheOracle) {
  IcFormerImportOptions options;
  options.max_segment = 16;
  const auto imported = import_folder(options);
  EXPECT_EQ(imported->info().slots, 5);
  const json cases = read_json(kGolden / "cases.json").at("cases");
  const Segment segment{cases.at("two_parts").at("tokens"), nullptr};
  const auto memory = imported->compress({&segment, 1}, {});
  const SafetensorsFile expected = SafetensorsFile::open(kGolden / "expected.safetensors");
  const at::Tensor want = to_tensor(*expected.find("two_parts.slots")).to(at::kFloat);
  EXPECT_TRUE(at::allclose(std::get<SoftTokens>(memory[0]).embeddings, want, 1e-4, 1e-4));
}

TEST_F(ImportIcFormer, HasDefaultsForMissingSettings) {
  IcFormerImportOptions options;
  options.max_segment = 77;
  options.instruct = {{7, 8}, {9}, {10}};
  const auto imported = import_folder(options);
  EXPECT_EQ(imported->info().max_segment, 77);
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(std::get<Ids>(imported->memory_template(MemoryUse::kInstruct).before.at(0)),
            (Ids{7, 8}));
  options.instruct.before = {320};
  expect_error(ErrorKind::kInvalidArgument, "id 320", [&] { import_folder(options); });
}

TEST_F(ImportIcFormer, ReadsBfloat16) {
  damage_tensors(param, [](TensorFile& file) {
    TensorFile::Tensor& vector = file.at("AE");
    std::string narrow;
    for (size_t i = 0; i < vector.bytes.size(); i += 4) narrow += vector.bytes.substr(i + 2, 2);
    vector.dtype = "BF16";
    vector.bytes = narrow;
  });
  const auto imported = import_folder();
  EXPECT_EQ(imported->parameters()[1].tensor.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::allclose(
      imported->parameters()[1].tensor, published_tensor("autoencode_embedding").flatten(), 0.01));
}

TEST_F(ImportIcFormer, BeforeFineTuningThereIsNoFt) {
  damage_tensors(param, [](TensorFile& file) { file.remove("FT"); });
  const auto imported = import_folder();
  imported->memory_template(MemoryUse::kAutoencode);
  expect_error(
      ErrorKind::kUnsupported, "FT", [&] { imported->memory_template(MemoryUse::kInstruct); });
}

TEST_F(ImportIcFormer, APickleIsNotRead) {
  fs::rename(param, folder / "param.pt");
  refuse(ErrorKind::kUnsupported, folder / "param.pt", "third_party/unpickle.py");
}

TEST_F(ImportIcFormer, AMissingFileIsNamed) {
  for (const fs::path& file : {config, model, param}) {
    const std::string good = read_file(file);
    fs::remove(file);
    expect_error(ErrorKind::kNotFound, folder.path().string(), [&] { import_folder(); });
    overwrite(file, good);
  }
}

TEST_F(ImportIcFormer, TensorsThatDoNotFitAreNamed) {
  const std::string query = "encoder.layers.2.cross_attn.q_proj.weight";
  refuse_tensors(
      model, [&](TensorFile& file) { file.remove(query); }, query + " is missing");
  refuse_tensors(
      model,
      [](TensorFile& file) {
        file.at("encoder.norm.weight").shape = {2, 16};
      },
      "encoder.norm.weight is [2, 16], expected [32]");
  refuse_tensors(
      model,
      [](TensorFile& file) {
        file.add({"encoder.extra", "F32", {1}, "four"});
      },
      "surplus tensor encoder.extra");
  refuse_tensors(
      param, [](TensorFile& file) { file.remove("AE"); }, "AE is missing");
  refuse_tensors(
      param,
      [](TensorFile& file) {
        file.at("digest_embeddings").shape = {5, 32};
      },
      "digest_embeddings is [5, 32], expected [1, 5, 32]");
  refuse_tensors(
      param,
      [](TensorFile& file) {
        file.add({"memory_head", "F32", {1}, "four"});
      },
      "surplus tensor memory_head");
}

TEST_F(ImportIcFormer, OtherModelsAndVariantsAreNamed) {
  refuse_value("model_type", "llama", "model_type is \"llama\", expected \"icformer\"");
  refuse_value("model_type", nullptr, "model_type is missing");
  refuse_value("hidden_size", 64, "hidden_size is 64, expected 32");
  refuse_value("context_hidden_size", 64, "context_hidden_size is 64");
  const auto kind = ErrorKind::kUnsupported;
  refuse_value("hidden_act", "gelu", "hidden_act is \"gelu\"", kind);
  refuse_value("num_key_value_heads", 3, "num_kv_heads is 3, expected a number that divides the 4");
  refuse_value("num_key_value_heads", 8, "num_kv_heads is 8");
  refuse_value("num_key_value_heads", 0, "num_kv_heads is 0");
  refuse_value("num_key_value_heads", "two", "num_key_value_heads is \"two\", expected an integer");
  refuse_value("attention_bias", true, "attention_bias", kind);
  refuse_value("cross_attention_frequency", 2, "cross_attention_frequency is 2", kind);
  refuse_value("rope_scaling", {{"type", "linear"}}, "rope_scaling", kind);
  refuse_value("causal_attention", false, "causal_attention is false", kind);
  refuse_value("causal_attentin", false, "causal_attentin is false", kind);
}

TEST_F(ImportIcFormer, AcceptsTheMisspeltKey) {
  damage_json(config, [](json& changed) {
    changed.erase("causal_attention");
    changed["causal_attentin"] = true;
  });
  EXPECT_EQ(import_folder()->info().slots, 5);
}

TEST_F(ImportIcFormer, ValuesOutOfRangeAreNamed) {
  for (const std::string key :
       {"num_query_tokens", "num_hidden_layers", "num_attention_heads", "intermediate_size"}) {
    for (const json& value : {json(0), json(-3), json(2.5), json("4"), json(nullptr)}) {
      refuse_value(key, value, value.is_number_integer() ? "is " + value.dump() : key);
    }
  }
  refuse_value("rms_norm_eps", 0, "rms_norm_epsilon is 0");
  refuse_value("rms_norm_eps", "small", "rms_norm_eps");
  refuse_value("rope_theta", -1, "rope_base is -1");
  damage_json(config, [](json& changed) { changed["num_query_tokens"] = 6; });
  refuse(ErrorKind::kBadWeights, param, "digest_embeddings is [1, 5, 32], expected [1, 6, 32]");
}

TEST_F(ImportIcFormer, KeyHeadsDefaultToHeads) {
  const auto said = import_folder();
  damage_json(config, [](json& changed) { changed["num_key_value_heads"] = nullptr; });
  EXPECT_EQ(import_folder()->info().fingerprint, said->info().fingerprint);
}

TEST_F(ImportIcFormer, FewerKeyHeadsThanTheTensorsHaveNameTheTensor) {
  damage_json(config, [](json& changed) { changed["num_key_value_heads"] = 2; });
  refuse(ErrorKind::kBadWeights, model, "k_proj.weight is [32, 32], expected [16, 32]");
}

// Two heads of keys and values for four of queries.
class GroupedIcFormer : public testing::Test {
 protected:
  void load(c10::ScalarType dtype) {
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", dtype);
    IcFormerImportOptions options;
    options.max_segment = 16;
    compressor = import_ic_former(kGolden / "grouped", *decoder, options);
  }

  at::Tensor expected(const std::string& name) const {
    return to_tensor(
        *SafetensorsFile::open(kGolden / "grouped" / "expected.safetensors").find(name));
  }

  at::Tensor slots_of(const Compressor& one) const {
    const at::Tensor tokens = expected("tokens");
    Segment segment{{}, nullptr};
    for (int64_t i = 0; i < tokens.numel(); ++i)
      segment.tokens.push_back(static_cast<TokenId>(tokens[i].item<int64_t>()));
    return std::get<SoftTokens>(one.compress({&segment, 1}, {})[0]).embeddings;
  }

  void expect_oracle(const Compressor& one, double tolerance) const {
    const at::Tensor want = expected("slots");
    EXPECT_TRUE(at::allclose(slots_of(one).detach().to(at::kDouble), want, tolerance, tolerance));
  }

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_F(GroupedIcFormer, GivesTheMemoriesOfTheOracle) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype);
    const c10::NoGradGuard no_grad;
    EXPECT_EQ(compressor->parameters()[6].tensor.sizes(), (at::IntArrayRef{16, 32}));  // keys
    expect_oracle(*compressor, tolerance);
  }
}

TEST_F(GroupedIcFormer, GivesItsGradients) {
  load(at::kDouble);
  for (const NamedTensor& named : compressor->parameters()) named.tensor.requires_grad_(true);
  expect_oracle(*compressor, 1e-9);
  (slots_of(*compressor) * expected("probe")).sum().backward();
  int64_t compared = 0;
  for (const NamedTensor& named : compressor->parameters()) {
    if (!named.name.starts_with("encoder.layers.1.cross_attn.")) continue;
    const at::Tensor want = expected("probe_gradient." + named.name);
    EXPECT_TRUE(at::allclose(named.tensor.grad(), want, 1e-7, 1e-9)) << named.name;
    ++compared;
  }
  EXPECT_EQ(compared, 4);
}

TEST_F(GroupedIcFormer, LoadsWhatItSaved) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  for (const bool token_table : {false, true}) {
    damage_json(directory / "compressor.json",
                [&](json& changed) { changed["token_table"] = token_table; });
    const auto loaded = load_ic_former(open_compressor(directory.path()), *decoder);
    EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
    expect_oracle(*loaded, 1e-4);
  }
}

TEST_F(GroupedIcFormer, IsReadInBFloat16) {
  load(at::kBFloat16);
  const c10::NoGradGuard no_grad;
  const at::Tensor want = expected("slots"), slots = slots_of(*compressor).to(at::kDouble);
  EXPECT_LT(((slots - want).norm() / want.norm()).item<double>(), 0.04);
}

// The layout of Precis.
class BadIcFormer : public testing::Test {
 protected:
  BadIcFormer()
      : decoder(load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat)) {
    IcFormerConfig config;
    config.slots = 4;
    config.num_layers = 2;
    config.num_heads = 4;
    config.ffn_size = 24;
    config.connector = true;
    create_ic_former(config, *decoder)->save(directory.path());
    good = read_json(description);
  }

  void refuse(const fs::path& file, const std::string& part) const {
    const auto load = [&] { load_ic_former(open_compressor(directory.path()), *decoder); };
    expect_error(ErrorKind::kBadWeights, part, load);
    expect_error(ErrorKind::kBadWeights, file.string(), load);
  }

  void refuse_value(const std::string& key, const json& value, const std::string& part) const {
    json changed = good;
    changed[key] = value;
    overwrite(description, changed.dump());
    refuse(description, part);
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
  const fs::path description = directory / "compressor.json";
  const fs::path tensors = directory / "compressor.safetensors";
  std::unique_ptr<Decoder> decoder;
  json good;
};

TEST_F(BadIcFormer, ImpossibleSettingsAreNamed) {
  for (const std::string key : {"slots", "max_segment", "num_layers", "num_heads", "ffn_size"}) {
    for (const json& value : {json(0), json(-1)}) refuse_value(key, value, key + " is ");
    for (const json& value : {json(2.5), json("4"), json(nullptr)}) refuse_value(key, value, key);
  }
  refuse_value("num_heads", 5, "num_heads is 5");
  refuse_value("num_kv_heads", 3, "num_kv_heads is 3, expected a number that divides the 4 heads");
  refuse_value("num_kv_heads", 0, "num_kv_heads is 0");
  refuse_value("num_kv_heads", "two", "num_kv_heads");
  refuse_value("rms_norm_epsilon", 0, "rms_norm_epsilon is 0");
  refuse_value("rope_base", "x", "rope_base");
  refuse_value("connector", 1, "connector");
  refuse_value("token_table", "yes", "token_table");
  refuse_value("instruct_before", 5, "instruct_before");
  refuse_value("instruct_after", {320}, "id 320 is outside the model's vocabulary of 320");
  refuse_value("instruct_end", {-1}, "id -1 is outside");
}

TEST_F(BadIcFormer, AMissingTensorIsNamed) {
  const TensorFile whole(tensors);
  for (const std::string name : {"digest_embeddings",
                                 "autoencode_embedding",
                                 "encoder.layers.1.mlp.up_proj.weight",
                                 "encoder.norm.weight",
                                 "connector.bias",
                                 "norm.weight"}) {
    damage_tensors(tensors, [&](TensorFile& file) { file.remove(name); });
    refuse(tensors, name + " is missing");
    whole.write(tensors);
  }
}

TEST_F(BadIcFormer, SizesThatTheTensorsContradictNameTheTensor) {
  const auto refuse_number = [&](const std::string& key, const json& value, const char* part) {
    json changed = good;
    changed[key] = value;
    overwrite(description, changed.dump());
    refuse(tensors, part);
  };
  refuse_number("slots", 5, "digest_embeddings is [4, 32], expected [5, 32]");
  refuse_number("num_layers", 3, "encoder.layers.2.cross_input_layernorm.weight is missing");
  refuse_number("num_layers", 1, "surplus tensor encoder.layers.1.");
  refuse_number("ffn_size", 25, "mlp.gate_proj.weight is [24, 32], expected [25, 32]");
  refuse_number("connector", false, "surplus tensor connector");
}

}  // namespace
}  // namespace precis
