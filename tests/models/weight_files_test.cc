// SPDX-License-Identifier: Apache-2.0
// Unusual files that other readers accept (golden/make_weight_files_golden.py), and GGUF models
// that are split over several files.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "gguf_pieces.h"
#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = PRECIS_TEST_GOLDEN_DIR;
constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

std::unique_ptr<Decoder> load(const fs::path& model) { return load_decoder(model, at::kFloat); }

at::Tensor logits_of(const Decoder& decoder, const at::Tensor& ids) {
  const c10::NoGradGuard no_grad;
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  const int64_t count = ids.size(0);
  return decoder.logits(
      decoder.forward({decoder.embed(ids), at::arange(count), {0, count}, {0}}, cache));
}

class WeightFiles : public testing::TestWithParam<std::string> {
 protected:
  const fs::path model = kGolden / "weight_files" / GetParam();
};

TEST_P(WeightFiles, AreReadAsTransformersReadsThem) {
  const SafetensorsFile file = SafetensorsFile::open(model / "expected.safetensors");
  const at::Tensor expected = to_tensor(*file.find("logits"));
  const at::Tensor actual = logits_of(*load(model), to_tensor(*file.find("ids")));
  const at::Tensor difference = (actual - expected).abs().max() / expected.abs().max();
  EXPECT_LT(difference.item<double>(), 1e-4);
}

std::string case_name(const testing::TestParamInfo<std::string>& test) { return test.param; }

INSTANTIATE_TEST_SUITE_P(Golden,
                         WeightFiles,
                         testing::Values("buffers",
                                         "infinity_in_config",
                                         "overlapping_shards",
                                         "single_beside_stale_index",
                                         "tied_head_alone",
                                         "tied_other_head"),
                         case_name);

class TiedHead : public testing::Test {
 protected:
  // A golden model with a tied head, and a head tensor as well.
  fs::path with_head(const TensorFile::Tensor& head) const {
    const fs::path model = directory / "model";
    fs::copy(source, model);
    damage_tensors(model / "model.safetensors", [&](TensorFile& file) { file.add(head); });
    return model;
  }
  TensorFile::Tensor copied_embedding() const {
    TensorFile::Tensor head = TensorFile(source / "model.safetensors").at(kEmbedding);
    head.name = kHead;
    return head;
  }

  const fs::path source = kGolden / "models" / "llama";
  TemporaryDirectory directory;
};

TEST_F(TiedHead, AnEqualHeadIsNotKeptTwice) {
  const auto decoder = load(with_head(copied_embedding()));
  EXPECT_TRUE(decoder->config().tied_head);
  EXPECT_EQ(decoder->num_parameters(), load(source)->num_parameters());
}

TEST_F(TiedHead, AHeadThatDiffersInItsLastValueIsKept) {
  TensorFile::Tensor head = copied_embedding();
  ASSERT_EQ(head.dtype, "F32");
  head.bytes[head.bytes.size() - 2] ^= 0x40;  // the mantissa's highest bit
  const auto decoder = load(with_head(head));
  EXPECT_FALSE(decoder->config().tied_head);
  const int64_t table = decoder->config().vocab_size * decoder->config().hidden_size;
  EXPECT_EQ(decoder->num_parameters(), load(source)->num_parameters() + table);
}

TEST_F(TiedHead, AHeadOfAnotherShapeIsRefused) {
  TensorFile::Tensor head = copied_embedding();
  std::swap(head.shape[0], head.shape[1]);
  const fs::path model = with_head(head);
  expect_error(ErrorKind::kBadWeights, "lm_head.weight is [32, 320], expected [320, 32]", [&] {
    load(model);
  });
}

// Split GGUF

class SplitGguf : public testing::Test {
 protected:
  static constexpr size_t kNumFiles = 3;

  // Metadata in the types that llama.cpp's gguf-split writes.
  static GgufPieces::Pair number(const std::string& key, uint16_t value) {
    return {key, Bytes().number(uint32_t{2}).number(value).str()};
  }
  static void mark(GgufPieces& file, uint16_t index, uint16_t count, int32_t tensors) {
    file.pairs.push_back(number("split.no", index));
    file.pairs.push_back(number("split.count", count));
    file.pairs.push_back(
        {"split.tensors.count", Bytes().number(uint32_t{5}).number(tensors).str()});
  }

  // The first file has all metadata, and the last one no tensors.
  std::vector<GgufPieces> split_files() const {
    const GgufPieces whole(single);
    std::vector<GgufPieces> result(kNumFiles, whole);
    for (size_t i = 0; i < kNumFiles; ++i) {
      if (i > 0) result[i].pairs.clear();
      mark(result[i], i, kNumFiles, static_cast<int32_t>(whole.tensors.size()));
      result[i].tensors.clear();
    }
    for (size_t i = 0; i < whole.tensors.size(); ++i)
      result[i % 2].tensors.push_back(whole.tensors[i]);
    return result;
  }

  fs::path path(size_t index) const {
    return directory / ("llama-0000" + std::to_string(index + 1) + "-of-00003.gguf");
  }
  void write(const std::vector<GgufPieces>& all) const {
    for (size_t i = 0; i < all.size(); ++i) all[i].write(path(i));
  }
  void refuse(const fs::path& model, ErrorKind kind, const std::string& message) const {
    expect_error(kind, message, [&] { load(model); });
  }

  const fs::path single = kGolden / "models" / "llama.gguf";
  TemporaryDirectory directory;
};

TEST_F(SplitGguf, IsReadFromItsFirstFile) {
  write(split_files());
  const auto split = load(path(0)), whole = load(single);
  EXPECT_EQ(split->fingerprint(), whole->fingerprint());
  EXPECT_EQ(split->num_parameters(), whole->num_parameters());
}

TEST_F(SplitGguf, AnotherFileThanTheFirstIsRefused) {
  write(split_files());
  refuse(path(1),
         ErrorKind::kInvalidArgument,
         "part 2 of a model that is split over 3 files; give the first one, "
         "llama-00001-of-00003.gguf");
}

TEST_F(SplitGguf, AMissingFileIsNamed) {
  write(split_files());
  fs::remove(path(2));
  refuse(path(0), ErrorKind::kNotFound, "but llama-00003-of-00003.gguf is not beside it");
}

TEST_F(SplitGguf, ANameFromWhichTheOtherFilesCannotBeFoundIsRefused) {
  write(split_files());
  fs::rename(path(0), directory / "llama.gguf");
  refuse(directory / "llama.gguf",
         ErrorKind::kBadWeights,
         "part 1 of a model that is split over 3 files (split.count), but its name does not end in "
         "-00001-of-00003.gguf");
}

TEST_F(SplitGguf, FilesThatDoNotBelongTogetherAreRefused) {
  std::vector<GgufPieces> all = split_files();
  std::swap(all[1], all[2]);
  write(all);
  refuse(path(0), ErrorKind::kBadWeights, "says that it is part 3 of 3, expected part 2 of 3");
  all = split_files();
  all[1].pairs.clear();
  write(all);
  refuse(path(0), ErrorKind::kBadWeights, "says that it is part 1 of 1, expected part 2 of 3");
  all = split_files();
  all[1].tensors.pop_back();
  write(all);
  refuse(path(0), ErrorKind::kBadWeights, "tensors, split.tensors.count is");
}

TEST_F(SplitGguf, ATensorInTwoFilesIsRefused) {
  std::vector<GgufPieces> all = split_files();
  const std::string name = all[0].tensors.front().name;
  all[1].tensors.back() = all[0].tensors.front();
  write(all);
  refuse(path(0), ErrorKind::kBadWeights, "tensor \"" + name + "\" stands in two of its files");
}

TEST_F(SplitGguf, InvalidSplitNumbersAreRefused) {
  for (const uint64_t index : {uint64_t{3}, uint64_t{INT64_MAX}}) {
    GgufPieces file(single);
    file.pairs.push_back({"split.no", Bytes().number(uint32_t{10}).number(index).str()});
    file.pairs.push_back(number("split.count", 3));
    file.write(path(0));
    refuse(path(0), ErrorKind::kBadWeights, "expected 0 to 2, since split.count is 3");
  }
}

TEST_F(SplitGguf, ASplitOfOneFileIsRead) {
  GgufPieces file(single);
  mark(file, 0, 1, static_cast<int32_t>(file.tensors.size()));
  file.write(directory / "any.gguf");
  EXPECT_EQ(load(directory / "any.gguf")->fingerprint(), load(single)->fingerprint());
}

// Git LFS pointers

TEST(LfsPointer, IsNamedWhicheverFileItReplaces) {
  const TemporaryDirectory directory;
  const fs::path model = directory / "model";
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
      "\nsize 269060552\n";
  for (const std::string file : {"config.json", "model.safetensors"}) {
    fs::copy(kGolden / "models" / "llama", model);
    overwrite(model / file, pointer);
    expect_error(ErrorKind::kBadWeights, (model / file).string() + ": a Git LFS pointer", [&] {
      load(model);
    });
    fs::remove_all(model);
  }
  overwrite(directory / "model.gguf", pointer);
  expect_error(ErrorKind::kBadWeights,
               "a Git LFS pointer, which stands in place of the file itself (269060552 bytes); "
               "fetch that with \"git lfs pull\"",
               [&] { load(directory / "model.gguf"); });
}

}  // namespace
}  // namespace precis
