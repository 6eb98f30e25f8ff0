"""Is this text inside the expression language? Says where it is not, and what was meant."""

import ast
import re

from services.rules.core.names import ExpressionError, Names, did_you_mean
from services.rules.core.operations import FUNCTIONS

MAX_LENGTH = 2_000
"""Characters of one expression."""
MAX_NODES = 500
MAX_DEPTH = 40
MAX_NUMBER = 2**63
ROOTS = ("customer", "event", "trigger")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_HABITS = {"true": "True", "false": "False", "null": "None", "none": "None", "nil": "None"}
_SIGNS = (("&&", "and"), ("||", "or"), ("<>", "!="), ("===", "=="), ("!", "not"))
_LONE_EQUALS = re.compile(r"(?<![=!<>])=(?!=)")


class Checker:
    """Checks one expression. `line` and `column` say where its first character stands in its file; `roots` collects those used."""

    def __init__(self, text: str, names: Names, line: int, column: int) -> None:
        self._stripped = text.strip()
        self._names = names
        self._line = line
        self._column = column + len(text) - len(text.lstrip())
        self._nodes = 0
        self.roots: set[str] = set()

    def parse(self) -> ast.expr:
        """Return the checked tree; raises `ExpressionError`."""
        if len(self._stripped) > MAX_LENGTH:
            raise self._error(f"an expression has at most {MAX_LENGTH} characters", MAX_LENGTH)
        if not self._stripped:
            raise self._error("the expression is empty", 0)
        flat = " ".join(self._stripped.splitlines())
        try:
            tree = ast.parse(flat, mode="eval").body
        except SyntaxError as error:
            raise self._syntax_error(error) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._error("the expression can not be read", 0) from error
        self._check(tree, 0)
        return tree

    def _error(self, message: str, offset: int, suggestion: str | None = None) -> ExpressionError:
        return ExpressionError(message, line=self._line, column=self._column + offset, suggestion=suggestion)

    def _at(self, node: ast.expr, message: str, suggestion: str | None = None) -> ExpressionError:
        return self._error(message, len(self._stripped.encode()[: node.col_offset].decode(errors="ignore")), suggestion)

    def _syntax_error(self, error: SyntaxError) -> ExpressionError:
        offset = max((error.offset or 1) - 1, 0)
        if lone := _LONE_EQUALS.search(self._stripped):
            return self._error("`=` does not compare", lone.start(), "use `==`")
        for foreign, ours in _SIGNS:
            if foreign in self._stripped:
                return self._error(f"`{foreign}` is not known here", self._stripped.index(foreign), f"use `{ours}`")
        return self._error(f"the expression can not be read: {error.msg}", offset)

    def _check(self, node: ast.expr, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise self._at(node, f"the expression is too big: at most {MAX_DEPTH} levels and {MAX_NODES} parts")
        for child in self._children(node):
            self._check(child, depth + 1)

    def _children(self, node: ast.expr) -> list[ast.expr]:
        """Check the node itself and return the expressions below it."""
        match node:
            case ast.BoolOp() | ast.IfExp():
                return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                return [operand]
            case ast.BinOp() | ast.Compare():
                return self._operands(node)
            case ast.Constant() | ast.Name() | ast.List() | ast.Tuple():
                return self._leaf(node)
            case ast.Attribute() | ast.Subscript() | ast.Call():
                return self._access(node)
            case _:
                raise self._at(node, "this is not part of the expression language")

    def _operands(self, node: ast.BinOp | ast.Compare) -> list[ast.expr]:
        if isinstance(node, ast.BinOp):
            if not isinstance(node.op, _OPERATORS):
                raise self._at(node, "only + - * / % calculate")
            return [node.left, node.right]
        if not all(isinstance(op, _COMPARISONS) for op in node.ops):
            raise self._at(node, "`is` does not compare", "use `==` or `!=`")
        return [node.left, *node.comparators]

    def _leaf(self, node: ast.Constant | ast.Name | ast.List | ast.Tuple) -> list[ast.expr]:
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return elements
            case ast.Constant(value=value):
                self._constant(node, value)
            case ast.Name(id=name):
                self._root(node, name)
        return []

    def _constant(self, node: ast.expr, value: object) -> None:
        if not (value is None or isinstance(value, (bool, int, float, str))):
            raise self._at(node, "only numbers, texts, True, False and None may stand here")
        if isinstance(value, (int, float)) and not abs(value) <= MAX_NUMBER:
            raise self._at(node, "numbers go up to 2**63")

    def _root(self, node: ast.expr, name: str) -> None:
        if name not in ROOTS:
            suggestion = f"use `{_HABITS[name.lower()]}`" if name.lower() in _HABITS else did_you_mean(name, (*ROOTS, *FUNCTIONS))
            raise self._at(node, f"unknown name {name!r}", suggestion or "names begin with event., customer. or trigger.")
        self.roots.add(name)

    def _access(self, node: ast.Attribute | ast.Subscript | ast.Call) -> list[ast.expr]:
        match node:
            case ast.Attribute(value=value, attr=name):
                self._attribute(node, value, name)
                return [value]
            case ast.Subscript(value=value, slice=ast.Constant(value=str() | int()) as index):
                return [value, index]
            case ast.Call():
                return self._call(node)
            case _:
                raise self._at(node, 'an item is taken by a plain number or name, as in event.items[0] or event["a b"]')

    def _attribute(self, node: ast.expr, value: ast.expr, name: str) -> None:
        if name.startswith("__"):
            raise self._at(node, f"unknown field {name!r}")
        if not isinstance(value, ast.Name) or value.id not in ROOTS:
            return
        known = self._names.below(value.id)
        if known is not None and name not in known:
            raise self._at(node, f"{value.id} has no field {name!r}", did_you_mean(name, known))

    def _call(self, node: ast.Call) -> list[ast.expr]:
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            name = ast.unparse(node.func)
            raise self._at(node, f"unknown function {name!r}", did_you_mean(name, FUNCTIONS) or f"known: {', '.join(sorted(FUNCTIONS))}")
        _, fewest, most = FUNCTIONS[node.func.id]
        if node.keywords or not fewest <= len(node.args) <= most or any(isinstance(a, ast.Starred) for a in node.args):
            expected = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self._at(node, f"{node.func.id} takes {expected} plain argument{'s' if expected != '1' else ''}")
        return node.args
