// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/error.h"

// Templates come with model files and are untrusted: rendering ends in text or in an Error.
namespace precis {
namespace {

const std::vector<MarkedMessage>& conversation() {
  static const std::vector<MarkedMessage> messages = {
      {"system", {{"Be brief", 0}}, ""},
      {"user", {{"Hello \xc5\xbd", 1}}, ""},
      {"assistant", {{"<think>a</think>b", 2}}, R"({"tool_calls": [{"id": "1", "function": {}}]})"},
      {"user", {{"again", 3}}, ""}};
  return messages;
}

void expect_error(const std::string& source) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(ChatTemplate(source).render(conversation(), {}), Error) << source.substr(0, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

std::string repeat(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

TEST(HostileChatTemplate, DeepNestingIsRefused) {
  constexpr int kDeep = 100'000;
  for (const char* open :
       {"(", "[", "{1:", "-", "not ", "+", "x[", "f(", "1 if 0 else ", "x|f(", "'a'~("}) {
    expect_error("{{ " + repeat(open, kDeep));
    expect_error("{{ " + repeat(open, 190) + " 1 / 0 }}");
  }
  for (const char* open : {"{% if x %}", "{% for i in x %}", "{% set x %}", "{% macro m() %}"}) {
    expect_error(repeat(open, kDeep));
  }
  expect_error("{% for " + repeat("(", kDeep));
}

TEST(HostileChatTemplate, LongChainsAreNotNesting) {
  constexpr int kLong = 20'000;
  for (const char* link : {"|trim", ".strip()", "[0:]", " + 'a'", " ~ 'a'", " or 'a'", " == 'a'"}) {
    EXPECT_NO_THROW(
        ChatTemplate("{{ 'a'" + repeat(link, kLong) + " }}").render(conversation(), {}));
  }
  const std::string elifs = repeat("{% elif false %}x", kLong);
  EXPECT_NO_THROW(
      ChatTemplate("{% if false %}" + elifs + "{% endif %}").render(conversation(), {}));
}

TEST(HostileChatTemplate, EndlessRecursionIsRefused) {
  expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  expect_error("{% macro m(k) %}" + repeat("{% if true %}", 150) + "{{ m(k) }}" +
               repeat("{% endif %}", 150) + "{% endmacro %}{{ m(1) }}");
  expect_error("{% macro m(k=m()) %}{% endmacro %}{{ m() }}");
  expect_error("{% macro m(k) %}" + repeat("(", 100) + "{{ " + repeat("(", 90) + "m(k)" +
               repeat(")", 90) + " }}{% endmacro %}{{ m(1) }}");
  expect_error("{% set l = ['map'] * 90000 %}{{ ['a'] | map(*l) | list }}");
}

TEST(HostileChatTemplate, EndlessLoopsAreRefused) {
  expect_error("{% for i in range(10 ** 9) %}{% endfor %}");
  expect_error("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
  expect_error("{% for i in range(99999) %}{% set x = range(99999) | list %}{% endfor %}");
  expect_error("{% macro m(k) %}{{ m(k - 1) if k }}{{ m(k - 1) if k }}{% endmacro %}{{ m(60) }}");
  expect_error(
      "{{ range(99999) | map('string') | sort | join | list | sort | unique | list | tojson"
      " | list | map('list') | map('list') | map('string') | map('list') | list }}");
}

TEST(HostileChatTemplate, HugeValuesAreRefused) {
  expect_error("{{ 'a' * 10 ** 9 }}");
  expect_error("{{ [0] * 10 ** 12 }}");
  expect_error("{{ 'a' * 10 ** 18 }}");
  expect_error("{{ 10 ** 10 ** 10 }}");
  expect_error("{{ 2 ** 64 }}");
  expect_error("{{ [1] | tojson(indent=10 ** 10) }}");
  expect_error("{{ 'a' | indent(10 ** 10, true) }}");
  expect_error("{% set x = 'a' * 10 ** 5 %}{{ x.replace('a', x) }}");
  expect_error("{% set x = 'a' * 10 ** 5 %}{{ x.replace('', x) }}");
  expect_error("{% set x = 'a' * 10 ** 7 %}{{ ([x] * 200) | join }}");
  expect_error("{% set x = 'a' * 10 ** 5 %}{{ x | join(x) }}");
  expect_error("{% set x = 'a' * 10 ** 7 %}{{ ('{0}' * 100).format(x) }}");
  expect_error(
      "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
      "{% endfor %}");
  expect_error(
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
      "{% endfor %}");
  expect_error("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}");
  expect_error("{{ '%.99999999f' % 1.5 }}");
  expect_error("{{ 1.5 | round(10 ** 9) }}");
}

// A search in time proportional to the product of both lengths would not end.
TEST(HostileChatTemplate, SearchingTakesLinearTime) {
  const std::string strings = "{% set x = 'a' * 10 ** 7 %}{% set y = 'a' * 10 ** 6 + 'b' %}";
  for (const char* search : {"y in x",
                             "x.find(y)",
                             "x.rfind('b' + y)",
                             "x.split(y)|length",
                             "x.rsplit(y)|length",
                             "x.count(y)",
                             "x.strip(y)|length",
                             "x.replace(y, '')|length",
                             "x.endswith(y)"}) {
    EXPECT_NO_THROW(ChatTemplate(strings + "{{ " + search + " }}").render(conversation(), {}))
        << search;
  }
}

TEST(HostileChatTemplate, NestedValuesAreLimited) {
  const char* wrappers[] = {"[ns.x]", "{'a': ns.x}", "(ns.x,)", "{'k': ns.x}.get", "[[ns.x]][0]"};
  for (const char* wrapper : wrappers) {
    expect_error("{% set ns = namespace(x=1) %}{% for i in range(90000) %}{% set ns.x = " +
                 std::string(wrapper) + " %}{% endfor %}");
  }
  expect_error(
      "{% set ns = namespace(x=1) %}{% for i in range(90000) %}"
      "{% for j in [ns.x] %}{% set ns.x = loop %}{% endfor %}{% endfor %}");
}

TEST(HostileChatTemplate, CyclesAreHarmless) {
  const std::string circle = "{% set ns = namespace() %}{% set ns.x = [ns] %}{% set ns.y = ns %}";
  EXPECT_NO_THROW(ChatTemplate(circle + "{{ ns.y.y.x == ns.x }}").render(conversation(), {}));
  expect_error(circle + "{{ ns }}");
  expect_error(circle + "{{ ns.x | tojson }}");
  expect_error(
      "{% set ns = namespace() %}{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}"
      "{% set ns.m = m %}{% endfor %}{{ ns.m() }}");
}

// --- Damaged templates, from the golden ones ---

std::string read_template(const std::string& name) {
  std::ifstream file(std::string(PRECIS_TEST_GOLDEN_DIR) + "/chat_templates/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string mutate(std::string source, const std::string& other) {
    for (size_t i = 0; i <= below(4); ++i) change(source, other);
    return source;
  }

 private:
  size_t below(size_t limit) { return limit ? random_() % limit : 0; }

  void change(std::string& source, const std::string& other) {
    static const std::vector<std::string> kPieces = {"{%",
                                                     "%}",
                                                     "{{",
                                                     "}}",
                                                     "-%}",
                                                     "{#",
                                                     "#}",
                                                     "|",
                                                     ".",
                                                     "[",
                                                     "]",
                                                     "(",
                                                     ")",
                                                     "'",
                                                     "\"",
                                                     "\\",
                                                     " is ",
                                                     " not ",
                                                     " in ",
                                                     " if ",
                                                     " else ",
                                                     "9999999999999999999",
                                                     "-1",
                                                     "::",
                                                     "**",
                                                     "~",
                                                     "loop.",
                                                     "ns",
                                                     "namespace(",
                                                     "messages",
                                                     "[::-1]",
                                                     "*1000000",
                                                     "|tojson",
                                                     "|list",
                                                     "|map('",
                                                     "\xff",
                                                     "\xe2\x80",
                                                     "{% endif %}",
                                                     "{% set x = messages %}",
                                                     "%",
                                                     "|join",
                                                     "|sort",
                                                     ".items()"};
    const size_t at = below(source.size() + 1);
    const size_t size = std::min(below(20), source.size() - at);
    switch (below(4)) {
      case 0:
        source.erase(at, size);
        break;
      case 1:
        source.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 2:
        source.replace(at, size, other.substr(below(other.size()), below(60)));
        break;
      default:
        source.insert(at, source.substr(below(source.size()), below(40)));
    }
  }

  std::mt19937 random_;
};

TEST(HostileChatTemplate, DamagedTemplatesGiveTextOrAnError) {
  const std::vector<std::string> names = {"brackets.jinja",
                                          "headers.jinja",
                                          "instruct_ids.jinja",
                                          "reasoning.jinja",
                                          "tools_xml.jinja",
                                          "typescript.jinja"};
  ChatTemplateContext context;
  context.options.tools = R"([{"function": {"name": "f", "parameters": {"type": "object"}}}])";
  context.now = std::chrono::sys_seconds();
  Mutator mutator(1);
  size_t num_rendered = 0;
  for (int i = 0; i < 6000; ++i) {
    const std::string& name = names[static_cast<size_t>(i) % names.size()];
    const std::string other = read_template(names[static_cast<size_t>(i / 7) % names.size()]);
    try {
      ChatTemplate(mutator.mutate(read_template(name), other)).render(conversation(), context);
      ++num_rendered;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(num_rendered, 100U);
}

}  // namespace
}  // namespace precis
