"""The expression language of rules: small, Python-like, parsed to a checked tree and compiled once to Python code objects.

Syntax: `and or not`, comparisons (chained too), `in` / `not in`, `+ - * / %`, `a if b else c`, lists, attribute and item access on
`event`, `customer` and `trigger`, and the functions of `operations.FUNCTIONS`. No assignment, no other calls, no `**`.

Meaning where Python would raise, so that an expression never does:
- a missing attribute or item is `None`;
- ordering (`<`, `<=`, `>`, `>=`), `in` and `not in` with a value of an unfit type, `None` too, are `False`; `==` and `!=` compare
  anything, so `event.coupon == None` asks whether it is missing;
- arithmetic on unfit values, a division by zero and a number beyond 2**63 give `None`.

Work is bounded by the size of the expression and of the event: no loops, no repetition of texts, no formatting.
"""

import ast
from collections.abc import Callable
from typing import Any

from services.rules.core.checking import Checker
from services.rules.core.names import ANY_NAMES, ExpressionError, Names
from services.rules.core.operations import CLOCKED, FUNCTIONS, OPERATIONS
from services.rules.core.scope import CUSTOMER_FIELDS, EVENT_FIELDS, Scope

__all__ = ["ANY_NAMES", "Expression", "ExpressionError", "Names", "Scope", "compile_expression"]

_Evaluate = Callable[[Scope], Any]
_NAMESPACE = {"__builtins__": {}, **OPERATIONS, **{name: entry[0] for name, entry in FUNCTIONS.items()}}
_LOAD = ast.Load()
_SCOPE = ast.Name("scope", _LOAD)
_UNFIT = (TypeError, ArithmeticError, ValueError, AttributeError, LookupError, RecursionError)


class Expression:
    """A compiled expression; equal to and hashed as its text. Calling it is pure and never raises.

    `roots` are the names it starts from: a subset of `event`, `customer`, `trigger`.
    """

    __slots__ = ("_careful", "_plain", "roots", "text")

    def __init__(self, text: str, plain: _Evaluate, careful: _Evaluate, roots: frozenset[str]) -> None:
        self.text = text
        self.roots = roots
        self._plain = plain
        self._careful = careful

    def __call__(self, scope: Scope) -> Any:
        """Return the value in this scope.

        Python's own operators go first, since they are fast; where they raise, the careful ones evaluate all of it again.
        """
        try:
            return self._plain(scope)
        except _UNFIT:
            return self._careful(scope)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(text: str, names: Names = ANY_NAMES, *, line: int = 1, column: int = 1) -> Expression:
    """Parse, check and compile one expression. `line` and `column` say where its first character stands in its file.

    Raises `ExpressionError` on anything outside the language, on an unknown name and on an expression that is too long or too deep.
    """
    checker = Checker(text, names, line, column)
    tree = checker.parse()
    return Expression(
        text, _compile(_Emitter(careful=False).emit(tree)), _compile(_Emitter(careful=True).emit(tree)), frozenset(checker.roots)
    )


def _compile(body: ast.expr) -> _Evaluate:
    arguments = ast.arguments(posonlyargs=[], args=[ast.arg("scope")], kwonlyargs=[], kw_defaults=[], defaults=[])
    tree = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
    function: _Evaluate = eval(compile(tree, "<expression>", "eval"), dict(_NAMESPACE))  # noqa: S307 - our own tree, no builtins
    return function


def _call(function: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(function, _LOAD), list(arguments), [])


def _field(*path: str) -> ast.expr:
    node: ast.expr = _SCOPE
    for name in path:
        node = ast.Attribute(node, name, _LOAD)
    return node


class _Emitter:
    """Turns the checked tree into the tree that Python compiles: plain operators, or calls of the careful ones."""

    def __init__(self, *, careful: bool) -> None:
        self._careful = careful

    def emit(self, node: ast.expr) -> ast.expr:
        emitted: ast.expr = getattr(self, f"_{type(node).__name__.lower()}")(node)
        return emitted

    def _constant(self, node: ast.Constant) -> ast.expr:
        return ast.Constant(node.value)

    def _list(self, node: ast.List | ast.Tuple) -> ast.expr:
        return ast.Tuple([self.emit(element) for element in node.elts], _LOAD)

    _tuple = _list

    def _boolop(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, [self.emit(value) for value in node.values])

    def _ifexp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.emit(node.test), self.emit(node.body), self.emit(node.orelse))

    def _unaryop(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.emit(node.operand)
        return ast.UnaryOp(node.op, operand) if isinstance(node.op, ast.Not) else _call("USub", operand)

    def _binop(self, node: ast.BinOp) -> ast.expr:
        return _call(type(node.op).__name__, self.emit(node.left), self.emit(node.right))

    def _compare(self, node: ast.Compare) -> ast.expr:
        values = [self.emit(value) for value in (node.left, *node.comparators)]
        if not self._careful:
            return ast.Compare(values[0], node.ops, values[1:])
        pairs = [self._pair(op, left, right) for op, left, right in zip(node.ops, values, values[1:], strict=False)]
        return pairs[0] if len(pairs) == 1 else ast.BoolOp(ast.And(), pairs)

    def _pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr:
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return ast.Compare(left, [op], [right])
        return _call(type(op).__name__, left, right)

    def _name(self, node: ast.Name) -> ast.expr:
        return _field("customer", "traits") if node.id == "customer" else _field(node.id)

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        if not isinstance(node.value, ast.Name):
            return _call("attribute", self.emit(node.value), ast.Constant(node.attr))
        if node.value.id == "event" and node.attr in EVENT_FIELDS:
            return _field(node.attr)
        if node.value.id == "customer" and node.attr in CUSTOMER_FIELDS:
            return _field("customer", "customer" if node.attr == "id" else node.attr)
        return ast.Call(ast.Attribute(self._name(node.value), "get", _LOAD), [ast.Constant(node.attr)], [])

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        return _call("item", self.emit(node.value), self.emit(node.slice))

    def _call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func)
        clock = [_field("now")] if name in CLOCKED else []
        return _call(name, *clock, *(self.emit(argument) for argument in node.args))
