"""Expressions never raise and never hang, whatever they are given."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.rules.core.expressions import ExpressionError, Scope, compile_expression
from tests.builders import NOON, make_document

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "total"]), inner, max_size=3)),
    max_leaves=8,
)
NAMES = ("event.a", "event.b", "event.a.b", "event.a[0]", "event['b']", "customer.a", "customer.stage", "trigger.total", "event.time")
CONSTANTS = ("1", "0", "2.5", "'x'", "True", "None", "[1, 'x']", "9000000000000000000")
OPERATORS = ("and", "or", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "+", "-", "*", "/", "%")
CALLS = ("len", "lower", "upper", "abs", "min", "max", "round", "has", "days_since", "hours_since")
ATOMS = st.sampled_from((*NAMES, *CONSTANTS))


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("not {}".format, inner).map(lambda text: f"({text})"),
        st.builds("(-{})".format, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}({})".format, st.sampled_from(CALLS), inner),
        st.builds("starts_with({}, {})".format, inner, inner),
    )


EXPRESSIONS = st.recursive(ATOMS, _grow, max_leaves=10)


def scope_of(data: dict[str, Any]) -> Scope:
    """Return a scope in which every root has this data."""
    scope = Scope(make_document(traits=data), NOON)
    scope.see(data, "e", "t", NOON, "s")
    scope.trigger = data
    return scope


@given(EXPRESSIONS, st.dictionaries(st.sampled_from(["a", "b", "total"]), VALUES))
@settings(max_examples=250, deadline=None)
def test_a_valid_expression_always_has_a_value(text: str, data: dict[str, Any]) -> None:
    """Whatever the data, there is a value, twice the same, and the data is as before."""
    compiled = compile_expression(text)
    before = repr(data)
    first, second = compiled(scope_of(data)), compiled(scope_of(data))
    assert repr(first) == repr(second)
    assert repr(data) == before


@given(EXPRESSIONS, st.dictionaries(st.sampled_from(["a", "b", "total"]), VALUES))
@settings(max_examples=250, deadline=None)
def test_the_fast_way_means_the_same_as_the_careful_one(text: str, data: dict[str, Any]) -> None:
    """Where Python's own operators give a value, the careful ones give the same."""
    compiled, scope = compile_expression(text), scope_of(data)
    assert repr(compiled(scope)) == repr(compiled._careful(scope))


@given(st.text(max_size=80))
@settings(max_examples=250, deadline=None)
def test_any_text_is_compiled_or_refused(text: str) -> None:
    """Nothing but `ExpressionError` comes out of the compiler."""
    with suppress(ExpressionError):
        compile_expression(text)
