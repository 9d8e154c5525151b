// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/interpreter.h"

#include <new>
#include <utility>

#include "base/check.h"
#include "chat/jinja/evaluator.h"
#include "chat/jinja/print.h"

namespace precis::jinja {

Text Evaluator::run(const Body& program) {
  // The caller's variables stay below, so that the template can hide but not lose them.
  frame_ = std::make_shared<Frame>(Frame{frame_, {}});
  Text text;
  capture(program, text);
  return text;
}

Flow Evaluator::execute(const Body& body) {
  const Nesting nesting(budget());
  for (const Statement& statement : body) {
    budget().step();
    line_ = statement.line;
    const Flow flow = std::visit([this](const auto& node) { return visit(node); }, statement.node);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Flow Evaluator::capture(const Body& body, Text& text) {
  TextBuilder written(budget());
  TextBuilder* const outer = std::exchange(out_, &written);
  const int line = line_;
  const Flow flow = execute(body);
  line_ = line;
  out_ = outer;
  text = written.take();
  return flow;
}

Flow Evaluator::execute_in_scope(const Body& body) {
  const auto outer = std::exchange(frame_, std::make_shared<Frame>(Frame{frame_, {}}));
  const Flow flow = execute(body);
  frame_ = outer;
  return flow;
}

Flow Evaluator::visit(const Output& output) {
  add_text(*out_, evaluate(output.value));
  return Flow::kNext;
}

Flow Evaluator::visit(const If& statement) {
  for (size_t i = 0; i < statement.conditions.size(); ++i) {
    if (is_true(evaluate(statement.conditions[i]))) return execute(statement.bodies[i]);
  }
  const bool has_else = statement.bodies.size() > statement.conditions.size();
  return has_else ? execute(statement.bodies.back()) : Flow::kNext;
}

// Those that pass the filter of the loop, if it has one.
SequencePtr Evaluator::loop_items(const For& loop) {
  const SequencePtr all = open_sequence(budget(), evaluate(loop.items));
  if (!loop.filter) return all;
  const auto outer = std::exchange(frame_, std::make_shared<Frame>(Frame{frame_, {}}));
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    assign(loop.target, item);
    if (is_true(evaluate(*loop.filter))) kept.push_back(item);
  }
  frame_ = outer;
  return *make_sequence(budget(), SequenceKind::kList, std::move(kept)).as<SequencePtr>();
}

Flow Evaluator::visit(const For& loop) {
  const SequencePtr items = loop_items(loop);
  if (items->items.empty()) return execute_in_scope(loop.otherwise);
  run_loop(loop, items);
  return Flow::kNext;
}

void Evaluator::run_loop(const For& loop, const SequencePtr& items) {
  budget().touch(sizeof(Loop));
  const auto outer = frame_;
  const auto state = std::make_shared<Loop>(Loop{items});
  for (state->index = 0; state->index < items->items.size(); ++state->index) {
    budget().step();
    frame_ = std::make_shared<Frame>(Frame{outer, {}});
    frame_->names.emplace("loop", std::shared_ptr<const Loop>(state));
    assign(loop.target, items->items[state->index]);
    if (execute(loop.body) == Flow::kBreak) break;
  }
  frame_ = outer;
}

void Evaluator::assign(const Target& target, const Value& value) {
  budget().step();
  if (target.is_tuple) return unpack(target, value);
  if (target.attribute.empty()) {
    budget().touch(target.name.size());
    frame_->names.insert_or_assign(target.name, value);
    return;
  }
  const Value object = look_up(target.name);
  const auto* space = object.as<Namespace*>();
  PRECIS_CHECK(space, kInvalidArgument, "'", shown(target.name), "' is no namespace to assign to");
  set_attribute(budget(), **space, Text(target.attribute), value);
}

void Evaluator::unpack(const Target& target, const Value& value) {
  const SequencePtr items = open_sequence(budget(), value);
  PRECIS_CHECK(items->items.size() == target.parts.size(),
               kInvalidArgument,
               "unpacking: ",
               target.parts.size(),
               " values are expected, got ",
               items->items.size());
  for (size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], items->items[i]);
}

Flow Evaluator::visit(const Set& set) {
  assign(set.target, evaluate(set.value));
  return Flow::kNext;
}

Flow Evaluator::visit(const SetBlock& block) {
  const auto outer = std::exchange(frame_, std::make_shared<Frame>(Frame{frame_, {}}));
  Text text;
  const Flow flow = capture(block.body, text);
  frame_ = outer;
  if (flow == Flow::kNext) assign(block.target, follow(text, block.filters));
  return flow;
}

Flow Evaluator::visit(const FilterBlock& block) {
  const auto outer = std::exchange(frame_, std::make_shared<Frame>(Frame{frame_, {}}));
  Text text;
  const Flow flow = capture(block.body, text);
  frame_ = outer;
  if (flow == Flow::kNext) add_text(*out_, follow(text, block.filters));
  return flow;
}

Flow Evaluator::visit(const Scope& scope) {
  std::vector<Value> values;
  for (const Expression& value : scope.values) values.push_back(evaluate(value));
  const auto outer = std::exchange(frame_, std::make_shared<Frame>(Frame{frame_, {}}));
  for (size_t i = 0; i < values.size(); ++i) assign(scope.targets[i], values[i]);
  const Flow flow = execute(scope.body);
  frame_ = outer;
  return flow;
}

Flow Evaluator::visit(const MacroDefinition& macro) {
  budget().touch(sizeof(Macro) + macro.name.size());
  Value value = std::make_shared<const Macro>(Macro{&macro, frame_});
  frame_->names.insert_or_assign(macro.name, std::move(value));
  return Flow::kNext;
}

Text interpret(const Body& program, Environment& environment, Variables variables) {
  Evaluator evaluator(environment, std::move(variables));
  try {
    return evaluator.run(program);
  } catch (const Error& error) {
    fail(error.kind(), "chat template, line ", evaluator.line(), ": ", error.what());
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::kOutOfMemory, "chat template, line ", evaluator.line(), ": out of memory");
  }
}

}  // namespace precis::jinja
