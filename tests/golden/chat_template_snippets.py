# SPDX-License-Identifier: Apache-2.0
"""Small templates whose output under jinja2 Precis must reproduce; read by make_chat_template_golden.py."""

VARIABLES = {
    "name": "Ada", "n": 7, "x": 2.5, "yes": True, "no": False, "nothing": None, "empty": "", "blank": " \t\n",
    "text": "  The quick brown fox  ", "lines": "one\ntwo\n\nfour\n", "html": "<a href=\"x\">&'</a>",
    "accents": "Žluťoučký kůň 🐎 日本", "numbers": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"],
    "people": [{"name": "Bo", "age": 30, "tags": ["a"]}, {"name": "al", "age": 25, "city": {"zip": "1"}},
               {"name": "Cy", "age": 30}],
    "table": {"b": 1, "a": [1, {"c": None}], "C": "x\"y\\z\n\t\u0007é"}, "nested": [[1, 2], [3]], "pairs": [["k", 1], ["l", 2]],
    "keyed": {"items": 5, "get": 6, "pop": 7}, "void": [], "nil": {},
}

EXPRESSIONS = """
1 + 2 * 3 - 4
7 // 2, -7 // 2, 7 // -2, 7 % 3, -7 % 3, 7 % -3
7.5 // 2, -7.5 // 2, 7.5 % 2, -7.5 % 2
1 / 2, 4 / 2, 2 ** 10, 2 ** -1, 2 ** 0.5, -2 ** 2, 2 ** 3 ** 2
1 / 0
1 // 0
1 % 0
1.0 / 0
0 ** -1
true + true, true * 3, -true, +false
1e3, 1.5e-7, 1e16, 123456789012345.6, 1e15, 0.0001, 0.00001, 1_000, 1.0, 100.0, 1e100, 5e-324
0.1 + 0.2, 1/3, 2.50, -0.0, 3.0 * 1
1e400, -1e400
'a' 'b' "c"
'a' + 'b', 'ab' * 3, 3 * 'ab', 'ab' * 0, 'ab' * -1
'a' + 1
1 + 'a'
'a' - 'b'
[1] + [2], [1, 2] * 2, (1,) + (2,), 2 * [0]
[1] + (2,)
'a' ~ 1 ~ 2.5 ~ none ~ true ~ [1, 'x'] ~ undefined_name
1 ~ 2 + 3
'%s is %d, %.2f, %r, %i%%' % ('x', 3.7, 2.345, 'q', true)
'%s' % 5, '%s' % [1], '%(a)s' % {'a': 1}
'%s %s' % (1,)
'%s' % (1, 2)
'{} {} {}'.format(1, 'b', none), '{1}{0}'.format('a', 'b'), '{k}!'.format(k=3), '{{}}'.format()
'{}'.format()
'"quoted"', "it's", '\\n\\t\\\\|\\x41\\u00e9\\101\\q', 'tab\\there'
['a', "it's", '"', 'both\\'"', '\\n\\x07\\u200b\\u00e9', none, 1.0, true, {'k': (1,)}, (), (1, 2)]
[], {}, (), [[]], [()]
{'a': 1, 'b': {'c': [1, 2]}}, {1: 'x', 1.0: 'y', true: 'z'}, {none: 1, (1, 2): 2}
{[1]: 2}
{'a': 1}['a'], {'a': 1}.a, {'a': 1}.b, {'a': 1}['b'] is defined
table.b, table['a'], table.a[1].c, table.a.1.c, table.missing
table.missing.deeper
nothing.x
nothing.x.y
undefined_name
undefined_name.x
undefined_name['x']
undefined_name()
undefined_name + 1
undefined_name + 'x'
undefined_name == 1, undefined_name == other_name, undefined_name is defined, not undefined_name
undefined_name < 1
undefined_name in [1], 1 in undefined_name, undefined_name in nil
undefined_name in 'abc'
undefined_name|length, undefined_name|list, undefined_name|upper, undefined_name|join(','), undefined_name|first is defined
undefined_name|tojson
undefined_name|int
undefined_name|items|list
[undefined_name]
-undefined_name
keyed['items'], keyed.items is callable
keyed['get'], keyed.items() | list
keyed.pop is defined, keyed['pop']
numbers.append(4)
numbers.append is defined
table.update({})
name.upper(), name.lower(), name.__class__ is defined
name.__class__.__mro__
name.nope
name.nope()
1.upper()
numbers[0], numbers[-1], numbers[5] is defined, numbers[-4] is defined, numbers['0'] is defined
numbers[true], numbers[false]
numbers[1:], numbers[:-1], numbers[::-1], numbers[::2], numbers[5:], numbers[-2:], numbers[2:0:-1], numbers[:]
numbers[::0]
'abcdef'[1:3], 'abcdef'[::-1], 'abcdef'[-3:], 'abcdef'[4:1], 'abcdef'[::2], 'abcdef'[0], 'abcdef'[-1], 'abc'[9] is defined
accents[0], accents[-1], accents[2:5], accents[::-1], accents|length, accents[10:], accents[-4:-1]
(1, 2, 3)[1:], (1, 2)[0], nested[0][1], nested[1, 0] is defined
table[1:2]
n[0] is defined
1 < 2, 1 < 2 < 3, 1 < 3 < 2, 3 > 2 >= 2, 1 == 1.0, 1 != 2, 'a' < 'b', 'B' < 'a', [1, 2] < [1, 3], (1,) < (1, 2)
1 < 'a'
[1] < (2,)
none < 1
{} < {}
true == 1, false == 0, none == false, '' == false, [1] == [1.0], [1] == (1,), {'a': 1} == {'a': 1.0}, {'a': 1} == {'b': 1}
1 == '1', 'a' != 'a', none == none, [] == {}, range(3) == [0, 1, 2]
1 in [1, 2], 3 not in [1, 2], 'a' in 'cat', 'x' not in 'cat', 'a' in {'a': 1}, '' in 'abc', '' in ''
1 in 'abc'
1 in 5
[1] in {'a': 1}
[1] in [[1]], (1, 2) in [(1, 2)], 1 in (1,), 1 in range(3), 'k' in pairs[0]
1 and 2, 0 and 2, 1 or 2, 0 or 2, 0 or '' or none, not 0, not 'a', not not 1, not 1 == 2
yes and no or n, (yes or no) and n, yes and not no
1 if yes else 2, 1 if no else 2, 1 if no, (1 if no) is defined, 1 if no else 2 if no else 3
(1 if no) + 1
'a' if n > 5 else 'b' if n > 3 else 'c'
x is defined, x is undefined, nothing is none, x is not none, x is number, x is float, n is integer, n is float, yes is integer
yes is boolean, n is boolean, yes is true, yes is false, no is false, n is true, 1 is true
name is string, n is string, table is mapping, numbers is mapping, name is iterable, n is iterable, table is iterable
name is sequence, numbers is sequence, table is sequence, n is sequence, table.items() is sequence, range(2) is sequence
n is odd, n is even, 4 is even, n is divisibleby 7, n is divisibleby(2), 2.0 is even
'a' is odd
n is eq 7, n is ne(7), n is lt 8, n is gt(8), n is ge 7, n is le 6, n is equalto 7, n is greaterthan 6, n is lessthan 6
n is in [7], n is in(numbers), 'A' is in name, n is not in numbers
name is lower, 'abc' is lower, 'ABC' is upper, '12' is upper
none is sameas none, 1 is sameas 1, true is sameas 1, numbers is sameas numbers
range is callable, name.upper is callable, n is callable, undefined_name is callable
name is escaped, name|safe is escaped
'upper' is filter, 'nope' is filter, 'odd' is test, 'nope' is test
x is nope
x is defined is defined
not x is defined, not (x is defined), x is defined and y is undefined
n is eq 7 and yes, n is divisibleby 7 or no
text|trim, text.strip() ~ '|', text.lstrip() ~ '|', text.rstrip() ~ '|', 'xxaxx'.strip('x'), 'xyaxy'|trim('yx')
'\\u00a0 a\\u3000\\u2028'|trim, blank|trim|length, blank.strip() == ''
'abc'.strip(none), ''.strip(), 'aXa'.lstrip('a'), 'aXa'.rstrip('a'), 'ščš'.strip('š')
text.split(), text.split(' '), 'a,b,,c'.split(','), 'a,b,c'.split(',', 1), 'a b  c'.split(none, 1), ''.split(), ''.split(',')
'a,b,c'.rsplit(',', 1), ' a b c '.rsplit(none, 1), 'a b'.split(maxsplit=0), 'aXXbXXc'.split('XX'), 'aaa'.split('aa'), 'aaa'.rsplit('aa')
'a'.split('')
lines.splitlines(), 'a\\r\\nb\\rc'.splitlines(), lines.splitlines(true), ''.splitlines()
'a=b=c'.partition('='), 'a=b=c'.rpartition('='), 'abc'.partition('='), 'abc'.rpartition('=')
'aXbX'.replace('X', '--'), 'aaa'.replace('a', 'b', 2), 'abc'.replace('', '-'), 'abc'.replace('', '-', 2), ''.replace('', 'x'), 'a'.replace('b', 'c')
'aXbX'|replace('X', '-'), 'aaa'|replace('a', 'b', 1), 12321|replace(2, 'x'), html|safe|replace('<', '[')
'abc'.startswith('ab'), 'abc'.endswith('bc'), 'abc'.startswith(('x', 'a')), 'abc'.endswith(()), 'abc'.startswith('')
'abc'.startswith(1)
'abcabc'.find('c'), 'abcabc'.rfind('c'), 'abc'.find('x'), 'abcabc'.count('c'), 'abc'.index('b'), 'äöü'.find('ü'), 'abc'.find(''), 'abc'.count('')
'abc'.index('x')
'abc'.removeprefix('a'), 'abc'.removesuffix('c'), 'abc'.removeprefix('x'), 'a'.removeprefix('a')
','.join(['a', 'b']), ''.join('abc'), '-'.join({'a': 1, 'b': 2})
','.join([1])
'hello world'.title(), "they're bill's".title(), 'hELLO wORLD'.capitalize(), 'ﬁx'.upper()|length > 0, 'straße'.upper(), 'ÄÖ'.lower(), 'привет'.upper(), 'ΑΒ'.lower()
'hello wORLD-foo (bar) [x'|title, "it's"|title, 'hELLO'|capitalize, name|upper, name|lower, 5|upper, none|lower, ''|capitalize
'123'.isdigit(), 'a1'.isdigit(), ''.isdigit(), 'ab'.isalpha(), 'ab1'.isalnum(), ' \\t'.isspace(), 'AB'.isupper(), 'ab'.islower(), 'éa'.isalpha()
table.items(), table.keys(), table.values()
table.items()|length, table.keys()|list, table.values()|list, table|list, table|length, table|first, table|items|list
table.items()[0] is defined
5|items|list
table.get('b'), table.get('zz'), table.get('zz', 5), table.get('b', 5)
table.get()
nil.items()|list, nil|length, nil|first is defined, void|first is defined, void|last is defined
numbers.index(1), numbers.count(3), numbers|first, numbers|last, 'abc'|first, 'abc'|last, ''|first is defined
numbers.index(9)
numbers|length, numbers|count, 'abc'|length, accents|length, (1, 2)|length, range(4)|length, table|length
5|length
none|length
(numbers|map('string'))|length
numbers|sort, numbers|sort(reverse=true), words|sort, words|sort(case_sensitive=true), people|sort(attribute='age,name')|map(attribute='name')|list
people|sort(attribute='age', reverse=true)|map(attribute='name')|join(' ')
[1, 'a']|sort
[{'a': 1}, {'a': 0}]|sort
numbers|reverse|list, 'abc'|reverse, (1, 2)|reverse|list, numbers|sort|reverse|join
words|unique|list, words|unique(true)|list, [1, 1.0, true, 2]|unique|list, people|unique(attribute='age')|map(attribute='name')|list
[[1], [1]]|unique|list
table|dictsort, table|dictsort(true), {'a': 2, 'b': 1}|dictsort(by='value'), {'a': 2, 'b': 1}|dictsort(reverse=true)
table|dictsort(by='x')
5|dictsort
numbers|min, numbers|max, words|min, words|max, void|min is defined, people|max(attribute='age'), [1, 2.5]|max
numbers|sum, people|sum(attribute='age'), numbers|sum(start=10), [[1], [2]]|sum(start=[]), void|sum, [0.1, 0.2]|sum
['a']|sum
numbers|join(', '), numbers|join, people|join(', ', attribute='name'), 'abc'|join('-'), table|join(','), void|join(','), [none, true, 1.0]|join(' ')
5|join
numbers|map('string')|list, words|map('upper')|join(' '), people|map(attribute='name')|list, people|map(attribute='city.zip', default='-')|list
people|map(attribute='city.zip')|list
people|map(attribute='city')|list|length, people|map(attribute='tags.0', default=none)|list
nested|map('first')|list, nested|map('join', '+')|list, nested|map(attribute=0)|list, words|map('replace', 'p', 'P')|list
numbers|map('nope')|list
numbers|map|list
people|selectattr('age', 'equalto', 30)|map(attribute='name')|list, people|selectattr('city')|list|length, people|rejectattr('city')|list|length
people|selectattr('city', 'defined')|map(attribute='name')|list, people|selectattr('age', 'gt', 26)|list|length, people|rejectattr('age', 'in', [25])|list|length
people|selectattr('city.zip', 'defined')|list
numbers|select('odd')|list, numbers|reject('odd')|list, [0, 1, '', 'a', none]|select|list, [0, 1]|reject|list, numbers|select('gt', 1)|list, numbers|select('in', [1])|list
numbers|select('nope')|list
void|select('nope')|list
(numbers|select('odd')) is iterable, (numbers|select('odd')) is sequence, (numbers|map('string')) is string
'yes' if void|select else 'no', 'yes' if numbers|select('gt', 9) else 'no', 'yes' if void|map('string') else 'no'
'abc'|list, table|list, numbers|list, (1, 2)|list, range(3)|list, range(1, 4)|list, range(5, 0, -2)|list, range(0)|list, range(3, 1)|list
namespace(a=1, _b=2).a
range(1, 2, 0)
range(10 ** 9)
range('a')
5|list
5|string ~ 5, none|string, true|string, 1.50|string, [1]|string, name|string
'5'|int, ' 5 '|int, 'x'|int, 'x'|int(9), '4.7'|int, 4.7|int, -4.7|int, true|int, none|int, ''|int, '-3'|int, '+3'|int, [1]|int, '1e2'|int
'5'|float, '4.5'|float, 'x'|float, 'x'|float(1.5), 3|float, ' 2.5 '|float, true|float, none|float, '1e3'|float, '-1'|float
42.55|round, 42.55|round(1), 42.5|round, 43.5|round, 42.55|round(1, 'floor'), 42.51|round(1, 'ceil'), 5|round, -2.5|round, 2.675|round(2)
'a'|round
-5|abs, (-5)|abs, 5.5|abs, (-5.5)|abs, -n|abs
'a'|abs
name|default('d'), missing|default('d'), missing|d('d'), empty|default('d'), empty|default('d', true), nothing|default('d'), nothing|default('d', boolean=true), missing|default
missing.x|default('d')
table|tojson, table|tojson(indent=2), table|tojson(indent=0), table|tojson(sort_keys=false), {'b': 1, 'a': 2}|tojson(sort_keys=true)
[]|tojson(indent=2), {}|tojson(indent=2), [[], {}, [1]]|tojson(indent=1), [1, 'a', none, true, 2.5, 1.0]|tojson, (1, 2)|tojson
'é日🎉\\u007f'|tojson, 'é日🎉\\u007f'|tojson(ensure_ascii=true), '<&\\'"\\\\/>'|tojson, '\\b\\f\\n\\r\\t\\x01'|tojson
{1: 2, none: 3, true: 4, 1.5: 5}|tojson, {'a': 1, 'b': [1, 2]}|tojson(separators=(',', ':')), {'a': 1}|tojson(indent='--'), {'a': 1}|tojson(false, 4)
{(1, 2): 3}|tojson
range(3)|tojson
table.items()|tojson
(numbers|map('string'))|tojson
1e16|tojson, 1e-7|tojson, 1.0|tojson, 123456789|tojson, -0.0|tojson, name|safe|tojson
lines|indent, lines|indent(2), lines|indent(2, true), lines|indent(2, true, true), lines|indent('> ', first=true), ''|indent, 'a'|indent(3, true)
'a\\n\\nb'|indent(blank=true), 5|string|indent
5|indent
html|escape, html|e, html|safe|e, 5|e, html|safe, html|safe ~ '<', '<' ~ html|safe
html|safe + '<', '<' + html|safe, (html|e) + '<b>', ('<'|safe)|upper + '<'
'%s!'|format('a'), '%s-%s'|format(1, 2)
table|attr('b') is defined, name|attr('upper') is defined
dict(a=1, b='c'), dict({'a': 1}, b=2), dict([['a', 1]]), dict(), dict(pairs)
dict(1)
namespace(undefined_name)
dict(undefined_name)
dict([1])
namespace(a=1).a, namespace({'b': 2}, c=3).b, namespace().x is defined
nope(1)
raise_exception('it failed')
strftime_now('%Y-%m-%d %H:%M:%S %B %b %A %a %d %y %j %I %p %% %-d %e')
strftime_now('%Y-%m-%d %H:%M:%S'), strftime_now('%B %b %A %a %d %y %j %I %p %%'), strftime_now('%-d %-m'), strftime_now('%d.%m. ů'), strftime_now('%F %T')
numbers|nope
numbers | sort | first | string
(1 + 2)|string ~ '!', -1|abs, 2 * 3|string, (numbers)[0], ('a', 'b')|join
[1, 2,], (1,), {'a': 1,}, (), (1)
[1 2]
(1
{'a' 1}
{{ 1
1 +
'abc
a b
1 = 2
x.
x..y
x[
x|
|x
*x
$x
!x
x is
x if
not
1.2.3
foo(a=1, 2)
foo(**nil, *void)
dict(**{'a': 1}), dict(*[[['a', 2]]]), range(*[1, 3])|list, '{}-{}'.format(*'ab')
dict(**5)
range(*5)
'a'.upper(1)
'a'.upper(x=1)
'a'|upper(1)
'a'|replace('a')
'a'|replace('a', 'b', count=1), 'abc'|trim(chars='c')
'a'|replace('a', 'b', 1, 2)
name ~ ' ' ~ n ~ ' ' ~ x ~ ' ' ~ yes ~ ' ' ~ nothing
'a' if 1 in [1] else 'b', not 1 in [2], 1 not in [2] and yes
numbers == [3, 1, 2], numbers != [3], [1, [2]] == [1, [2]], 'a' == 'a' == 'a'
[x, n, name][1], {'a': n}['a'], [[1, 2], [3, 4]][1][0], {'f': {'g': 5}}.f.g, [{'h': 6}].0.h
true, True, false, False, none, None
1 == 1 and 2 == 2 or 3 == 4, 1 < 2 and 'a' in 'abc'
{(1, 2): 3}[(1, 2)], {(1, 'a'): 3}[(True, 'a')], {('a', 'b'): 1}.get(('ab',)), {('a:', 1): 1}.get(('a', ':1')), {(): 1}[()], {((1,), 2): 3}.get((1, 2))
{}[[1]] is defined, {1: 2}[{}] is defined, {1: 2}[([1],)] is defined, (1, 2) in {(1, 2): 3}, {'1': 2}[1] is defined
[1] in {}
{}.get([1])
{(1, [2]): 3}
[(1, 'a'), (True, 'a'), (1, 'b')]|unique|list, ['a', ('a',), 'A']|unique|list
['nan'|float] == ['nan'|float]
('añ' * 5000)|length, ('ab' * 2049)[-3:], 'x' * 0, 'x' * -1, ('x' * 4097)|length, ('abc' * 1366)|length
'aaaa'.count('aa'), 'añañ'.count('ñ'), 'abc'.count(''), 'aaa'.split('a', 0), 'aaa'.rsplit('a', 1), 'aba'.replace('a', 'x', 0)
'a\\r\\nb\\x0bc\\rd'|indent, 'x\\n\\ny\\n'|indent(2, blank=true), '\\r\\n'|indent(1, true, true), 'añ\\u2028b'|indent('é')
'ab<|im|>cd'.partition('<|im|>'), 'a<>b<>c'.rpartition('<>'), 'ñañb'.partition('ñ')
strftime_now('%F%%T|%T%%F|%%'), strftime_now('%%%Y'), strftime_now('')
dict(**{'a b': 1}), dict({'a': 1}, **{'b': 2}), dict([('a', 1)], a=2), namespace({'a': 1}, b=2).b
'añ'[1], 'añb'[-1], 'añb'[9] is defined, 'añbñ'[1:3], 'añbñ'[3:1], 'añbñ'[-2:], 'añbñ'[:0]
[[], ['']]|map('join')|list, []|join('x'), ['', '']|join, ''.join(['', ''])
9223372036854775807, -9223372036854775807, 9223372036854775806 + 1
'\\U0001F600', '\\ud83d\\ude00'|length >= 1
"\\"x\\"" ~ '\\'y\\'', 'line\\
continued'
""".strip("\n").replace("\\\ncontinued", "continued").split("\n")

STATEMENTS = [
    "{% if yes %}a{% endif %}", "{% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if no %}a{% else %}b{% endif %}",
    "{% if nothing is none and not no %}x{% endif %}", "{% if (1, 2) %}t{% endif %}", "{% if undefined_name %}a{% else %}b{% endif %}",
    "{% if yes %}{% if no %}1{% else %}2{% endif %}{% endif %}", "{% if yes: %}a{% endif %}",
    "{% for i in numbers %}{{ i }},{% endfor %}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% for i in numbers %}x{% else %}none{% endfor %}",
    "{% for i in numbers %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for i in numbers %}{{ loop.previtem is defined }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.nextitem is defined }};{% endfor %}",
    "{% for k, v in table.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in table %}{{ k }}{% endfor %}", "{% for a, b in pairs %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [[1]] %}{{ a }}{% endfor %}", "{% for a, b in [1] %}{{ a }}{% endfor %}", "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for i in numbers if i > 1 %}{{ i }}{{ loop.index }}{{ loop.last }}{% endfor %}", "{% for i in numbers if i > 9 %}x{% else %}none{% endfor %}",
    "{% for p in people if p.city is defined %}{{ p.name }}{% endfor %}", "{% for c in 'añ🎉' %}[{{ c }}]{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}",
    "{% for i in undefined_name %}x{% else %}none{% endfor %}", "{% for i in range(10) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(5) %}{% if i is odd %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in range(3) %}{% for j in range(3) %}{% if j == i %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}",
    "{% break %}", "{% continue %}", "{% for i in [1] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for i in [1, 2] %}{% for j in [3] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{{ loop is defined }}{% for i in [1] %}{{ loop is defined }}{% endfor %}{{ loop is defined }}",
    "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}", "{% for i in (1, 2) + (3,) %}{{ i }}{% endfor %}", "{% for i in numbers|sort %}{{ i }}{% endfor %}", "{% for i in numbers[::-1] %}{{ i }}{% endfor %}",
    "{% for i in numbers %}{{ i }}{{ ', ' if not loop.last }}{% endfor %}", "{% for i in numbers %}{% set z = i %}{% endfor %}{{ z is defined }}",
    "{% set z = 1 %}{% for i in [1, 2] %}{{ z }}{% set z = 9 %}{{ z }}{% endfor %}{{ z }}", "{% set ns = namespace(z=1) %}{% for i in [1, 2] %}{% set ns.z = ns.z + i %}{% endfor %}{{ ns.z }}",
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = (1, 2, 3) %}", "{% set a = 1, 2 %}{{ a }}", "{% set a = a %}{{ a is defined }}", "{% set n = n + 1 %}{{ n }}",
    "{% if yes %}{% set q = 5 %}{% endif %}{{ q }}", "{% if no %}{% set name = 'x' %}{% endif %}{{ name }}", "{% set true = 1 %}", "{% set a.b = 1 %}", "{% set name.x = 1 %}", "{% set nope.x = 1 %}",
    "{% set ns = namespace() %}{% set ns.x = [1] %}{% set ns.x = ns.x + [2] %}{{ ns.x }}{{ ns.y is defined }}", "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set a %}hello {{ name }}{% endset %}[{{ a }}]", "{% set a | upper | trim %} hi {% endset %}[{{ a }}]", "{% set a %}{% set b = 1 %}{% endset %}{{ b is defined }}{{ a is string }}", "{% set ns = namespace(x='') %}{% set ns.x %}q{% endset %}{{ ns.x }}",
    "{% macro m(a, b=2, c='z') %}({{ a }}{{ b }}{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=5) }}{{ m() }}{{ m(b=1, a=0) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(4) }}", "{% macro m() %} x {% endmacro %}[{{ m()|trim }}]{{ m() is string }}{{ m()|length }}", "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% set z = 1 %}{% macro m() %}{{ z }}{% endmacro %}{% set z = 2 %}{{ m() }}", "{% macro m() %}{{ w }}{% endmacro %}{% set w = 3 %}{{ m() }}",
    "{% macro m() %}{% set z = 5 %}{{ z }}{% endmacro %}{{ m() }}{{ z is defined }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m(a, b=1, c) %}{% endmacro %}", "{% macro m(a %}{% endmacro %}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}", "{% macro f(k) %}{{ f(k) }}{% endmacro %}{{ f(1) }}", "{% macro m(a) %}{{ a is defined }}{{ a }}{% endmacro %}{{ m() }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}", "{% filter upper %}a{{ name }}{% endfilter %}", "{% filter trim|upper %} a {% endfilter %}", "{% filter replace('a', 'b') %}aa{% endfilter %}",
    "{% generation %}a{{ name }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}", "{% for i in numbers %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{# comment #}a{# {{ x }} #}", "a{#- c -#} b", "{# open", "{% raw %}{{ x }}{% if %}{# #}{% endraw %}", "{%- raw -%}  {{ x }}  {%- endraw -%}  y", "{% raw %}\na\n{% endraw %}\nb", "{% raw %}open", "  {% raw %}a\n  {% endraw %}  b", "{% rawx %}",
    "a\n", "a\n\n", "a\r\nb\rc\r\n", "\n", "", " a ", "{{ 'a' }}\n", "{{ 'a' }}\n\n", "{% if yes %}\na\n{% endif %}\nb", "  {% if yes %}\n  a\n  {% endif %}\n  b", "x  {% if yes %}  a{% endif %}", "\t{% if yes %}a{% endif %}\t\n", "  {{ name }}  \n  b",
    "  {%+ if yes %}a{% endif %}", "{% if yes +%}\na{% endif %}", "{% if yes %}\n\na{% endif %}", "a  {%- if yes -%}  b  {%- endif -%}  c", "a \n {{- name -}} \n b", "a {{+ name }}", "  {# c #}\na", "  {#+ c +#}\na", "a\n   {# c #}   \nb", "{%- if yes %}\n  x\n{%- endif %}",
    "{% for i in numbers %}\n  {{ i }}\n{% endfor %}\n", "{% for i in numbers -%}\n  {{ i }}\n{%- endfor %}\n", "{% for i in numbers %}\n  - {{ i }}\n  {% if i == 1 %}\n    one\n  {% endif %}\n{% endfor %}done", "\u00a0\u3000{%- if yes -%}\u2003x{% endif %}", "  {%if yes%}a{%endif%}",
    "{{name}}{{n}}", "{{ name", "{{ name }", "{% if yes %}", "{% if yes %}{% endfor %}", "{% endif %}", "{% else %}", "{% if %}a{% endif %}", "{% for in x %}{% endfor %}", "{% for i of x %}{% endfor %}", "{% unknown %}", "{% %}", "{{ }}", "{%", "{{", "{", "}", "}}", "%}", "#}", "{ {", "{}",
    "{{ '{{' }}", "{{ '%}' }}", "{{ \"}}\" }}", "{% set a = {'x': {'y': 1}} %}{{ a.x.y }}", "{{ {'a': {'b': 1}}}}", "{{ {'a': 1}['a'] }}", "{{ '\u00e9' }}é", "{{ 'a' if yes }}{{ 'b' if no }}",
    "{% if no %}{{ 1|nope }}{% endif %}ok", "{% if yes %}{{ 1|nope }}{% endif %}ok", "{% if no %}{% if 1 is nope %}{% endif %}{% endif %}ok", "{{ 1|nope if no else 2 }}", "{{ 1|nope }}", "{{ (1)|nope2 }}{% if no %}{% endif %}",
    "{% set m = messages|list %}{{ m|length }}", "{{ messages }}{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ bos_token }}{{ eos_token }}", "{% set x = numbers|map('string') %}{{ x|join }}{{ x|join }}", "{% set it = numbers|select %}{% for i in it %}{{ i }}{% endfor %}{% for i in it %}{{ i }}{% else %}spent{% endfor %}",
    "{% for p in people %}{{ p.name }}{% for t in p.tags %}{{ t }}{{ p.age }}{% endfor %}{% endfor %}", "{% if yes %}{% set ns = namespace(a=1) %}{% endif %}{{ ns.a }}",
    "{% set z = [('nan' if yes)|float] %}{{ z == z, z in [z], [z].index(z), {'k': z} == {'k': z} }}", "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(**{'b': 1, 'a': 3}) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, **{'a': 2}) }}",
    "{{ raise_exception('no ' ~ name) }}", "{{ raise_exception() }}", "{% set dummy = raise_exception('x') %}", "{% if no %}{{ raise_exception('x') }}{% endif %}fine", "{{ messages[0] is defined }}{{ messages[0]['role'] if messages else 'none' }}",
    "{% for i in range(0, 100000) %}{% endfor %}done", "{{ range(100001) }}", "{{ 'a' * 20 }}{{ [0] * 3 }}", "{% set a = [] %}{% for i in range(3) %}{% set a = a + [i] %}{% endfor %}{{ a }}", "{% set ns = namespace(a=[]) %}{% for i in range(3) %}{% set ns.a = ns.a + [i] %}{% endfor %}{{ ns.a }}",
    "{{ 'x' }}{{- 'y' }}{{ 'z' -}} {{ 'w' }}", "{{-5}}", "{{ -5 }}{{ +5 }}{{ - 5 }}{{ --5 }}", "{{ 5 -}}\n\n x", "{% set a = 'q' -%}   x", "{%- set a = 1 -%}\n\n{{- a -}}\n\n", "a{{ '' }}\n{% if yes %}\nb{% endif %}\n\nc",
]
