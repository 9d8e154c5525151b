// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// Translates a regular expression from Oniguruma's syntax ("Ruby"), in which a tokenizer.json is
// written, to that of PCRE2 with PCRE2_UTF and PCRE2_MULTILINE. The two differ in nested character
// classes and "&&", in \h \s \w \b, in {n,m}+ and {n}?, in (?m), in the names of scripts, and in
// the scope of (?i). Not translated: in PCRE2 (?i) never matches one character by several ("st" and
// U+FB06), nor \p{Lu} by a small letter.
//
// `origin` names the file in messages. Throws kBadWeights for a malformed expression and
// kUnsupported for what Precis lacks (named groups, back references, conditions, \G, \K, \R, \X,
// (?x), bytes as \xHH); both name the position. REQUIRES: valid UTF-8.
std::string to_pcre2_syntax(std::string_view pattern, const std::string& origin);

}  // namespace precis
