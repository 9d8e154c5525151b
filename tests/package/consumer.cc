// SPDX-License-Identifier: Apache-2.0
#include <precis/precis.h>

#include <iostream>

#if __has_include(<ATen/ATen.h>)
#error "an application that links precis::precis must not need the headers of libtorch"
#endif

int main(int, char** arguments) {
  const precis::Engine engine = precis::Engine::load({.model = arguments[1]});
  const precis::Prompt prompt = precis::Prompt().keep("the water");
  std::cout << engine.generate(prompt, {.max_tokens = 4}).ids.size();
}
