// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "precis/error.h"

namespace precis {

// Builds the bytes of a file from little-endian values.
class Bytes {
 public:
  template <typename Number>
  Bytes& number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Bytes& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Bytes& text(std::string_view text) { return number<uint64_t>(text.size()).raw(text); }
  Bytes& pad_to(size_t multiple) {
    bytes_.append((multiple - bytes_.size() % multiple) % multiple, '\0');
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  std::string bytes_;
};

// A test with its own folder, which is removed when the test ends.
class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("precis-" + std::to_string(::getpid()) + "-" + test->name());
    std::filesystem::create_directories(folder_);
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path& folder() const { return folder_; }

  std::filesystem::path file_of(std::string_view bytes) const {
    const auto path = folder_ / "file";
    // A new file: some file systems flush one that is truncated, which takes milliseconds.
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  size_t num_files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  // Expects an Error of this kind whose message is one line and contains this text.
  template <typename Action>
  static void expect_error(ErrorKind kind, std::string_view text, const Action& action) {
    try {
      action();
      ADD_FAILURE() << "nothing was thrown, expected: " << text;
    } catch (const Error& error) {
      const std::string_view message = error.what();
      EXPECT_EQ(error.kind(), kind) << message;
      EXPECT_NE(message.find(text), std::string_view::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string_view::npos) << message;
    }
  }

  // Truncates the file to every length and changes bytes at random: `open` may succeed or throw
  // Error.
  template <typename Open>
  void expect_survives_damage(const std::string& bytes, const Open& open) const {
    for (size_t length = 0; length < bytes.size(); ++length) {
      try_to_open(bytes.substr(0, length), open);
    }
    std::mt19937 random(1);
    for (int i = 0; i < 1000; ++i) {
      std::string damaged = bytes;
      for (int changes = 1 + static_cast<int>(random() % 4); changes > 0; --changes) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      try_to_open(damaged, open);
    }
  }

 private:
  template <typename Open>
  void try_to_open(const std::string& bytes, const Open& open) const {
    try {
      open(file_of(bytes));
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
    }
  }

  std::filesystem::path folder_;
};

}  // namespace precis
