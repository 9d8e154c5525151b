// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "chat/jinja/print.h"
#include "io/json_text.h"

namespace precis::jinja {
namespace {

std::string escape_unit(int32_t unit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string escaped = "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) escaped += kDigits[(unit >> shift) & 0xF];
  return escaped;
}

// JSON writes a code point beyond 16 bits as two surrogates.
std::string escape_point(int32_t point) {
  if (point < 0x10000) return escape_unit(point);
  const int32_t beyond = point - 0x10000;
  return escape_unit(0xD800 + (beyond >> 10)) + escape_unit(0xDC00 + (beyond & 0x3FF));
}

class JsonWriter {
 public:
  JsonWriter(Budget& budget, const JsonStyle& style) : out_(budget), style_(style) {}

  void write(const Value& value);
  Text take() { return out_.take(); }

 private:
  void write_text(const Text& text);
  void write_character(int32_t point, std::string_view bytes, int source);
  void write_key(const Value& key);
  void write_number(double number);
  void write_list(const Sequence& list);
  void write_dict(const Dict& dict);
  void begin_item(bool is_first);
  void end_items(bool is_empty);

  TextBuilder out_;
  const JsonStyle& style_;
  size_t level_ = 0;
};

void JsonWriter::write_character(int32_t point, std::string_view bytes, int source) {
  constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
  constexpr std::string_view kLetters = "\"\\nrtfb";
  const size_t escape = kEscaped.find(bytes.front());
  if (escape != std::string_view::npos) {
    out_.add(std::string{'\\', kLetters[escape]}, source);
  } else if (point >= 0 && (point < 0x20 || (style_.ascii_only && point > 0x7E))) {
    out_.add(escape_point(point), source);
  } else {
    out_.add(bytes, source);
  }
}

void JsonWriter::write_text(const Text& text) {
  out_.add("\"");
  for_each_character(
      out_.budget(), text, [this](int32_t point, std::string_view bytes, int source) {
        write_character(point, bytes, source);
      });
  out_.add("\"");
}

void JsonWriter::write_number(double number) {
  if (std::isnan(number)) return out_.add("NaN");
  if (std::isinf(number)) return out_.add(number < 0 ? "-Infinity" : "Infinity");
  out_.add(format_double(number));
}

void JsonWriter::begin_item(bool is_first) {
  if (!is_first) out_.add(style_.item_separator);
  if (!style_.indent) return;
  out_.add("\n");
  for (size_t i = 0; i < level_; ++i) out_.add(*style_.indent);
}

void JsonWriter::end_items(bool is_empty) {
  --level_;
  if (!is_empty && style_.indent) begin_item(true);
}

void JsonWriter::write_list(const Sequence& list) {
  out_.add("[");
  ++level_;
  for (const Value& item : list.items) {
    begin_item(&item == list.items.data());
    write(item);
  }
  end_items(list.items.empty());
  out_.add("]");
}

void JsonWriter::write_key(const Value& key) {
  if (const Text* text = key.as<Text>()) return write_text(*text);
  PRECIS_CHECK(is_number(key) || key.is<None>(),
               kInvalidArgument,
               "tojson: a key of type '",
               type_name(key),
               "'");
  out_.add("\"");
  write(key);
  out_.add("\"");
}

void JsonWriter::write_dict(const Dict& dict) {
  std::vector<const Dict::Entry*> entries;
  out_.budget().touch(dict.entries().size() * sizeof(entries[0]));
  for (const auto& entry : dict.entries()) entries.push_back(&entry);
  if (style_.sorted_keys) {
    std::stable_sort(entries.begin(), entries.end(), [this](const auto* a, const auto* b) {
      return compare(out_.budget(), a->first, b->first) < 0;
    });
  }
  out_.add("{");
  ++level_;
  for (size_t i = 0; i < entries.size(); ++i) {
    begin_item(i == 0);
    write_key(entries[i]->first);
    out_.add(style_.key_separator);
    write(entries[i]->second);
  }
  end_items(entries.empty());
  out_.add("}");
}

void JsonWriter::write(const Value& value) {
  const Nesting nesting(out_.budget());
  out_.budget().step();
  if (const Text* text = value.as<Text>()) return write_text(*text);
  if (value.is<None>()) return out_.add("null");
  if (const bool* truth = value.as<bool>()) return out_.add(*truth ? "true" : "false");
  if (const double* number = value.as<double>()) return write_number(*number);
  if (value.is<int64_t>()) return add_text(out_, value);
  if (const auto* dict = value.object<Dict>()) return write_dict(*dict);
  const auto* list = value.object<Sequence>();
  if (list && (list->kind == SequenceKind::kList || list->kind == SequenceKind::kTuple)) {
    return write_list(*list);
  }
  refuse_operand("tojson", value);
}

// Builds values from nlohmann's events. Unlike nlohmann's own tree, it keeps the order of keys,
// charges the budget and limits the depth.
class JsonReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonReader(Budget& budget, int source) : budget_(budget), source_(source) {}

  Value take() { return std::move(root_); }

  bool null() override { return add(None()); }
  bool boolean(bool truth) override { return add(truth); }
  bool number_integer(number_integer_t number) override { return add(int64_t{number}); }
  bool number_unsigned(number_unsigned_t number) override {
    return number > INT64_MAX ? add(static_cast<double>(number)) : add(int64_t(number));
  }
  bool number_float(number_float_t number, const string_t&) override { return add(number); }
  bool string(string_t& text) override { return add(make_text(text)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool key(string_t& name) override {
    open_.back().key = make_text(name);
    return true;
  }
  bool end_object() override {
    Dict dict = std::move(open_.back().dict);
    open_.pop_back();
    return add(make_dict(budget_, std::move(dict)));
  }
  bool end_array() override {
    std::vector<Value> items = std::move(open_.back().items);
    open_.pop_back();
    return add(make_sequence(budget_, SequenceKind::kList, std::move(items)));
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  struct Open {
    bool is_dict;
    Value key;
    Dict dict;
    std::vector<Value> items;
  };

  Text make_text(std::string_view bytes) {
    TextBuilder text(budget_);
    text.add(bytes, source_);
    return text.take();
  }
  bool open(bool is_dict) {
    constexpr size_t kMaxDepth = 150;
    PRECIS_CHECK(open_.size() < kMaxDepth, kInvalidArgument, "deeper than ", kMaxDepth, " levels");
    open_.push_back({is_dict, {}, {}, {}});
    return true;
  }
  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_dict) {
      open_.back().dict.set(budget_, open_.back().key, std::move(value));
    } else {
      budget_.touch(sizeof(Value));  // at once: a list may never be completed
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  Budget& budget_;
  int source_;
  Value root_;
  std::vector<Open> open_;
};

[[noreturn]] void refuse_json(std::string_view json) {
  JsonFault fault;
  parse_json(json, JsonNumbers::kFinite, &fault);
  fail(ErrorKind::kInvalidArgument, "not JSON: ", to_text(fault));
}

}  // namespace

Text write_json(Budget& budget, const Value& value, const JsonStyle& style) {
  JsonWriter writer(budget, style);
  writer.write(value);
  return writer.take();
}

Value read_json(Budget& budget, std::string_view json, std::string_view what, int source) {
  try {
    budget.touch(json.size());
    JsonReader reader(budget, source);
    // The parser treats a NUL as the end of the text.
    const bool is_json =
        nlohmann::json::sax_parse(json, &reader) && json.find('\0') == std::string_view::npos;
    if (!is_json) refuse_json(json);
    return reader.take();
  } catch (const Error& error) {
    fail(error.kind(), what, ": ", error.what());
  }
}

}  // namespace precis::jinja
