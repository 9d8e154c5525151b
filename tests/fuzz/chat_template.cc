// SPDX-License-Identifier: Apache-2.0
// A chat template, and a chat with tools that it renders. What users wrote must not come out as the
// template's own text.
#include "chat/chat_template.h"

#include "fuzz/check.h"

namespace precis::fuzz {
namespace {

// A letter for private use: nothing but the messages below has it.
#define PRECIS_FUZZ_MARK "\uE123"

const std::vector<MarkedMessage>& chat() {
  static const std::vector<MarkedMessage> messages{
      {"system", {{"Be brief. " PRECIS_FUZZ_MARK, 0}}, ""},
      {"user", {{" What is " PRECIS_FUZZ_MARK, 1}, {" <b>2 + 2</b>?\n", 2}}, ""},
      {"assistant",
       {{"<think>\n4" PRECIS_FUZZ_MARK "</think>\n4", 3}},
       R"({"tool_calls": [{"type": "function",
           "function": {"name": "add", "arguments": {"a": 2, "b": [2, null, 1.5]}}}]})"},
      {"tool", {{"{\"sum\": 4}" PRECIS_FUZZ_MARK, 4}}, R"({"name": "add"})"},
      {"user", {{"Thanks, " PRECIS_FUZZ_MARK "!", 5}}, ""}};
  return messages;
}

const ChatTemplateContext& context() {
  static const ChatTemplateContext made = [] {
    ChatTemplateContext context;
    context.bos_token = "<s>";
    context.eos_token = "</s>";
    context.options.tools = R"([{"type": "function", "function": {"name": "add",
        "description": "Adds.", "parameters": {"type": "object", "properties":
        {"a": {"type": "number"}, "b": {"type": ["array", "null"]}}, "required": ["a"]}}}])";
    context.options.variables = {{"enable_thinking", "true"}, {"documents", "[]"}, {"n", "3"}};
    context.now = std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000));
    return context;
  }();
  return made;
}

}  // namespace
}  // namespace precis::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  fuzz::expect_result_or_error([&] {
    const ChatTemplate chat_template(source);
    for (const MarkedText& part : chat_template.render(fuzz::chat(), fuzz::context())) {
      fuzz::require(part.source != MarkedText::kTemplate ||
                        part.text.find(PRECIS_FUZZ_MARK) == std::string::npos,
                    "a user's text came out as the template's own");
    }
  });
  return 0;
}
