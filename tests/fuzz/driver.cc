// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target where libFuzzer is not there. Inputs are drawn from a seed; with coverage
// (coverage.h) those that take new ways are kept and changed further. The target runs in a child
// process, so that its parent has the input whatever happens.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "fuzz/coverage.h"
#include "fuzz/driver_options.h"
#include "fuzz/mutator.h"
#include "fuzz/watched_child.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace precis::fuzz {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

// FNV-1a: names of files of inputs.
std::string name_of(const std::string& bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  std::ostringstream name;
  name << std::hex << hash;
  return name.str();
}

// The files that are named and those in directories that are, in the order of their names.
std::vector<std::string> read_inputs(const std::vector<std::string>& paths) {
  std::vector<std::string> inputs;
  for (const fs::path path : paths) {
    std::vector<fs::path> files{path};
    if (fs::is_directory(path)) files.assign(fs::directory_iterator(path), {});
    std::ranges::sort(files);
    for (const fs::path& file : files) inputs.push_back(read_bytes(file));
  }
  return inputs;
}

class Fuzzer {
 public:
  Fuzzer(const DriverOptions& options, std::vector<std::string> seeds)
      : options_(options),
        seeds_(std::move(seeds)),
        max_size_(largest_input()),
        current_(shared_input(max_size_)) {
    const auto is_directory = [](const fs::path& path) { return fs::is_directory(path); };
    const auto first = std::ranges::find_if(options_.inputs, is_directory);
    if (first != options_.inputs.end()) found_ = *first;
  }

  // What went wrong; empty: nothing.
  std::string run() {
    const Limits limits{options_.timeout, options_.rss_limit_mb << 20};
    return run_watched(limits, current_, [this] {
      for (const std::string& seed : seeds_) try_input(seed);
      if (!found_.empty()) change_inputs();
    });
  }

  uint64_t runs() const { return current_.run; }
  std::string current() const {
    return {reinterpret_cast<const char*>(current_.bytes()), current_.size};
  }

 private:
  size_t largest_input() const {
    size_t largest = 0;
    for (const std::string& seed : seeds_) largest = std::max(largest, seed.size());
    return std::max<size_t>(largest,
                            options_.max_len > 0 ? options_.max_len : largest + largest / 4 + 4096);
  }

  bool try_input(const std::string& input) {
    std::memcpy(current_.bytes(), input.data(), input.size());
    current_.size = input.size();
    ++current_.run;
    // A copy of its exact size, so that AddressSanitizer sees what reads beyond it.
    const std::vector<uint8_t> bytes(input.begin(), input.end());
    begin_coverage();
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    return end_coverage();
  }

  void change_inputs() {
    const std::vector<std::string> words =
        options_.dict.empty() ? std::vector<std::string>{} : read_dictionary(options_.dict);
    Mutator mutator(options_.seed, words);
    std::vector<std::string> corpus = seeds_;
    if (corpus.empty()) corpus.emplace_back();
    while (current_.run < options_.runs && seconds() < options_.max_total_time) {
      const std::string& base = corpus[mutator.below(corpus.size())];
      const std::string& other = corpus[mutator.below(corpus.size())];
      std::string input = mutator.mutate(base, other, max_size_);
      if (!try_input(input)) continue;
      std::ofstream(found_ / name_of(input), std::ios::binary) << input;
      corpus.push_back(std::move(input));
    }
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

  DriverOptions options_;
  std::vector<std::string> seeds_;
  size_t max_size_;
  CurrentInput& current_;
  fs::path found_;  // empty: inputs are run as they are
  Clock::time_point began_ = Clock::now();
};

int run(int argc, char** argv) {
  const DriverOptions options = read_options(argc, argv);
  const fs::path program = argv[0];
  Fuzzer fuzzer(options, read_inputs(options.inputs));
  const std::string failure = fuzzer.run();
  if (failure.empty()) {
    std::printf("%s: %llu runs, nothing found\n",
                program.filename().c_str(),
                static_cast<unsigned long long>(fuzzer.runs()));
    return 0;
  }
  const std::string input = fuzzer.current();
  const std::string artifact = options.artifact_prefix + "crash-" + name_of(input);
  std::ofstream(artifact, std::ios::binary) << input;
  std::fprintf(
      stderr,
      "%s: %s in run %llu with -seed=%llu; the input is in %s, and runs again by\n  %s %s\n",
      program.filename().c_str(),
      failure.c_str(),
      static_cast<unsigned long long>(fuzzer.runs()),
      static_cast<unsigned long long>(options.seed),
      artifact.c_str(),
      program.c_str(),
      artifact.c_str());
  return 1;
}

}  // namespace
}  // namespace precis::fuzz

int main(int argc, char** argv) {
  try {
    return precis::fuzz::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 2;
  }
}
