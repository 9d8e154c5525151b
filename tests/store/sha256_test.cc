// SPDX-License-Identifier: Apache-2.0
#include "store/sha256.h"

#include <gtest/gtest.h>

namespace precis {
namespace {

// Expected values: Python's hashlib over struct.pack("<Q", size) + bytes of each field.

TEST(Sha256Test, OfNothingIsThatOfTheEmptyText) {
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256Test, HashesTheLengthThenTheBytes) {
  Sha256 hash;
  hash.add(std::string_view("abc"));
  EXPECT_EQ(hash.hex(), "ce91dc5eec0139adf091900d225971d6ad246a845bad791b5693a9d0d55dd391");
}

TEST(Sha256Test, HashesNumbersAsEightBytes) {
  Sha256 hash;
  hash.add(std::string_view("abc"));
  hash.add(int64_t{7});
  EXPECT_EQ(hash.hex(), "7270a45332e9794fed06c925a6952ff7607b5e6206c403ee30bf099b6f2eb4ef");
}

TEST(Sha256Test, DependsOnHowTextIsDivided) {
  const auto hash_of = [](std::string_view first, std::string_view second) {
    Sha256 hash;
    hash.add(first);
    hash.add(second);
    return hash.hex();
  };
  EXPECT_NE(hash_of("ab", "c"), hash_of("a", "bc"));
  EXPECT_NE(hash_of("", "abc"), hash_of("abc", ""));
}

}  // namespace
}  // namespace precis
