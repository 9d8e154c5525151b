// SPDX-License-Identifier: Apache-2.0
// Answers questions about a document that the model reads in three ways: in full, cut to its last
// tokens (as many as the memory has), and as a memory.
//   three_answers MODEL DOCUMENT COMPRESSOR RATIO QUESTION...   (COMPRESSOR: attention_matching,
//   kvzip or a directory)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "precis/precis.h"

namespace {

using precis::Prompt;

struct Reading {
  const char* name;
  Prompt document;  // a user turn that begins with the document
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.empty()) {
    throw precis::Error(precis::ErrorKind::kNotFound,
                        std::string(path) + ": there is no text in it");
  }
  return text;
}

// Prints a line: costs and the answer. row_bytes: of the keys and values of a token.
void answer(const precis::Engine& engine,
            const Reading& reading,
            const std::string& question,
            int64_t row_bytes) {
  Prompt prompt = reading.document;
  prompt.keep("\n\n" + question + " Answer with a few words from the text.");
  const precis::Completion done = engine.generate(prompt, {.max_tokens = 32, .stop = {"\n"}});
  std::printf("  %-11s %6ld rows, %5.1f MB, first word after %6.0f ms:  %s\n",
              reading.name,
              static_cast<long>(done.savings.prompt_rows),
              static_cast<double>(done.savings.prompt_rows * row_bytes) / 1e6,
              done.timings.prefill_ms,
              done.text.c_str());
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 6) {
    std::cerr << "usage: three_answers MODEL DOCUMENT COMPRESSOR RATIO QUESTION...\n";
    return 2;
  }
  precis::EngineOptions options;
  options.model = arguments[1];
  options.compressor = arguments[3];
  options.weights = precis::WeightFormat::kInt8;
  const precis::Engine engine = precis::Engine::load(options);
  const std::string text = read(arguments[2]);
  const auto start = std::chrono::steady_clock::now();
  const precis::Memory memory = engine.compress(text, {.ratio = std::stod(arguments[4])});
  const double ms = milliseconds_since(start);
  const std::vector<precis::TokenId> ids = engine.tokenizer().encode(text);
  const auto last = ids.end() - std::min<std::ptrdiff_t>(memory.num_tokens(), std::ssize(ids));
  std::printf("%ld tokens became %ld (%.1f MB of keys and values) in %.0f ms.\n",
              static_cast<long>(ids.size()),
              static_cast<long>(memory.num_tokens()),
              static_cast<double>(memory.bytes()) / 1e6,
              ms);
  const int64_t row_bytes = memory.bytes() / memory.num_tokens();
  const Reading readings[] = {{"full text", Prompt().turn("user").keep(text)},
                              {"last tokens", Prompt().turn("user").ids({last, ids.end()})},
                              {"memory", Prompt().turn("user").memory(memory)}};
  for (int i = 5; i < count; ++i) {
    std::printf("\n%s\n", arguments[i]);
    for (const Reading& reading : readings) answer(engine, reading, arguments[i], row_bytes);
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
