"""Jinja2 for templates that marketers write: sandboxed, strict about missing values, and bounded in time and memory.

Loops, calls, operators, literals and filters are rewritten or intercepted so that each spends from the rendering's `Budget`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jinja2 import ChainableUndefined, DictLoader, StrictUndefined, nodes
from jinja2.runtime import BlockReference, Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from services.contracts.errors import RenderFailed
from services.dispatch import filters
from services.dispatch.budget import Budget, check_number, weight_of

_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset({"lower", "upper", "strip", "title", "capitalize", "startswith", "endswith"}),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset(),
    tuple: frozenset(),
    int: frozenset(),
    float: frozenset(),
}
_LONGEST_RANGE = 1_000
_INCLUDES: tuple[type[nodes.Node], ...] = (nodes.Include, nodes.Import, nodes.FromImport)
_LOOP, _CONCAT, _LITERAL = "povod_loop", "povod_concat", "povod_literal"


class Missing(ChainableUndefined, StrictUndefined):
    """A value that the context lacks: false in a condition, replaced by `default`, an error wherever it would be shown."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # strict everywhere but in conditions
        return False


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one template bundle. Rendering is synchronous, so only one budget is in use at a time."""

    intercepted_binops = frozenset({"*", "**", "%", "+", "//", "/", "-"})

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__(
            loader=DictLoader(files),
            undefined=Missing,
            autoescape=lambda name: name is not None and name.endswith(".html"),
            finalize=self._shown,
            optimized=False,  # constants are computed under the budget, not while compiling
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.budget = Budget()
        self._size = sum(map(len, files.values()))
        self.filters = {name: self._metered(each) for name, each in filters.ALLOWED.items()}
        self.filters |= {_LOOP: self._turns, _CONCAT: self._joined, _LITERAL: self._weighed}
        self.globals = {"range": self._range, "namespace": self.globals["namespace"]}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise RenderFailed("recursive loops are not for templates", code="template_too_costly")
            loop.iter = _filter(loop.iter, _LOOP, nodes.Const(self._cost(loop), lineno=loop.lineno))
        _rewrite(tree)
        return tree

    def _cost(self, loop: nodes.For) -> int:
        """Return the characters that one turn may write by itself; whatever is included counts as the whole bundle."""
        if any(loop.find(kind) for kind in _INCLUDES):
            return self._size
        return sum(len(text.data) for text in loop.find_all(nodes.TemplateData))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator under the budget: `+` to numbers or texts, everything else to numbers only."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            self.budget.grow(len(left) + len(right))
        elif operator == "**" or not (_is_number(left) and _is_number(right)):
            _refuse_operands(operator, left, right)
        self.budget.step()
        result = super().call_binop(context, operator, left, right)
        check_number(result)
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - Jinja's own names: templates pass keywords
        """Call under the budget; a macro or block may write the whole bundle's text."""
        __self.budget.step(__self._size if isinstance(__obj, (Macro, BlockReference)) else 0)
        result = super().call(__context, __obj, *args, **kwargs)
        if isinstance(result, str):
            __self.budget.step(len(result))
        return result

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow of data's own methods the few that can't grow anything."""
        for kind, methods in _METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Offer no `str.format`: its widths make texts of any length."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Prefer a key of the data to a method of its type: `order.items` is what the shop sent."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def _shown(self, value: Any) -> Any:
        """Let only plain values into the output, and count them."""
        if isinstance(value, Undefined):
            return value
        self.budget.step(len(_plain(value)) if isinstance(value, str) else len(str(_plain(value))))
        return value

    def _metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return filters.metered(function, self._grow)

    def _grow(self, size: int) -> None:
        self.budget.grow(size)

    def _turns(self, values: Any, cost: int) -> Any:
        if isinstance(values, Undefined):
            return iter(values)  # raises, naming the value
        return _Turns(values, cost, self)

    def _joined(self, parts: list[Any]) -> str:
        texts = [part if isinstance(part, str) else str(_plain(part)) for part in parts]
        self.budget.grow(sum(map(len, texts)))
        return filters.joined(texts)

    def _weighed(self, value: Any) -> Any:
        self.budget.step(weight_of(value))
        return value

    def _range(self, *bounds: int) -> range:
        made = range(*bounds)
        if len(made) > _LONGEST_RANGE:
            raise RenderFailed(f"range() of more than {_LONGEST_RANGE} turns", code="template_too_costly")
        return made


class _Turns:
    """An iterable that spends a step a turn; it has a length, for `loop.length` and `loop.last`."""

    def __init__(self, values: Any, cost: int, sandbox: Sandbox) -> None:
        self._values = values if hasattr(values, "__len__") else list(values)
        self._cost = cost
        self._sandbox = sandbox

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            self._sandbox.budget.step(self._cost)
            yield value


def _rewrite(node: nodes.Node) -> None:
    """Put every `a ~ b` and every list or dict literal below `node` through its meter."""
    for child in list(node.iter_child_nodes()):
        _rewrite(child)
    for field in node.fields:
        value = getattr(node, field, None)
        if isinstance(value, list):
            setattr(node, field, [_metered_node(each) for each in value])
        else:
            setattr(node, field, _metered_node(value))


def _metered_node(node: Any) -> Any:
    if isinstance(node, nodes.Concat):
        return _filter(nodes.List(node.nodes, lineno=node.lineno), _CONCAT)
    if isinstance(node, (nodes.List, nodes.Dict)) or (isinstance(node, nodes.Tuple) and node.ctx == "load"):
        return _filter(node, _LITERAL)
    return node


def _filter(node: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, list(arguments), [], None, None, lineno=node.lineno)


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, Markup)) or value is None:
        return value
    raise RenderFailed(f"a template shows texts and numbers, not a {type(value).__name__}", code="template_value")


def _refuse_operands(operator: str, left: Any, right: Any) -> None:
    for operand in (left, right):
        if isinstance(operand, Undefined):
            str(operand)  # raises, naming the missing value
    raise RenderFailed(f"`{operator}` does not go between {type(left).__name__} and {type(right).__name__}", code="template_operator")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
