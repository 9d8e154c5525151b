// SPDX-License-Identifier: Apache-2.0
// Answers questions about a document that is compressed once and read as a memory each time.
//   answer_about_document MODEL COMPRESSOR DOCUMENT QUESTION...
#include <fstream>
#include <iostream>
#include <iterator>

#include "precis/precis.h"

int main(int count, char** arguments) try {
  if (count < 5) {
    std::cerr << "usage: answer_about_document MODEL COMPRESSOR DOCUMENT QUESTION...\n";
    return 2;
  }
  precis::EngineOptions options;
  options.model = arguments[1];
  options.compressor = arguments[2];
  const precis::Engine engine = precis::Engine::load(options);

  std::ifstream file(arguments[3]);
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  const precis::Memory memory = engine.compress(document);
  std::cout << memory.provenance().source_tokens << " tokens became " << memory.num_tokens()
            << " memory tokens\n";

  for (int i = 4; i < count; ++i) {
    const auto prompt =
        precis::Prompt().turn("user").memory(memory).keep(std::string("\n\n") + arguments[i]);
    engine.generate(prompt, {.max_tokens = 96}, [](std::string_view text) {
      std::cout << text << std::flush;
      return true;
    });
    std::cout << "\n";
  }
} catch (const precis::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
