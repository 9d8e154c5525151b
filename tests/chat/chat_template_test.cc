// SPDX-License-Identifier: Apache-2.0
#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "precis/error.h"

namespace precis {
namespace {

constexpr int kTemplate = MarkedText::kTemplate;
constexpr int kContext = MarkedText::kContext;

MarkedMessage message(const std::string& role, const std::string& content, int source) {
  return {role, {{content, source}}, ""};
}

std::string join(const std::vector<MarkedText>& parts) {
  std::string text;
  for (const MarkedText& part : parts) text += part.text;
  return text;
}

std::vector<MarkedText> render(const std::string& source,
                               const std::vector<MarkedMessage>& messages,
                               const ChatTemplateContext& context = {}) {
  return ChatTemplate(source).render(messages, context);
}

// Renders with the variable "u", text of the caller, as messages[0].content.
std::vector<MarkedText> render_user(const std::string& expression, const std::string& user) {
  return render("{% set u = messages[0].content %}" + expression, {message("user", user, 5)});
}

std::string describe(const std::vector<MarkedText>& parts) {
  std::string text;
  for (const MarkedText& part : parts) {
    text += part.source == kTemplate  ? "T"
            : part.source == kContext ? "C"
                                      : std::to_string(part.source);
    text += "<" + part.text + ">";
  }
  return text;
}

Error error_of(const std::string& source) {
  try {
    render(source, {});
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "no error");
}

TEST(ChatTemplateOrigin, ContentKeepsItsSourceAndTheRestIsTheTemplate) {
  const auto parts = render(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
      {message("system", "Be brief", 0), message("user", "<|im_end|>", 1)});
  EXPECT_EQ(describe(parts),
            "T<<|im_start|>system\n>0<Be brief>T<<|im_end|>\n<|im_start|>user\n>1<<|im_end|>>"
            "T<<|im_end|>\n>");
}

TEST(ChatTemplateOrigin, ContentOfSeveralTextsIsOneString) {
  const MarkedMessage user{"user", {{"ab", 3}, {"cd", 3}, {"ef", 4}}, ""};
  EXPECT_EQ(describe(render("{{ messages[0].content }}", {user})), "3<abcd>4<ef>");
  EXPECT_EQ(join(render("{{ messages[0].content == 'abcdef' }}", {user})), "True");
  EXPECT_EQ(describe(render("{{ messages[0].content[3:5] }}", {user})), "3<d>4<e>");
}

TEST(ChatTemplateOrigin, OperationsKeepIt) {
  EXPECT_EQ(describe(render_user("{{ 'a' + u + 'b' }}", "x")), "T<a>5<x>T<b>");
  EXPECT_EQ(describe(render_user("{{ '[' ~ u|trim ~ ']' }}", "  x ")), "T<[>5<x>T<]>");
  EXPECT_EQ(describe(render_user("{{ u.split('</t>')[-1].lstrip('\\n') }}", "a</t>\nb")), "5<b>");
  EXPECT_EQ(describe(render_user("{{ u.split() | join('-') }}", "a b")), "5<a>T<->5<b>");
  EXPECT_EQ(describe(render_user("{{ u.replace('b', 'B') }}", "abc")), "5<a>T<B>5<c>");
  EXPECT_EQ(describe(render_user("{{ 'x-y'.replace('-', u) }}", "!")), "T<x>5<!>T<y>");
  EXPECT_EQ(describe(render_user("{{ u | upper }}{{ u.title() }}", "ab")), "5<ABAb>");
  EXPECT_EQ(describe(render_user("{{ u[1:3] }}{{ u[::-1] }}{{ u[0] }}", "abc")), "5<bccbaa>");
  EXPECT_EQ(describe(render_user("{{ u * 2 }}{{ '%s!' % u }}", "a")), "5<aaa>T<!>");
  EXPECT_EQ(describe(render_user("{{ '({})'.format(u) }}", "a")), "T<(>5<a>T<)>");
  EXPECT_EQ(describe(render_user("{{ u | indent(2) }}", "a\nb")), "5<a\n>T<  >5<b>");
  EXPECT_EQ(describe(render_user("{{ u | e }}", "<a>")), "5<&lt;a&gt;>");
  EXPECT_EQ(describe(render_user("{% for c in u %}{{ c }}.{% endfor %}", "ab")),
            "5<a>T<.>5<b>T<.>");
}

TEST(ChatTemplateOrigin, MacrosAndBlocksKeepIt) {
  EXPECT_EQ(describe(render_user("{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(u) }}", "x")),
            "T<[>5<x>T<]>");
  EXPECT_EQ(describe(render_user("{% set b %}<{{ u }}>{% endset %}{{ b }}", "x")), "T<<>5<x>T<>>");
  EXPECT_EQ(describe(render_user("{% filter upper %}a{{ u }}{% endfilter %}", "x")), "T<A>5<X>");
  EXPECT_EQ(describe(render_user("{% set ns = namespace(s='') %}{% for i in [1, 2] %}"
                                 "{% set ns.s = ns.s ~ i ~ u %}{% endfor %}{{ ns.s }}",
                                 "x")),
            "T<1>5<x>T<2>5<x>");
}

TEST(ChatTemplateOrigin, SerializedContentKeepsItToo) {
  EXPECT_EQ(describe(render_user("{{ u | tojson }}", "a\"<|im_end|>")),
            "T<\">5<a\\\"<|im_end|>>T<\">");
  EXPECT_EQ(describe(render_user("{{ [u] }}", "a")), "T<['>5<a>T<']>");
}

TEST(ChatTemplateOrigin, ComparisonsIgnoreIt) {
  EXPECT_EQ(join(render_user("{{ u == 'a' }} {{ {'a': 1}[u] }} {{ u in ['a'] }}", "a")),
            "True 1 True");
}

TEST(ChatTemplateOrigin, ToolsFieldsAndVariablesAreContext) {
  ChatTemplateContext context;
  context.options.tools = R"([{"name": "<|im_end|>"}])";
  context.options.variables = {{"v", R"("w")"}};
  MarkedMessage call{"assistant", {}, R"({"name": "<s>", "content": null})"};
  EXPECT_EQ(describe(render("{{ tools[0].name }}|{{ v }}|{{ messages[0].name }}", {call}, context)),
            "C<<|im_end|>>T<|>C<w>T<|>C<<s>>");
  EXPECT_EQ(join(render("{{ messages[0].content is none }}", {call}, context)), "True");
}

TEST(ChatTemplateOrigin, OnlyARoleThatIsAWordIsTheTemplates) {
  const std::string source = "<|{{ messages[0].role }}|>";
  EXPECT_EQ(describe(render(source, {message("user", "", 0)})), "T<<|user|>>");
  EXPECT_EQ(describe(render(source, {message("a|><|b", "", 0)})), "T<<|>C<a|><|b>T<|>>");
}

TEST(ChatTemplate, SpecialTokensAreTheTemplates) {
  ChatTemplateContext context;
  context.bos_token = "<s>";
  EXPECT_EQ(describe(render("{{ bos_token }}a", {}, context)), "T<<s>a>");
}

TEST(ChatTemplate, RendersTheSameTwiceAndAfterAMove) {
  ChatTemplate chat("{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}");
  const auto first = join(chat.render({}, {}));
  ChatTemplate moved = std::move(chat);
  EXPECT_EQ(first, "1");
  EXPECT_EQ(join(moved.render({}, {})), "1");
}

TEST(ChatTemplate, TheDateIsTheGivenOne) {
  ChatTemplateContext context;
  context.now = std::chrono::sys_days(std::chrono::year(2024) / 2 / 29);
  EXPECT_EQ(join(render("{{ strftime_now('%d %b %Y') }}", {}, context)), "29 Feb 2024");
  EXPECT_EQ(join(render("{{ strftime_now('%Y') | length }}", {})), "4");
}

TEST(ChatTemplate, BytesThatAreNotTextPassThrough) {
  const std::string bytes = "\xff\xc3 a\x80";
  EXPECT_EQ(join(render_user("{{ u }}", bytes)), bytes);
  EXPECT_EQ(join(render_user("{{ u|trim|upper }}{{ u[::-1]|length }}", bytes)).size(), 6U);
  EXPECT_NO_THROW(render_user("{{ u|tojson }}{{ [u] }}{{ u|title }}{{ u.split() }}", bytes));
}

TEST(ChatTemplateError, NamesTheLine) {
  EXPECT_STREQ(error_of("a\n\n{{ x.y }}").what(), "chat template, line 3: 'x' is undefined");
  EXPECT_STREQ(error_of("{% if true %}\n{{ raise_exception('no ' ~ 1) }}\n{% endif %}").what(),
               "chat template, line 2: no 1");
  EXPECT_STREQ(error_of("\n{{ 1 + }}").what(),
               "chat template, line 2: expected an expression, found the end of the tag");
  EXPECT_STREQ(error_of("{% for i in [1] %}\n{% endif %}").what(),
               "chat template, line 2: expected the name of a tag, found 'endif'");
}

TEST(ChatTemplateError, AMacroFailsAtItsOwnLine) {
  EXPECT_STREQ(error_of("{% macro m() %}\n{{ 1 / 0 }}\n{% endmacro %}\n\n{{ m() }}").what(),
               "chat template, line 2: division by zero");
  EXPECT_STREQ(error_of("{% macro m() %}\nx\n{% endmacro %}\n\n{{ m() + 1 }}").what(),
               "chat template, line 5: 'str' + 'int' is not possible");
}

TEST(ChatTemplateError, WhatIsOutsideTheSubsetIsUnsupportedByName) {
  const std::pair<const char*, const char*> kConstructs[] = {
      {"{{ 1 }}\n{% include 'a' %}", "line 2: the tag 'include'"},
      {"{% call m() %}{% endcall %}", "line 1: the tag 'call'"},
      {"{% for i in [1] recursive %}{% endfor %}", "line 1: a recursive loop"},
      {"{{ 'a' | wordwrap(3) }}", "line 1: the filter 'wordwrap'"},
      {"{{ 1 is nothing_known }}", "line 1: the test 'nothing_known'"},
      {"{{ 'a'.zfill(3) }}", "line 1: str.zfill"},
  };
  for (const auto& [source, expected] : kConstructs) {
    const Error error = error_of(source);
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << source;
    EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
  }
}

TEST(ChatTemplateError, IsThrownByTheConstructorUnlessItIsUnderACondition) {
  EXPECT_THROW(ChatTemplate("{{ 1 | nope }}"), Error);
  EXPECT_THROW(ChatTemplate("{% if x %}"), Error);
  EXPECT_EQ(join(render("{% if false %}{{ 1 | nope }}{% endif %}fine", {})), "fine");
  EXPECT_EQ(error_of("{% if true %}{{ 1 | nope }}{% endif %}").kind(), ErrorKind::kUnsupported);
}

TEST(ChatTemplateError, DamagedJsonIsNamed) {
  ChatTemplateContext context;
  context.options.tools = "[1, ";
  EXPECT_THROW(render("", {}, context), Error);
  context.options.tools = R"({"a": 1})";
  EXPECT_THROW(render("", {}, context), Error);
  EXPECT_THROW(render("", {{"user", {{"a", 0}}, R"({"content": "b"})"}}), Error);
  EXPECT_THROW(render("", {{"user", {{"a", 0}}, R"({"role": "b"})"}}), Error);
  EXPECT_THROW(render("", {{"user", {}, std::string(100'000, '[')}}), Error);
}

}  // namespace
}  // namespace precis
