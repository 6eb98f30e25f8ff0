"""Expressions in YAML: compiled by the core, their mistakes pointed at inside the file.

Names are checked against the schema of the event where there is one. A schema that allows further properties does not know all names:
there a name that is nearly a known one is a warning, any other is taken as the shop's own.
"""

from collections.abc import Callable
from functools import partial

import yaml

from services.rules.core.expressions import ANY_NAMES, Expression, ExpressionError, Names, compile_expression
from services.rules.loader.mistakes import Place
from services.rules.loader.sections import Source, scalar
from services.rules.loader.vocabulary import data_names


def condition_on(event_types: tuple[str, ...]) -> Callable[[Source, yaml.Node], Expression | None]:
    """Return a reader of expressions in which `event` is of one of these types."""
    known = data_names(event_types)
    return partial(_condition, names=ANY_NAMES if known is None else Names(event=known))


def condition_after(event_types: tuple[str, ...]) -> Callable[[Source, yaml.Node], Expression | None]:
    """Return a reader of expressions of steps, in which `trigger` is the data of an event of one of these types."""
    known = data_names(event_types)
    return partial(_condition, names=ANY_NAMES if known is None else Names(trigger=known))


def _condition(source: Source, node: yaml.Node, names: Names) -> Expression | None:
    text = scalar(source, node, "a condition")
    if text is None:
        return None
    start = _start(source, node)
    try:
        return compile_expression(text, names, line=start.line, column=start.column)
    except ExpressionError as error:
        return _without_names(source, text, start, error)


def _without_names(source: Source, text: str, start: Place, strict: ExpressionError) -> Expression | None:
    """Compile again with any names: what fails still is an error, what was only a strange name may be a slip."""
    try:
        expression = compile_expression(text, ANY_NAMES, line=start.line, column=start.column)
    except ExpressionError as error:
        place = Place(source.file, error.line, error.column)
        source.findings.error(place, str(error), error.suggestion or "see the expression language in the guide to rules")
        return None
    if strict.suggestion:
        source.findings.warn(Place(source.file, strict.line, strict.column), str(strict), strict.suggestion)
    return expression


def _start(source: Source, node: yaml.Node) -> Place:
    """Return where the expression's first character stands: behind the quote, or on the line below a block's `|` or `>`."""
    begins = source.place(node)
    style = getattr(node, "style", None)
    if style in ("|", ">"):
        return Place(begins.file, begins.line + 1, 1)
    return Place(begins.file, begins.line, begins.column + (style in ("'", '"')))
