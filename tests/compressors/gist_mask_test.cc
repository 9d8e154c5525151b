// SPDX-License-Identifier: Apache-2.0
// The mask that makes gists, cell by cell as golden/make_gisting_golden.py restates it.
#include "compressors/gist_mask.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gisting_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

using nlohmann::json;
using Ids = std::vector<TokenId>;

class GistMask : public testing::TestWithParam<std::string> {};

TEST_P(GistMask, IsTheRulesCellByCell) {
  const SafetensorsFile expected = SafetensorsFile::open(kGistingGolden / "expected.safetensors");
  const json row = golden("masks").at(GetParam());
  const Ids ids = row.at("ids");
  const GistSpan gists = find_gists(ids, golden("settings").at("gist_id"));
  const std::pair<const char*, GistAttention> kinds[] = {
      {"gist", GistAttention::kGist},
      {"positive", GistAttention::kPositiveControl},
      {"negative", GistAttention::kNegativeControl}};
  for (const auto& [name, attention] : kinds) {
    const at::Tensor wanted =
        to_tensor(*expected.find("mask." + GetParam() + "." + std::string(name)));
    EXPECT_TRUE(at::equal(gist_mask(std::ssize(ids), gists, attention, row.at("padding")), wanted))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows,
                         GistMask,
                         testing::ValuesIn(names_of("masks")),
                         [](const auto& test) { return test.param; });

TEST(GistMaskRule, RowsBehindTheGistsSeeTheGistsAndEachOther) {
  const at::Tensor mask = gist_mask(10, {5, 2});
  EXPECT_TRUE(
      at::equal(mask[7].to(at::kLong), at::tensor({0, 0, 0, 0, 0, 1, 1, 1, 0, 0}, at::kLong)));
  EXPECT_TRUE(
      at::equal(mask[9].to(at::kLong), at::tensor({0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, at::kLong)));
  EXPECT_TRUE(
      at::equal(mask[6].to(at::kLong), at::tensor({1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, at::kLong)));
}

TEST(GistMaskRule, NoRowIsEmpty) {
  EXPECT_TRUE(gist_mask(6, {4, 1}, GistAttention::kNegativeControl, 3).any(1).all().item<bool>());
}

TEST(GistMaskRule, GistsHaveToFollowEachOther) {
  EXPECT_EQ(find_gists(Ids{4, 9, 9, 5}, 9).first, 1);
  EXPECT_EQ(find_gists(Ids{4, 9, 9, 5}, 9).size, 2);
  EXPECT_EQ(find_gists(Ids{4, 5}, 9).size, 0);
  expect_error(ErrorKind::kInvalidArgument, "one stands in row 3", [] {
    find_gists(Ids{9, 9, 4, 9}, 9);
  });
}

TEST(GistMaskRule, RefusesSpansThatTheRowsDoNotHold) {
  const auto refuse = [](int64_t rows, GistSpan gists, int64_t padding) {
    expect_error(ErrorKind::kInvalidArgument, "gist_mask", [&] {
      gist_mask(rows, gists, GistAttention::kGist, padding);
    });
  };
  refuse(0, {}, 0);
  refuse(4, {3, 2}, 0);
  refuse(4, {-1, 2}, 0);
  refuse(4, {0, -1}, 0);
  refuse(4, {1, 2}, 2);
  refuse(4, {}, 5);
  refuse(4, {}, -1);
}

}  // namespace
}  // namespace precis
