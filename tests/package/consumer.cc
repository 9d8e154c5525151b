// SPDX-License-Identifier: Apache-2.0
#include <precis/precis.h>

#include <iostream>

int main(int, char** arguments) {
  const precis::Engine engine = precis::Engine::load({.model = arguments[1]});
  precis::GenerationOptions options;
  options.max_tokens = 4;
  std::cout << engine.generate(precis::Prompt().keep("the water"), options).ids.size();
}
