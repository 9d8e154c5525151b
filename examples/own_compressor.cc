// SPDX-License-Identifier: Apache-2.0
// Registers a compressor from outside the library (mean_pooling.h) and uses it like a built-in one.
//   own_compressor MODEL DIRECTORY PROMPT     DIRECTORY/compressor.json: {"format": 1, "method":
//   "mean_pooling"}
#include <iostream>

#include "mean_pooling.h"
#include "precis/extend/registry.h"
#include "precis/precis.h"

int main(int count, char** arguments) try {
  if (count != 4) {
    std::cerr << "usage: own_compressor MODEL DIRECTORY PROMPT\n";
    return 2;
  }
  precis::register_compressor("mean_pooling", load_mean_pooling);
  precis::EngineOptions options;
  options.model = arguments[1];
  options.compressor = arguments[2];
  const precis::Engine engine = precis::Engine::load(options);
  const precis::Memory memory = engine.compress(arguments[3]);
  std::cout << memory.provenance().source_tokens << " tokens became " << memory.num_tokens()
            << " rows\n"
            << engine.generate(precis::Prompt().memory(memory).keep("\n"), {.max_tokens = 32}).text
            << "\n";
} catch (const precis::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
