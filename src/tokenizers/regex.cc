// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/regex.h"

#include <pcre2.h>

#include <array>

#include "base/check.h"
#include "io/in_quotes.h"
#include "tokenizers/regex_syntax.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

// Limit on the steps of one match. The published expressions take a few steps for each character
// that they match. The limit is far above that and stops catastrophic backtracking, as of
// (a+)+[bc].
constexpr uint32_t kMaxSteps = 10'000'000;
constexpr uint32_t kMaxHeapKilobytes = 256 * 1024;

template <auto free_function>
struct Free {
  template <typename T>
  void operator()(T* value) const {
    free_function(value);
  }
};
using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;

template <typename Pointer>
Pointer checked(Pointer made) {
  PRECIS_CHECK(made != nullptr, kOutOfMemory, "regular expression: no memory is left");
  return made;
}

PCRE2_SPTR units_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Code compile(std::string_view pattern,
             std::string_view translated,
             uint32_t options,
             const std::string& origin) {
  const CompileContext context = checked(CompileContext(pcre2_compile_context_create(nullptr)));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE place = 0;
  Code code(pcre2_compile(
      units_of(translated), translated.size(), options | PCRE2_UTF, &error, &place, context.get()));
  PRECIS_CHECK(error != PCRE2_ERROR_HEAP_FAILED, kOutOfMemory, origin, ": ", message_of(error));
  PRECIS_CHECK(code != nullptr,
               kUnsupported,
               origin,
               ": the regular expression ",
               in_quotes(pattern),
               " cannot be compiled: ",
               message_of(error),
               " (byte ",
               place,
               " of its translation ",
               in_quotes(translated),
               ")");
  // If it fails, since some systems do not allow machine code, PCRE2 interprets the expression.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

// Consecutive searches in one text.
class Search {
 public:
  Search(const pcre2_code& code, std::string_view text)
      : code_(code),
        text_(text),
        context_(checked(MatchContext(pcre2_match_context_create(nullptr)))),
        match_(checked(MatchData(pcre2_match_data_create(1, nullptr)))) {
    pcre2_set_match_limit(context_.get(), kMaxSteps);
    pcre2_set_heap_limit(context_.get(), kMaxHeapKilobytes);
  }

  // 1 if there is a match at or after `position`, else one of PCRE2's errors.
  int find(size_t position) {
    int result = match(position, PCRE2_NO_UTF_CHECK);
    // The machine code has a stack of 32 KB; the interpreter allocates memory as needed.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
      result = match(position, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
    }
    return result;
  }

  ByteRange found() const {
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_.get());
    return {range[0], range[1]};
  }

 private:
  int match(size_t position, uint32_t options) {
    return pcre2_match(
        &code_, units_of(text_), text_.size(), position, options, match_.get(), context_.get());
  }

  const pcre2_code& code_;
  std::string_view text_;
  MatchContext context_;
  MatchData match_;
};

}  // namespace

struct Regex::Compiled {
  std::string pattern;
  std::string origin;
  Code code;

  void check(int result) const {
    PRECIS_CHECK(result != PCRE2_ERROR_NOMEMORY, kOutOfMemory, origin, ": ", message_of(result));
    PRECIS_CHECK(result > 0,
                 kUnsupported,
                 origin,
                 ": the regular expression ",
                 in_quotes(pattern),
                 " does not get through this text (PCRE2: ",
                 message_of(result),
                 "); a text in shorter pieces may help, or an expression that tries fewer ways to "
                 "match");
  }
};

Regex::Regex(std::string_view pattern, const std::string& origin)
    : compiled_(std::make_shared<Compiled>(
          Compiled{std::string(pattern),
                   origin,
                   compile(pattern, to_pcre2_syntax(pattern, origin), PCRE2_MULTILINE, origin)})) {}

Regex Regex::literal(std::string_view text, const std::string& origin) {
  return Regex(std::make_shared<Compiled>(
      Compiled{std::string(text), origin, compile(text, text, PCRE2_LITERAL, origin)}));
}

const std::string& Regex::pattern() const { return compiled_->pattern; }

std::vector<ByteRange> Regex::find_all(std::string_view text) const {
  std::vector<ByteRange> matches;
  Search search(*compiled_->code, text);
  for (size_t position = 0; position <= text.size();) {
    const int result = search.find(position);
    if (result == PCRE2_ERROR_NOMATCH) break;
    compiled_->check(result);
    const ByteRange match = search.found();
    const bool is_empty = match.begin == match.end;
    if (is_empty && !matches.empty() && matches.back().end == match.end) {
      position += position < text.size() ? code_point_at(text, position).size : 1;
      continue;
    }
    matches.push_back(match);
    position = match.end;
  }
  return matches;
}

}  // namespace precis
