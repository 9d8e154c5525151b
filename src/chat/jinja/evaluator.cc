// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/evaluator.h"

#include <algorithm>
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
  // Put back only on success: after an error, line_ is where it happened.
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
  return make_undefined(budget(), "'" + shown(name) + "' is undefined");
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

// The operand that decides, as in Python.
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
  return make_undefined(budget(),
                        "parameter '" + shown(macro.parameters[parameter]) + "' was not provided");
}

void Evaluator::bind_parameters(const MacroDefinition& macro, const Arguments& arguments) {
  const std::vector<Value>& positional = arguments.positional;
  PRECIS_CHECK(positional.size() <= macro.parameters.size(),
               kInvalidArgument,
               "macro ",
               shown(macro.name),
               ": takes at most ",
               macro.parameters.size(),
               " arguments");
  constexpr size_t kPerName = 16;
  std::vector<const std::pair<Text, Value>*> named;  // that no parameter has taken
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
               shown(macro.name),
               ": unexpected argument ",
               shown(named.front()->first.bytes()));
}

}  // namespace precis::jinja
