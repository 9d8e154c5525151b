// SPDX-License-Identifier: Apache-2.0
#include "io/json_lines.h"

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "io/json_text.h"
#include "io/mapped_file.h"

namespace precis {
namespace {

using Visit = std::function<void(const nlohmann::json& object, int64_t line)>;
using Progress = std::function<void(double)>;

// Far above any real text: a small compressed file can expand to a line of any length.
constexpr size_t kLongestLine = kMaxJsonBytes;
constexpr int64_t kLinesBetweenReports = 64;

std::string name_of(const nlohmann::json& value) {
  return concat(value.is_array() ? "an " : "a ", value.type_name());
}

// Takes a file's text in buffers and visits the lines that are complete.
class LineVisitor {
 public:
  LineVisitor(const std::filesystem::path& path, const Visit& visit, const Progress& progress)
      : path_(path), visit_(visit), progress_(progress) {}

  // done(rest): share of the file that is read, without the last `rest` bytes of `text`.
  template <typename Done>
  void add(std::string_view text, const Done& done) {
    for (size_t end = 0; (end = text.find('\n')) != std::string_view::npos;) {
      finish_line(text.substr(0, end));
      text.remove_prefix(end + 1);
      if (progress_ && number_ % kLinesBetweenReports == 0) progress_(done(text.size()));
    }
    check_length(partial_line_.size() + text.size());
    partial_line_ += text;
  }

  void finish() {
    if (!partial_line_.empty()) finish_line({});
    if (progress_) progress_(1.0);
  }

 private:
  void check_length(size_t bytes) const {
    PRECIS_CHECK(bytes <= kLongestLine,
                 kInvalidArgument,
                 path_.string(),
                 ": line ",
                 number_ + 1,
                 " is longer than ",
                 kLongestLine,
                 " bytes");
  }

  void finish_line(std::string_view end) {
    check_length(partial_line_.size() + end.size());
    if (partial_line_.empty()) return visit_line(end);
    partial_line_ += end;
    visit_line(std::exchange(partial_line_, {}));
  }

  void visit_line(std::string_view line) {
    ++number_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    JsonFault fault;
    const nlohmann::json parsed = parse_json(line, JsonNumbers::kFinite, &fault);
    PRECIS_CHECK(parsed.is_object(),
                 kInvalidArgument,
                 path_.string(),
                 ": line ",
                 number_,
                 " is not a JSON object in UTF-8: ",
                 parsed.is_discarded() ? concat("column ", fault.column, ": ", fault.reason)
                                       : concat("it is ", name_of(parsed)));
    visit_(parsed, number_);
  }

  const std::filesystem::path& path_;
  const Visit& visit_;
  const Progress& progress_;
  std::string partial_line_;  // the beginning of an incomplete line
  int64_t number_ = 0;
};

double share(size_t count, size_t whole) {
  return static_cast<double>(count) / static_cast<double>(whole);
}

bool is_zstd(std::string_view bytes) { return bytes.starts_with("\x28\xB5\x2F\xFD"); }

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

void add_decompressed(std::string_view bytes,
                      const std::filesystem::path& path,
                      LineVisitor& lines) {
  const std::unique_ptr<ZSTD_DStream, FreeStream> stream(ZSTD_createDStream());
  PRECIS_CHECK(stream != nullptr, kOutOfMemory, path.string(), ": no memory to decompress it");
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
  while (true) {
    ZSTD_outBuffer output{chunk.data(), chunk.size(), 0};
    const size_t missing = ZSTD_decompressStream(stream.get(), &output, &input);
    PRECIS_CHECK(ZSTD_isError(missing) == 0,
                 kBadWeights,
                 path.string(),
                 ": cannot be decompressed: ",
                 ZSTD_getErrorName(missing));
    lines.add(std::string_view(chunk).substr(0, output.pos),
              [&](size_t) { return share(input.pos, input.size); });
    if (input.pos < input.size) continue;
    if (missing == 0) return;
    PRECIS_CHECK(output.pos == output.size,
                 kBadWeights,
                 path.string(),
                 ": cannot be decompressed: its end is missing");
  }
}

}  // namespace

void read_json_lines(const std::filesystem::path& path,
                     const Visit& visit,
                     const Progress& progress) {
  const MappedFile file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()),
                               file.bytes().size());
  LineVisitor lines(path, visit, progress);
  if (is_zstd(bytes)) {
    add_decompressed(bytes, path, lines);
  } else {
    lines.add(bytes, [&](size_t rest) { return share(bytes.size() - rest, bytes.size()); });
  }
  lines.finish();
}

}  // namespace precis
