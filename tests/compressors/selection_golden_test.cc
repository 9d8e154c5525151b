// SPDX-License-Identifier: Apache-2.0
// Compressors without weights against a restatement in PyTorch (golden/make_selection_golden.py),
// over a tiny model of every architecture.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "compressors/attention_matching/layer_fit.h"
#include "io/json_file.h"
#include "io/safetensors.h"
#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"
#include "support/built_in.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using nlohmann::json;
using Ids = std::vector<TokenId>;

constexpr double kTolerance = 2e-4;  // relative to the largest value of a tensor
const std::filesystem::path kGolden = PRECIS_TEST_GOLDEN_DIR;

struct GoldenCase {
  std::string file;  // in golden/selection, without extension
  std::string name;
};

std::filesystem::path golden_file(const GoldenCase& wanted, const char* extension) {
  return kGolden / "selection" / (wanted.file + extension);
}

std::vector<GoldenCase> cases_of(const std::string& file) {
  std::vector<GoldenCase> cases;
  const json content = read_json(golden_file({file, ""}, ".json"));
  for (const auto& [name, ignored] : content.at("cases").items()) cases.push_back({file, name});
  return cases;
}

std::vector<GoldenCase> cases_of_models() {
  std::vector<GoldenCase> all;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden / "selection")) {
    const std::string file = entry.path().stem().string();
    if (entry.path().extension() != ".json" || file == "fit_layer") continue;
    std::ranges::copy(cases_of(file), std::back_inserter(all));
  }
  std::ranges::sort(all, {}, [](const GoldenCase& one) { return one.file + " " + one.name; });
  return all;
}

void PrintTo(const GoldenCase& one, std::ostream* out) { *out << one.file << " " << one.name; }

std::string test_name(const testing::TestParamInfo<GoldenCase>& test) {
  return test.param.file + "_" + test.param.name;
}

class Golden : public testing::TestWithParam<GoldenCase> {
 protected:
  Golden()
      : content(read_json(golden_file(GetParam(), ".json"))),
        wanted_case(content.at("cases").at(GetParam().name)),
        tensors(SafetensorsFile::open(golden_file(GetParam(), ".safetensors"))) {}

  at::Tensor wanted(const std::string& name) const {
    return to_tensor(*tensors.find(GetParam().name + "." + name));
  }

  void expect_close(const at::Tensor& actual, const std::string& name) const {
    const at::Tensor expected = wanted(name);
    ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
    const at::Tensor difference = (actual - expected).abs().max() / expected.abs().max();
    EXPECT_LT(difference.item<double>(), kTolerance) << name;
  }

  c10::NoGradGuard no_grad;
  json content;
  json wanted_case;
  SafetensorsFile tensors;
};

// Memories of a text.

class SelectionGolden : public Golden {
 protected:
  SelectionGolden()
      : decoder(load()),
        compressor(
            make_built_in(wanted_case.at("method"),
                          {wanted_case.at("bos").get<Ids>(), wanted_case.at("repeat").get<Ids>()},
                          *decoder)) {}

  // The model, or a copy of it with another window.
  std::unique_ptr<Decoder> load() const {
    const std::filesystem::path model = kGolden / "models" / content.at("model").get<std::string>();
    if (content.at("context").is_null()) return load_decoder(model, at::kFloat);
    const TemporaryDirectory directory;
    std::filesystem::copy(model, directory.path());
    json config = read_json(model / "config.json");
    config["max_position_embeddings"] = content.at("context");
    std::ofstream(directory / "config.json") << config;
    return load_decoder(directory.path(), at::kFloat);
  }

  CachedTokens compress(MemoryPositions positions) const {
    const Segment segment{content.at("text").get<Ids>(), nullptr};
    CompressOptions options;
    options.ratio = wanted_case.at("ratio").get<double>();
    options.positions = positions;
    if (!wanted_case.at("segment").is_null()) options.segment = wanted_case.at("segment");
    return std::get<CachedTokens>(compressor->compress({&segment, 1}, options).front());
  }

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

at::Tensor lengths_of(const CachedTokens& memory) {
  if (memory.is_ragged()) return memory.lengths;
  return at::full(memory.keys.sizes().slice(0, 2), memory.keys.size(2), at::kLong);
}

TEST_P(SelectionGolden, KeysValuesAndPositionsAgree) {
  const json wanted_positions = wanted_case.at("positions");
  for (const auto& [name, next] : wanted_positions.items()) {
    const CachedTokens memory =
        compress(name == "text" ? MemoryPositions::kText : MemoryPositions::kRows);
    EXPECT_TRUE(at::equal(lengths_of(memory), wanted("lengths").to(at::kLong)));
    expect_close(memory.is_ragged() ? memory.keys : memory.keys.flatten(0, 2), "keys." + name);
    expect_close(memory.is_ragged() ? memory.values : memory.values.flatten(0, 2), "values");
    EXPECT_EQ(memory.first_position, 0);
    EXPECT_EQ(memory.num_sinks, std::max<size_t>(1, wanted_case.at("bos").size()));
    EXPECT_EQ(memory.next_position, next.get<int64_t>());
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SelectionGolden, testing::ValuesIn(cases_of_models()), test_name);

// The fit of one layer.

// Values in -1 .. 1, the same as in the script, [heads, n, 8].
at::Tensor noise(int64_t heads, int64_t n, int64_t seed) {
  constexpr int64_t kHeadDim = 8;
  const at::Tensor result = at::empty({heads, n, kHeadDim}, at::kDouble);
  for (int64_t i = 0; i < result.numel(); ++i) {
    uint64_t x = static_cast<uint64_t>(i + 1000003 * seed);
    for (int round = 0; round < 2; ++round) x = ((x >> 16) ^ x) * 73244475 % (uint64_t{1} << 32);
    x = (x >> 16) ^ x;
    result.data_ptr<double>()[i] = static_cast<double>(x) / 2147483648.0 - 1;
  }
  return result;
}

class FitOfSelectionGolden : public Golden {
 protected:
  LayerHeads heads() const {
    const int64_t heads = wanted_case.at("heads"), num_rows = wanted_case.at("rows"),
                  seed = wanted_case.at("seed");
    const at::Tensor queries = noise(heads, wanted_case.at("queries"), seed) + 0.25;
    return {(queries * wanted_case.value("spread", 2.0)).to(at::kFloat),
            (noise(heads, num_rows, seed + 1) * 2).to(at::kFloat),
            noise(heads, num_rows, seed + 2).to(at::kFloat),
            at::Tensor()};
  }

  LayerPlan plan() const {
    const auto range = [&](const char* name) {
      return TokenRange{wanted_case.at(name).at(0), wanted_case.at(name).at(1)};
    };
    return {range("copied"), range("candidates"), wanted_case.at("count")};
  }
};

TEST_P(FitOfSelectionGolden, RowsKeysAndValuesAgree) {
  const at::ScalarType dtype =
      wanted_case.value("dtype", "") == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const FittedRows fitted = fit_layer(heads(), plan(), dtype);
  EXPECT_TRUE(at::equal(fitted.rows, wanted("rows").to(at::kLong)));
  expect_close(fitted.keys, "keys");
  expect_close(fitted.values, "values");
}

INSTANTIATE_TEST_SUITE_P(Layers,
                         FitOfSelectionGolden,
                         testing::ValuesIn(cases_of("fit_layer")),
                         test_name);

}  // namespace
}  // namespace precis
