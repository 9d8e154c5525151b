// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/error.h"

// Templates that would run for hours if a loop were not charged.
namespace precis {
namespace {

// CPU time, so that other processes do not count.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kMaxSeconds = 40;
#else
constexpr double kMaxSeconds = 2;
#endif

struct Attack {
  std::string name;
  std::string source;
};

std::string repeat(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

// a.t and b.t are equal and hold 2^40 items, of which each list or dict is stored once.
std::string shared(const std::string& beginning, const std::string& next) {
  std::string source = "{% set a = namespace(t=" + beginning + ") %}";
  source += "{% set b = namespace(t=" + beginning + ") %}{% for i in range(40) %}";
  for (const std::string space : {"a", "b"}) {
    std::string doubled = next;
    for (size_t at = doubled.find('@'); at != std::string::npos; at = doubled.find('@')) {
      doubled.replace(at, 1, space + ".t");
    }
    source += "{% set " + space + ".t = " + doubled + " %}";
  }
  return source + "{% endfor %}";
}

std::vector<Attack> attacks_by_shared_parts() {
  const std::string tuples = shared("(1,)", "(@, @)");
  const std::string lists = shared("[1]", "[@, @]");
  const std::string dicts = shared("{'k': 1}", "{'k': @, 'l': @}");
  return {
      {"KeyOfALiteral", tuples + "{{ {a.t: 1} is defined }}"},
      {"KeyOfASubscript", tuples + "{{ {}[a.t] is defined }}"},
      {"KeyOfGet", tuples + "{{ {}.get(a.t) }}"},
      {"KeyInADict", tuples + "{{ a.t in {} }}"},
      {"KeyOfTheFunctionDict", tuples + "{{ dict([(a.t, 1)]) | length }}"},
      {"Unique", tuples + "{{ [a.t, b.t] | unique | list | length }}"},
      {"Equality", tuples + "{{ a.t == b.t }}"},
      {"EqualityOfLists", lists + "{{ a.t != b.t }}"},
      {"EqualityOfDicts", dicts + "{{ a.t == b.t }}"},
      {"Order", tuples + "{{ a.t < b.t }}"},
      {"Sort", lists + "{{ [a.t, b.t] | sort | length }}"},
      {"Largest", lists + "{{ [a.t, b.t] | max | length }}"},
      {"DictsortByValue", lists + "{{ {1: a.t, 2: b.t} | dictsort(by='value') | length }}"},
      {"InAList", lists + "{{ a.t in [b.t] }}"},
      {"CountInAList", lists + "{{ [a.t].count(b.t) }}"},
      {"TestEqual", dicts + "{{ a.t is eq(b.t) }}"},
      {"SelectEqual", dicts + "{{ [a.t] | select('eq', b.t) | list | length }}"},
      {"Printing", tuples + "{{ a.t }}"},
      {"PrintingDicts", dicts + "{{ a.t | string | length }}"},
      {"Percent", lists + "{{ '%s' % (a.t,) }}"},
      {"Braces", lists + "{{ '{}'.format(a.t) }}"},
      {"Tojson", lists + "{{ a.t | tojson }}"},
      {"TojsonSorted", dicts + "{{ a.t | tojson(sort_keys=true, indent='') }}"},
      {"Join", lists + "{{ [a.t] | join }}"},
      {"Upper", lists + "{{ a.t | upper }}"},
  };
}

std::string for_ever(const std::string& statement) {
  return "{% for i in range(99999) %}{% for j in range(99999) %}" + statement +
         "{% endfor %}{% endfor %}";
}

// `expression` is evaluated in a loop, over texts of 60 MB: k ("aaa...") and n ("111...").
Attack by_long_text(const std::string& name, const std::string& expression) {
  return {name,
          "{% set k = 'a' * 60000000 %}{% set n = '1' * 60000000 %}{% set d = {'a': 1} %}" +
              for_ever("{% set x = " + expression + " %}")};
}

std::vector<Attack> attacks_by_long_texts() {
  std::vector<Attack> attacks = {
      by_long_text("LookUpOfALongKey", "d[k]"),
      by_long_text("GetOfALongKey", "d.get(k)"),
      by_long_text("LongKeyInADict", "k in d"),
      by_long_text("LongKeyInATuple", "(k, 1) in d"),
      by_long_text("LongKeyOfALiteral", "{k: 1}"),
      by_long_text("LongPartInAText", "k in k"),
      by_long_text("LongTextInAList", "(k + '') in [k]"),
      by_long_text("LongInteger", "n | int"),
      by_long_text("LongFloat", "n | float"),
      by_long_text("LongTextAsInteger", "k | int"),
      by_long_text("LongSafe", "k | safe"),
      by_long_text("LongEscape", "k | escape"),
      by_long_text("LongUpper", "k | upper"),
      by_long_text("LongTitle", "k.title()"),
      by_long_text("LongIsalpha", "k.isalpha()"),
      by_long_text("LongSplit", "k.split()"),
      by_long_text("LongSplitlines", "k.splitlines()"),
      by_long_text("LongStrip", "k.strip('a')"),
      by_long_text("LongStripSet", "'b'.strip(k)"),
      by_long_text("LongRfind", "k.rfind('b')"),
      by_long_text("LongCount", "k.count('a')"),
      by_long_text("LongReplace", "k | replace('b', 'c')"),
      by_long_text("LongStartswith", "k.startswith(k)"),
      by_long_text("LongTojson", "k | tojson"),
      by_long_text("LongRepr", "[k] | string"),
      by_long_text("LongIndent", "k | indent"),
      by_long_text("LongReverse", "k | reverse"),
      by_long_text("LongSlice", "k[::-1]"),
      by_long_text("LongOrder", "k < k"),
      by_long_text("LongPattern", "k % ()"),
      by_long_text("LongDate", "strftime_now(k)"),
      by_long_text("LongAttribute", "d | attr(k)"),
      by_long_text("LongPath", "[d] | map(attribute=k) | list"),
  };
  attacks.push_back({"PlaceInALongText",
                     "{% set k = '\u00e9' * 30000000 %}" + for_ever("{% set x = k[29999999] %}")});
  attacks.push_back({"LongNames", for_ever("{% set " + std::string(2'000'000, 'a') + " = 1 %}")});
  attacks.push_back({"LongUnknownName", for_ever("{{ " + std::string(2'000'000, 'a') + " }}")});
  return attacks;
}

// The same over 100,000 empty strings (l, t) and numbers (r); n is a loop over nothing.
Attack by_many_items(const std::string& name, const std::string& expression) {
  return {name,
          "{% set l = [''] * 100000 %}{% set t = ('',) * 100000 %}{% set r = range(100000) %}"
          "{% set n = [] | select %}" +
              for_ever("{% set x = " + expression + " %}")};
}

std::string literal_dict(int size) {
  std::string entries = "{% set d = {";
  for (int i = 0; i < size; ++i) entries += "'key" + std::to_string(i) + "': 1, ";
  return entries + "} %}";
}

std::vector<Attack> attacks_by_many_items() {
  std::string parameters;
  for (int i = 20000; i > 0; --i) parameters += "key" + std::to_string(i - 1) + "=1, ";
  return {
      by_many_items("JoinOfNothing", "l | join"),
      by_many_items("JoinMethodOfNothing", "''.join(l)"),
      by_many_items("SumOfMany", "r | sum"),
      by_many_items("ListOfMany", "l | list"),
      by_many_items("MapOfMany", "l | map('length') | list"),
      by_many_items("MapAttributeOfMany", "l | map(attribute='x') | list"),
      by_many_items("SelectOfMany", "l | select | list"),
      by_many_items("SelectWithManyArguments", "([n] * 100000) | map('select', 'eq', *l) | list"),
      by_many_items("MapWithManyArguments", "([n] * 100000) | map('map', 'string', *l) | list"),
      by_many_items("SortOfMany", "r | sort"),
      by_many_items("SortByManyAttributes", "r | sort(attribute='a,' * 100000)"),
      by_many_items("UniqueOfMany", "r | unique | list"),
      by_many_items("LargestOfMany", "r | max"),
      by_many_items("ReverseOfMany", "l | reverse | list"),
      by_many_items("SliceOfMany", "l[::2]"),
      by_many_items("InMany", "1 in l"),
      by_many_items("CountOfMany", "l.count(1)"),
      by_many_items("AnyAffixOfMany", "'b'.startswith(('a',) * 100000)"),
      by_many_items("DictOfMany", "dict(['ab'] * 100000)"),
      by_many_items("ArgumentsOfMany", "''.format(*l)"),
      by_many_items("EqualityOfMany", "l == l + []"),
      by_many_items("RepeatedMany", "l * 2"),
      by_many_items("UndefinedInAList", "[" + repeat("zz, ", 10000) + "]"),
      {"UnpackingOfMany",
       "{% set l = [0] * 100001 %}" + for_ever("{% set " + repeat("a, ", 100000) + "b = l %}")},
      {"ParametersByName",
       literal_dict(20000) + "{% macro m(" + parameters + ") %}{% endmacro %}" +
           for_ever("{{ m(**d) }}")},
      {"FieldsByName", literal_dict(20000) + for_ever("{{ ('{key19999}' * 100000).format(**d) }}")},
      {"NamespacesOfMany", literal_dict(20000) + for_ever("{% set x = namespace(**d) %}")},
      {"MethodsOfMany", literal_dict(20000) + for_ever("{% set x = d.items() %}")},
      {"DictsortOfMany", literal_dict(20000) + for_ever("{% set x = d | dictsort %}")},
      {"EmptyIndents",
       "{% set ns = namespace(x=[1] * 1000) %}{% for i in range(190) %}{% set ns.x = [ns.x] %}"
       "{% endfor %}" +
           for_ever("{% set x = ns.x | tojson(indent='') %}")},
  };
}

std::vector<Attack> attacks_by_plain_loops() {
  return {
      {"Nothing", for_ever("")},
      {"Names", for_ever("{% if i == j %}{% endif %}")},
      {"UnknownNames", for_ever("{{ zz }}")},
      {"UnknownAttributes", for_ever("{{ i.zz }}")},
      {"Methods", for_ever("{{ ' a '.strip().upper().split('A') | length }}")},
      {"Macros", "{% macro m(a, b=1) %}{{ a }}{% endmacro %}" + for_ever("{{ m(i, b=j) }}")},
      {"Namespaces", "{% set ns = namespace(x=0) %}" + for_ever("{% set ns.x = ns.x + j %}")},
      {"DeepScopes",
       repeat("{% with a = 1 %}", 150) + for_ever("{{ zz }}") + repeat("{% endwith %}", 150)},
      {"Characters", "{% set k = 'a' * 60000000 %}{% for c in k %}{{ c }}{% endfor %}"},
      {"Output", for_ever("{{ 'ab' }}{{ i }}")},
      {"Blocks", for_ever("{% set x %}{{ i }}{% endset %}{% filter upper %}a{% endfilter %}")},
  };
}

// The expression itself has to be valid.
bool exceeds_the_budget(const std::string& source) {
  try {
    ChatTemplate(source).render({}, {});
  } catch (const Error& error) {
    return std::string(error.what()).find("more than ") != std::string::npos;
  }
  return false;
}

void expect_soon_an_error(const std::vector<Attack>& attacks) {
  for (const Attack& attack : attacks) {
    SCOPED_TRACE(attack.name);
    const std::clock_t begin = std::clock();
    EXPECT_TRUE(exceeds_the_budget(attack.source));
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, kMaxSeconds);
  }
}

TEST(ChatTemplateBudget, SharedItemsAreChargedAtEveryVisit) {
  expect_soon_an_error(attacks_by_shared_parts());
}

TEST(ChatTemplateBudget, LongTextsAreCharged) { expect_soon_an_error(attacks_by_long_texts()); }

TEST(ChatTemplateBudget, ManyItemsAreCharged) { expect_soon_an_error(attacks_by_many_items()); }

TEST(ChatTemplateBudget, LoopsAreCharged) { expect_soon_an_error(attacks_by_plain_loops()); }

// Ordinary prompts fit: five megabytes in ten messages, split as templates do.
TEST(ChatTemplateBudget, LongPromptsFit) {
  std::string words;
  while (words.size() < 500'000) words += "some \"words\" of a user\n";
  const std::vector<MarkedMessage> messages(10, MarkedMessage{"user", {{words, 0}}, ""});
  const ChatTemplate chat(
      "{% for m in messages %}{% set c = m.content.split('</think>')[-1].lstrip('\\n') %}"
      "{% if 'tool' in c or c.startswith('<') or m.role == messages[-1].role %}"
      "{{ m.role }}: {{ c | trim }}{{ c | tojson }}{% endif %}{% endfor %}");
  size_t size = 0;
  for (const MarkedText& part : chat.render(messages, {})) size += part.text.size();
  EXPECT_GT(size, 10 * 2 * words.size());
}

}  // namespace
}  // namespace precis
