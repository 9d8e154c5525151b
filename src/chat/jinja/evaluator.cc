// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/evaluator.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"

namespace precis::jinja {

Evaluator::Evaluator(Environment& environment, Variables variables)
    : environment_(environment),
      frame_(std::make_shared<Frame>(Frame{nullptr, std::move(variables)})) {}

Value Evaluator::evaluate(const Expression& expression) {
  const Nesting nesting(budget());
  budget().step();
  // Restored on success only: after an error, line_ is the line of the error.
  const int line = std::exchange(line_, expression.line);
  Value value = std::visit([this](const auto& node) { return visit(node); }, expression.node);
  line_ = line;
  return value;
}

Value Evaluator::look_up(std::string_view name) {
  constexpr size_t kPerFrame = 8;
  for (const Frame* frame = frame_.get(); frame; frame = frame->parent.get()) {
    budget().touch(kPerFrame + name.size());
    const auto found = frame->names.find(name);
    if (found != frame->names.end()) return found->second;
  }
  if (const Function* function = find_function(name)) return function;
  return make_undefined(budget(), "'" + shorten(name) + "' is undefined");
}

Value Evaluator::visit(const Name& name) { return look_up(name.name); }

Value Evaluator::visit(const ListLiteral& list) {
  std::vector<Value> items;
  for (const Expression& item : list.items) items.push_back(evaluate(item));
  return make_sequence(budget(), list.kind, std::move(items));
}

Value Evaluator::visit(const DictLiteral& literal) {
  Dict dict;
  for (size_t i = 0; i < literal.keys.size(); ++i) {
    const Value key = evaluate(literal.keys[i]);
    dict.set(budget(), key, evaluate(literal.values[i]));
  }
  return make_dict(budget(), std::move(dict));
}

Value Evaluator::visit(const Unary& unary) {
  const Value operand = evaluate(*unary.operand);
  if (unary.operation == UnaryOperator::kNot) return !is_true(operand);
  if (unary.operation == UnaryOperator::kMinus) return negate(operand);
  return calculate(budget(), Arithmetic::kAdd, 0, operand);
}

Value Evaluator::visit(const Calculation& calculation) {
  Value result = evaluate(calculation.operands.front());
  for (size_t i = 0; i < calculation.operations.size(); ++i) {
    const Value operand = evaluate(calculation.operands[i + 1]);
    result = calculate(budget(), calculation.operations[i], result, operand);
  }
  return result;
}

Value Evaluator::visit(const Concatenation& concatenation) {
  TextBuilder out(budget());
  for (const Expression& operand : concatenation.operands) add_text(out, evaluate(operand));
  return out.take();
}

bool Evaluator::holds(Relation relation, const Value& left, const Value& right) {
  switch (relation) {
    case Relation::kEqual:
      return equals(budget(), left, right);
    case Relation::kNotEqual:
      return !equals(budget(), left, right);
    case Relation::kLess:
      return compare(budget(), left, right) < 0;
    case Relation::kLessEqual:
      return compare(budget(), left, right) <= 0;
    case Relation::kMore:
      return compare(budget(), left, right) > 0;
    case Relation::kMoreEqual:
      return compare(budget(), left, right) >= 0;
    case Relation::kIn:
      return contains(budget(), right, left);
    case Relation::kNotIn:
      return !contains(budget(), right, left);
  }
  return false;
}

// a < b < c means a < b and b < c.
Value Evaluator::visit(const Comparison& comparison) {
  Value left = evaluate(comparison.operands.front());
  for (size_t i = 0; i < comparison.relations.size(); ++i) {
    Value right = evaluate(comparison.operands[i + 1]);
    if (!holds(comparison.relations[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

// "and" and "or" return the operand that decides, as in Python.
Value Evaluator::visit(const Logic& logic) {
  Value value;
  for (const Expression& operand : logic.operands) {
    value = evaluate(operand);
    if (is_true(value) == logic.is_or) break;
  }
  return value;
}

Value Evaluator::visit(const Conditional& conditional) {
  if (is_true(evaluate(*conditional.condition))) return evaluate(*conditional.chosen);
  if (conditional.otherwise) return evaluate(*conditional.otherwise);
  return make_undefined(budget(), "the inline if is false and has no else");
}

Value Evaluator::visit(const Chain& chain) { return follow(evaluate(*chain.base), chain.links); }

Value Evaluator::follow(const Value& start, const std::vector<Link>& links) {
  Value value = start;
  for (const Link& link : links) {
    budget().step();
    line_ = link.line;
    value = std::visit([&](const auto& node) { return follow_link(value, node); }, link.node);
  }
  return value;
}

Value Evaluator::follow_link(const Value& value, const AttributeLink& link) {
  return attribute(budget(), value, link.name);
}

Value Evaluator::follow_link(const Value& value, const SubscriptLink& link) {
  return subscript(budget(), value, evaluate(*link.key));
}

Value Evaluator::follow_link(const Value& value, const SliceLink& link) {
  const auto part = [this](const ExpressionPtr& expression) {
    return expression ? evaluate(*expression) : Value(None());
  };
  const Value start = part(link.start);
  const Value stop = part(link.stop);
  const Value step = part(link.step);
  return slice(budget(), value, &start, &stop, &step);
}

Value Evaluator::follow_link(const Value& value, const CallLink& link) {
  return call(value, evaluate(link.arguments));
}

Value Evaluator::follow_link(const Value& value, const FilterLink& link) {
  PRECIS_CHECK(link.filter, kUnsupported, "the filter '", link.name, "' is not supported");
  return link.filter->apply(environment_, value, evaluate(link.arguments));
}

Value Evaluator::follow_link(const Value& value, const TestLink& link) {
  PRECIS_CHECK(link.test, kUnsupported, "the test '", link.name, "' is not supported");
  return link.test->holds(environment_, value, evaluate(link.arguments)) != link.negated;
}

Arguments Evaluator::evaluate(const CallArguments& call) {
  Arguments arguments;
  for (const Expression& argument : call.positional) {
    arguments.positional.push_back(evaluate(argument));
  }
  for (const auto& [name, argument] : call.named) {
    arguments.named.emplace_back(name, evaluate(*argument));
  }
  if (call.more_positional) {
    const SequencePtr more = iterate(budget(), evaluate(*call.more_positional));
    arguments.positional.insert(arguments.positional.end(), more->items.begin(), more->items.end());
  }
  if (call.more_named) add_more_named(evaluate(*call.more_named), arguments);
  return arguments;
}

void Evaluator::add_more_named(const Value& value, Arguments& arguments) {
  const auto* dict = value.object<Dict>();
  if (!dict) refuse_operand("**", value);
  for (const auto& [key, argument] : dict->entries()) {
    if (!key.is<Text>()) refuse_operand("** with a key", key);
    budget().touch(sizeof(Text) + sizeof(Value));
    arguments.named.emplace_back(*key.as<Text>(), argument);
  }
}

Value Evaluator::call(const Value& callee, const Arguments& arguments) {
  if (const auto* function = callee.as<const Function*>()) {
    return (*function)->call(environment_, arguments);
  }
  if (const auto* method = callee.object<Method>()) {
    return method->transform->apply(environment_, method->self, arguments);
  }
  if (const auto* macro = callee.object<Macro>()) return call_macro(*macro, arguments);
  refuse_operand("call", callee);
}

Value Evaluator::call_macro(const Macro& macro, const Arguments& arguments) {
  const Nesting nesting(budget());
  const std::shared_ptr<Frame> scope = macro.scope.lock();
  PRECIS_CHECK(scope, kUnsupported, "calling a macro outside the scope that defines it");
  const auto caller = std::exchange(frame_, std::make_shared<Frame>(Frame{scope, {}}));
  bind_parameters(*macro.definition, arguments);
  Text text;
  capture(macro.definition->body, text);
  frame_ = caller;
  return text;
}

Value Evaluator::default_of(const MacroDefinition& macro, size_t parameter) {
  const size_t num_without = macro.parameters.size() - macro.defaults.size();
  if (parameter >= num_without) return evaluate(macro.defaults[parameter - num_without]);
  return make_undefined(
      budget(), "parameter '" + shorten(macro.parameters[parameter]) + "' was not provided");
}

void Evaluator::bind_parameters(const MacroDefinition& macro, const Arguments& arguments) {
  const std::vector<Value>& positional = arguments.positional;
  PRECIS_CHECK(positional.size() <= macro.parameters.size(),
               kInvalidArgument,
               "macro ",
               shorten(macro.name),
               ": takes at most ",
               macro.parameters.size(),
               " arguments");
  constexpr size_t kPerName = 16;
  std::vector<const std::pair<Text, Value>*> named;  // not yet bound to a parameter
  for (const auto& argument : arguments.named) named.push_back(&argument);
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const std::string& name = macro.parameters[i];
    budget().touch((1 + named.size()) * (kPerName + name.size()));
    const auto found = std::find_if(named.begin(), named.end(), [&](const auto* argument) {
      return argument->first.bytes() == name;
    });
    Value value;
    if (i < positional.size()) {
      value = positional[i];
    } else if (found != named.end()) {
      value = (*found)->second;
      named.erase(found);
    } else {
      value = default_of(macro, i);
    }
    frame_->names.insert_or_assign(name, std::move(value));
  }
  PRECIS_CHECK(named.empty(),
               kInvalidArgument,
               "macro ",
               shorten(macro.name),
               ": unexpected argument ",
               shorten(named.front()->first.bytes()));
}

Text Evaluator::run(const Body& program) {
  // A frame above that of the caller's variables: the template can hide them, but not overwrite
  // them.
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

// The items that pass the condition of the loop, if it has one.
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
  PRECIS_CHECK(
      space, kInvalidArgument, "'", shorten(target.name), "' is no namespace to assign to");
  set_attribute(budget(), **space, Text(target.attribute), value);
}

void Evaluator::unpack(const Target& target, const Value& value) {
  const SequencePtr items = open_sequence(budget(), value);
  PRECIS_CHECK(items->items.size() == target.elements.size(),
               kInvalidArgument,
               "unpacking: ",
               target.elements.size(),
               " values are expected, got ",
               items->items.size());
  for (size_t i = 0; i < target.elements.size(); ++i) assign(target.elements[i], items->items[i]);
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
