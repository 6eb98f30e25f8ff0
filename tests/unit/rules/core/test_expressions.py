"""The expression language: what it means, and how it refuses."""

from datetime import timedelta
from typing import Any

import pytest

from services.rules.core.expressions import ExpressionError, Names, Scope, compile_expression
from services.rules.core.scope import CUSTOMER_FIELDS
from tests.builders import DAY, NOON, make_document

DATA = {
    "total": 600,
    "n": 3,
    "name": "Анна",
    "tags": ["a", "b"],
    "items": [{"sku": "x"}],
    "deep": {"er": {"est": 1}},
    "zero": 0,
    "no": None,
}


def scope_of(**traits: Any) -> Scope:
    """Return a scope with an event, a trigger and a customer who has these traits."""
    scope = Scope(make_document(traits={"revenue": 10.5, **traits}, stage="active", language="ru"), NOON)
    scope.see(DATA, "e-1", "product.added", NOON - DAY, "shop")
    scope.trigger = {"cart": "c-9"}
    return scope


VALUES = [
    ("event.total", 600),
    ("event.total >= 500 and event.n < 5", True),
    ("event.total >= 500 and event.n > 5", False),
    ("event.total >= 700 or event.n == 3", True),
    ("not event.missing", True),
    ("1 < event.n <= 3", True),
    ("1 < event.n < 3", False),
    ("event.deep.er.est", 1),
    ("event.deep.nothing.est", None),
    ("event.total.nothing", None),
    ("event.items[0].sku", "x"),
    ("event.items[7].sku", None),
    ('event["name"]', "Анна"),
    ("event.type", "product.added"),
    ("event.id", "e-1"),
    ("event.source", "shop"),
    ("event.time < customer.last_activity_at", False),
    ("customer.revenue + 1", 11.5),
    ("customer.stage", "active"),
    ("customer.id", "c-1"),
    ("customer.language == 'ru'", True),
    ("customer.addresses.email", "email-address"),
    ("trigger.cart", "c-9"),
    ("event.name in ['Анна', 'Олег']", True),
    ("event.name not in ('Олег',)", True),
    ("'a' in event.tags", True),
    ("'z' in event.tags", False),
    ("'nn' in 'Anna'", True),
    ("'a' if event.n == 3 else 'b'", "a"),
    ("2 + 3 * 4 - 1", 13),
    ("7 % 4", 3),
    ("1 / 4", 0.25),
    ("-event.n", -3),
    ("'a' + 'b'", "ab"),
    ("True and None", None),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_expressions_mean_what_they_say(text: str, value: Any) -> None:
    """Operators, access and precedence are Python's."""
    assert compile_expression(text)(scope_of()) == value


UNFIT = [
    ("event.missing > 5", False),
    ("event.missing <= 5", False),
    ("event.no < 5", False),
    ("event.name > 5", False),
    ("event.missing > 5 or event.n == 3", True),
    ("not event.missing > 5", True),
    ("1 < event.missing < 3", False),
    ("event.missing == None", True),
    ("event.missing != 'x'", True),
    ("event.name != 5", True),
    ("event.total in event.missing", False),
    ("event.total not in event.missing", False),
    ("event.tags in event.deep", False),
    ("event.missing + 1", None),
    ("event.name + 1", None),
    ("event.name * 1000000", None),
    ("'%0999999d' % 5", None),
    ("event.tags * 3", None),
    ("1 / event.zero", None),
    ("1 % event.zero", None),
    ("9000000000000000000 * 9", None),
    ("9000000000000000000 + 9000000000000000000", None),
    ("-event.name", None),
    ("event.missing / 2 > 1", False),
]


@pytest.mark.parametrize(("text", "value"), UNFIT)
def test_unfit_values_never_raise(text: str, value: Any) -> None:
    """Missing and unfit values give False in comparisons and None in arithmetic, as documented."""
    assert compile_expression(text)(scope_of()) is value


FUNCTIONS = [
    ("len(event.tags)", 2),
    ("len(event.name)", 4),
    ("len(event.n)", None),
    ("lower('ABC')", "abc"),
    ("upper(event.name)", "АННА"),
    ("upper(event.n)", None),
    ("abs(-3)", 3),
    ("abs(event.name)", None),
    ("min(3, 1, 2)", 1),
    ("max(event.tags)", "b"),
    ("max(1, event.name)", None),
    ("min(event.missing)", None),
    ("round(2.567, 2)", 2.57),
    ("round(2.5)", 2),
    ("round(event.name)", None),
    ("has(event.total)", True),
    ("has(event.zero)", True),
    ("has(event.no)", False),
    ("has(event.missing)", False),
    ("starts_with(event.name, 'Ан')", True),
    ("ends_with(event.name, 'x')", False),
    ("starts_with(event.n, '3')", False),
    ("days_since(event.time)", 1.0),
    ("hours_since('2024-05-13T10:00:00')", 2.0),
    ("hours_since('2024-05-13T10:00:00+03:00')", 5.0),
    ("days_since('never')", None),
    ("days_since(event.missing) > 3", False),
]


@pytest.mark.parametrize(("text", "value"), FUNCTIONS)
def test_functions_are_total(text: str, value: Any) -> None:
    """Each function gives its value, and None (questions: False) for what it is not made for."""
    assert compile_expression(text)(scope_of()) == value


REFUSED = [
    ("event.a = 5", 9, "use `==`"),
    ("event.a && event.b", 9, "use `and`"),
    ("event.a || event.b", 9, "use `or`"),
    ("!event.a", 1, "use `not`"),
    ("event.on == true", 13, "use `True`"),
    ("event.on == null", 13, "use `None`"),
    ("evnt.total", 1, "did you mean 'event'?"),
    ("lowr(event.a)", 1, "did you mean 'lower'?"),
    ("event.a is None", 1, "use `==` or `!=`"),
    ("len()", 1, None),
    ("len(event.a, event.b)", 1, None),
    ("len(*event.a)", 1, None),
    ("round(event.a, digits=2)", 1, None),
    ("event.a ** 9", 1, None),
    ("event.a // 9", 1, None),
    ("event.a.upper()", 1, None),
    ("event.__class__", 1, None),
    ("event[event.a]", 1, None),
    ("event.a[1:2]", 1, None),
    ("lambda: 1", 1, None),
    ("[x for x in event.a]", 1, None),
    ("{'a': 1}", 1, None),
    ("f'{event.a}'", 1, None),
    ("(yield 1)", 2, None),
    ("b'bytes'", 1, None),
    ("1j", 1, None),
    ("1e400", 1, None),
    ("99999999999999999999", 1, None),
    ("event.a ==", 11, None),
    ("  event.a ==  'Анна' and evnt.b", 26, "did you mean 'event'?"),
    ("", 1, None),
    ("   ", 1, None),
    ("event.a\x00", 1, None),
    ("1 +" * 700 + "1", 2_001, None),
    ("(" * 250 + "1" + ")" * 250, 1, None),
    ("-" * 45 + "1", 42, None),
    ("[" + "1," * 600 + "]", 1_000, None),
]


@pytest.mark.parametrize(("text", "column", "suggestion"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_outside_the_language_is_refused(text: str, column: int, suggestion: str | None) -> None:
    """Everything else is an error that knows its column and, where one is known, the cure."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    if suggestion:
        assert (caught.value.column, caught.value.suggestion) == (column, suggestion)
    assert caught.value.line == 1


def test_names_are_checked_where_they_are_known() -> None:
    """A field that the event's schema does not have is an error at its place, with the nearest name."""
    names = Names(event=frozenset({"total", "cart_id"}))
    with pytest.raises(ExpressionError, match="event has no field 'totl'") as caught:
        compile_expression("event.totl >= 500", names, line=7, column=24)
    assert (caught.value.line, caught.value.column, caught.value.suggestion) == (7, 24, "did you mean 'total'?")


def test_fixed_fields_need_not_be_listed() -> None:
    """`event.type` and `customer.stage` are always known."""
    names = Names(event=frozenset(), customer=frozenset())
    for text in ("event.type", *(f"customer.{name}" for name in CUSTOMER_FIELDS)):
        compile_expression(text, names)
    with pytest.raises(ExpressionError, match="customer has no field 'revenue'"):
        compile_expression("customer.revenue", names)


def test_unknown_event_types_allow_any_name() -> None:
    """Without a schema there is nothing to check against."""
    compile_expression("event.whatever and customer.whatever and trigger.whatever", Names())


def test_expressions_are_equal_by_text() -> None:
    """They sit in frozen values, which compare and hash."""
    assert compile_expression("event.a") == compile_expression("event.a")
    assert hash(compile_expression("event.a")) == hash(compile_expression("event.a"))
    assert compile_expression("event.a") != compile_expression("event.b")
    assert repr(compile_expression("event.a")) == "Expression('event.a')"


def test_an_expression_knows_what_it_asks_for() -> None:
    """`roots` tells whether the trigger is needed."""
    assert compile_expression("event.a == trigger.a").roots == {"event", "trigger"}
    assert compile_expression("1 < 2").roots == frozenset()


def test_line_breaks_are_spaces() -> None:
    """A condition may be written over several lines of YAML."""
    assert compile_expression("event.total >= 500\n  and event.n == 3\n")(scope_of()) is True


def test_attributes_of_the_event_hide_its_data() -> None:
    """`event.type` is the event's type even where its data has such a field; the field is reached as an item."""
    scope = scope_of()
    scope.event = {"type": "own"}
    assert compile_expression("event.type")(scope) == "product.added"
    assert compile_expression("event['type']")(scope) == "own"


def test_now_is_given() -> None:
    """Functions of time count from the scope's `now`, not from a clock."""
    scope = scope_of()
    scope.now = NOON + timedelta(hours=12)
    assert compile_expression("hours_since(event.time)")(scope) == 36.0
