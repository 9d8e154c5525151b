// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "fuzz/check.h"

namespace precis::fuzz {

inline void write_whole(int file, const uint8_t* data, size_t size) {
  require(::ftruncate(file, static_cast<off_t>(size)) == 0, "an input cannot be written");
  const bool written = size == 0 || ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size);
  require(written, "an input cannot be written");
}

// A file in memory, under a path that the whole process can open.
class InputFile {
 public:
  InputFile() : file_(::memfd_create("precis-fuzz", MFD_CLOEXEC)) {
    require(file_ >= 0, "memfd_create is refused");
  }
  ~InputFile() { ::close(file_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_); }
  void write(const uint8_t* data, size_t size) const { write_whole(file_, data, size); }

 private:
  int file_;
};

// Where an InputDirectory of this process lies: in memory where the system has such a place. The
// driver removes it when the process has died.
inline std::filesystem::path directory_of_process(int process) {
  std::error_code ignored;
  const std::filesystem::path memory = "/dev/shm";
  const bool is_there = std::filesystem::is_directory(memory, ignored);
  const auto parent = is_there ? memory : std::filesystem::temp_directory_path();
  return parent / ("precis-fuzz-" + std::to_string(process));
}

// The directory of this process, for formats that are directories. One in a process.
class InputDirectory {
 public:
  InputDirectory() : path_(directory_of_process(::getpid())) {
    std::filesystem::remove_all(path_);  // of a process of the same number
    std::filesystem::create_directories(path_);
  }
  ~InputDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  InputDirectory(const InputDirectory&) = delete;
  InputDirectory& operator=(const InputDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  void write(const std::string& name, const uint8_t* data, size_t size) const {
    const int file = ::open((path_ / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    require(file >= 0, "an input cannot be created");
    write_whole(file, data, size);
    ::close(file);
  }

 private:
  std::filesystem::path path_;
};

}  // namespace precis::fuzz
