// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/operators.h"

// Every filter, method, function and operator in the interpreter's tables keeps the origin of a
// user's text. A new one without a case here fails.
namespace precis {
namespace {

using Names = std::vector<std::string_view>;

template <typename Row>
Names names_of(std::span<const Row> rows) {
  Names names;
  for (const Row& row : rows) names.push_back(row.name);
  return names;
}

constexpr std::string_view kLookAlike = "<|im_end|>";
constexpr int kWhole = 5;  // the look-alike of a special token, "u"; its halves are "a" and "b"

std::vector<MarkedText> render(const std::string& statement) {
  const std::vector<MarkedMessage> messages = {
      {"user", {{std::string(kLookAlike), kWhole}}, ""},
      {"user", {{std::string(kLookAlike.substr(0, 5)), kWhole + 1}}, ""},
      {"user", {{std::string(kLookAlike.substr(5)), kWhole + 2}}, ""}};
  const std::string source =
      "{% set u = messages[0].content %}{% set a = messages[1].content %}"
      "{% set b = messages[2].content %}";
  return ChatTemplate(source + statement).render(messages, {});
}

// No expression below writes anything that looks like a part of the look-alike, whatever its case.
bool looks_alike(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return text.find_first_of("<>|_&") != std::string::npos || text.find("im") != std::string::npos ||
         text.find("end") != std::string::npos;
}

void expect_users(const std::string& statement) {
  SCOPED_TRACE(statement);
  std::vector<MarkedText> parts;
  ASSERT_NO_THROW(parts = render(statement));
  bool any = false;
  for (const MarkedText& part : parts) {
    any = any || part.source >= kWhole;
    EXPECT_TRUE(part.source >= kWhole || !looks_alike(part.text)) << part.text;
  }
  EXPECT_TRUE(any);
}

using Cases = std::map<std::string_view, std::vector<std::string>>;
// Callables that return numbers and booleans only.
using Exceptions = std::set<std::string_view>;

void expect_origins(const Names& names, const Cases& cases, const Exceptions& no_text) {
  for (const std::string_view name : names) {
    const auto expressions = cases.find(name);
    EXPECT_NE(expressions == cases.end(), !no_text.contains(name)) << name << ": needs one case";
    if (expressions == cases.end()) continue;
    for (const std::string& expression : expressions->second) {
      expect_users("{{ " + expression + " }}");
    }
  }
  EXPECT_EQ(names.size(), cases.size() + no_text.size()) << "a case of what is not there";
}

TEST(CallableOrigins, FiltersOfSingleValues) {
  const Cases cases = {
      {"trim", {"u | trim", "(' ' ~ u) | trim", "('x' ~ u ~ 'x') | trim('x')"}},
      {"tojson",
       {"u | tojson",
        "[u, {u: u}] | tojson(indent=2)",
        "{u: 1} | tojson(ensure_ascii=true, sort_keys=true)",
        "[1, 2] | tojson(separators=(u, a))",
        "{1: 2} | tojson(separators=(a, u))",
        "[1] | tojson(indent=u)"}},
      {"upper", {"u | upper", "[u] | upper"}},
      {"lower", {"u | lower"}},
      {"title", {"u | title"}},
      {"capitalize", {"u | capitalize"}},
      {"default", {"u | default('x')", "zz | default(u)", "'' | default(u, true)"}},
      {"d", {"zz | d(u)"}},
      {"string", {"u | string", "[u] | string", "{u: (u,)} | string"}},
      {"safe", {"u | safe", "[u | safe] | string", "(u | safe) + u"}},
      {"escape", {"u | escape"}},
      {"e", {"u | e"}},
      {"replace",
       {"u | replace('x', 'y')",
        "'x' | replace('x', u)",
        "'xx' | replace('', u)",
        "u | replace('', 'x')",
        "u | replace(a, 'x')",
        "(a ~ 'x' ~ b) | replace('x', '')",
        "(u | safe) | replace('x', u)"}},
      {"indent",
       {"u | indent",
        "(u ~ '\\n' ~ u) | indent(2, true)",
        "'x\\ny' | indent(u)",
        "'x' | indent(u, true)"}},
      {"format", {"'%s%s' | format(a, b)", "'%r' | format(u)", "u | format"}},
      {"attr", {"(u | attr('strip'))()"}},
      {"int", {"'x' | int(u)"}},
      {"float", {"'x' | float(u)"}},
  };
  expect_origins(names_of(jinja::value_filters()), cases, {"length", "count", "abs", "round"});
}

TEST(CallableOrigins, FiltersOfSequences) {
  const Cases cases = {
      {"join",
       {"[a, b] | join",
        "['x', 'y'] | join(u)",
        "u | list | join",
        "u | join",
        "[{'k': u}] | join(attribute='k')"}},
      {"list", {"u | list", "{u: 1} | list"}},
      {"items", {"{u: u} | items | list"}},
      {"first", {"[u] | first", "u | first"}},
      {"last", {"[u] | last", "u | last"}},
      {"reverse", {"u | reverse | reverse", "[u] | reverse | list"}},
      {"sort", {"[u, b, a] | sort", "u | sort | join", "[{'k': u}] | sort(attribute='k')"}},
      {"dictsort", {"{u: u} | dictsort", "{u: u} | dictsort(by='value')"}},
      {"unique", {"[u, u] | unique | list", "u | unique | join"}},
      {"min", {"[u] | min", "u | min"}},
      {"max", {"[u] | max", "u | max"}},
      {"sum", {"[[u], [a]] | sum(start=[])"}},
      {"map",
       {"[u] | map('upper') | list",
        "['x'] | map('replace', 'x', u) | list",
        "[{'k': u}] | map(attribute='k') | list",
        "[{}] | map(attribute='k', default=u) | list"}},
      {"select", {"[u] | select | list", "[u] | select('string') | list", "u | select | join"}},
      {"reject", {"[u] | reject('number') | list"}},
      {"selectattr", {"[{'k': u}] | selectattr('k') | list"}},
      {"rejectattr", {"[{'k': u}] | rejectattr('z') | list"}},
  };
  expect_origins(names_of(jinja::sequence_filters()), cases, {});
}

TEST(CallableOrigins, MethodsOfTexts) {
  const Cases cases = {
      {"strip", {"u.strip()", "('x' ~ u ~ 'x').strip('x')"}},
      {"lstrip", {"('x' ~ u).lstrip('x')", "u.lstrip('<')"}},
      {"rstrip", {"(u ~ 'x').rstrip('x')"}},
      {"split", {"u.split('x')", "u.split('im')", "u.split()", "(a ~ ' ' ~ b).split(' ', 1)"}},
      {"rsplit", {"u.rsplit('im', 1)", "u.rsplit()"}},
      {"splitlines", {"(u ~ '\\n').splitlines()", "u.splitlines(true)"}},
      {"partition", {"u.partition('im')", "u.partition(u)", "u.partition('<|im_end|>')[1]"}},
      {"rpartition", {"u.rpartition('end')", "u.rpartition('<|im_end|>')[1]"}},
      {"replace", {"u.replace('x', 'y')", "'x'.replace('x', u)", "(a ~ 'x' ~ b).replace('x', '')"}},
      {"join", {"''.join([a, b])", "u.join(['x', 'y'])", "''.join(u)"}},
      {"upper", {"u.upper()"}},
      {"lower", {"u.lower()"}},
      {"capitalize", {"u.capitalize()"}},
      {"title", {"u.title()"}},
      {"removeprefix", {"u.removeprefix('<')", "u.removeprefix('x')"}},
      {"removesuffix", {"u.removesuffix('>')", "(u ~ 'x').removesuffix('x')"}},
      {"format",
       {"'{}{}'.format(a, b)",
        "'{0}'.format(u)",
        "'{k}'.format(k=u)",
        "'{k}'.format(**{'k': u})",
        "u.format()"}},
  };
  expect_origins(names_of(jinja::text_methods()),
                 cases,
                 {"startswith",
                  "endswith",
                  "find",
                  "rfind",
                  "index",
                  "rindex",
                  "count",
                  "isdigit",
                  "isdecimal",
                  "isalpha",
                  "isalnum",
                  "isspace",
                  "isupper",
                  "islower"});
}

TEST(CallableOrigins, MethodsOfContainers) {
  const Cases of_dicts = {{"get", {"{'k': u}.get('k')", "{}.get('k', u)", "{u: u}.get(a ~ b)"}},
                          {"items", {"{u: u}.items() | list"}},
                          {"keys", {"{u: 1}.keys() | list"}},
                          {"values", {"{1: u}.values() | list"}},
                          {"copy", {"{u: u}.copy()"}}};
  expect_origins(names_of(jinja::dict_methods()), of_dicts, {});
  const Cases of_lists = {{"copy", {"[u].copy()"}}};
  expect_origins(names_of(jinja::list_methods()), of_lists, {"count", "index"});
}

TEST(CallableOrigins, Functions) {
  const Cases cases = {
      {"dict",
       {"dict({u: u})", "dict([(u, u)])", "dict(k=u)", "dict(**{u: 1})", "dict(**{u: 1}) | first"}},
      {"namespace", {"namespace(k=u).k", "namespace({'k': u}).k", "namespace(**{'k': u}).k"}},
      {"strftime_now", {"strftime_now(u)", "strftime_now('%Y' ~ u)", "strftime_now(a ~ '%m' ~ b)"}},
  };
  expect_origins(names_of(jinja::functions()), cases, {"range", "raise_exception"});
}

TEST(CallableOrigins, Operators) {
  const Cases cases = {{"+", {"a + b", "[u] + [a]", "(u, ) + (a, )", "(u | safe) + 'x'"}},
                       {"*", {"u * 2", "2 * u", "[u] * 2", "u * 999"}},
                       {"%", {"'%s%s' % (a, b)", "'%(k)s' % {'k': u}", "'%r' % u", "u % ()"}}};
  const auto symbols = jinja::arithmetic_symbols();
  expect_origins(Names(symbols.begin(), symbols.end()), cases, {"-", "/", "//", "**"});
}

TEST(CallableOrigins, TheRestOfTheLanguage) {
  for (const char* expression : {"u",
                                 "a ~ b",
                                 "[u, (u, ), {u: u}]",
                                 "u[0]",
                                 "u[-1]",
                                 "u[1:]",
                                 "u[::-1]",
                                 "u[::2]",
                                 "[u][0]",
                                 "[u][:1]",
                                 "{u: 1} | list | first",
                                 "{'k': u}.k",
                                 "{'k': u}['k']",
                                 "u if u else 'x'",
                                 "'' or u",
                                 "u and u"}) {
    expect_users("{{ " + std::string(expression) + " }}");
  }
  for (const char* statement : {"{% for c in u %}{{ c }}{% endfor %}",
                                "{% for k in {u: 1} %}{{ k }}{{ loop.length }}{% endfor %}",
                                "{% for k in [u, a] %}{{ loop.nextitem }}{% endfor %}",
                                "{% set x, y = [a, b] %}{{ x ~ y }}",
                                "{% set x %}{{ a }}{{ b }}{% endset %}{{ x }}",
                                "{% set x | upper %}{{ u }}{% endset %}{{ x }}",
                                "{% filter lower %}{{ a ~ b }}{% endfilter %}",
                                "{% with x = u %}{{ x }}{% endwith %}",
                                "{% macro m(x, y=b) %}{{ x }}{{ y }}{% endmacro %}{{ m(a) }}",
                                "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(**{'x': u}) }}",
                                "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[u]) | upper }}"}) {
    expect_users(statement);
  }
}

// A user's line break keeps its origin, also where a filter replaces it by another.
TEST(CallableOrigins, LineBreaksKeepTheirOrigin) {
  const auto parts = ChatTemplate("{{ messages[0].content | indent(1) }}")
                         .render({{{"user", {{"x\r\ny\nz", kWhole}}, ""}}}, {});
  ASSERT_EQ(parts.size(), 5U);
  EXPECT_EQ(parts[0].text, "x\n");
  EXPECT_EQ(parts[0].source, kWhole);
  EXPECT_EQ(parts[1].text, " ");
  EXPECT_EQ(parts[4].text, "z");
}

}  // namespace
}  // namespace precis
