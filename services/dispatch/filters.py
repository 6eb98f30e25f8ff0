"""The filters of templates: Jinja's harmless ones, and Russian and English plurals, money, numbers and dates by Babel (CLDR).

{{ n|plural('товар', 'товара', 'товаров') }}   {{ total|money('RUB') }}   {{ event.time|date('d MMMM', 'Europe/Moscow') }}
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime
from babel.numbers import format_currency, format_decimal
from jinja2 import Undefined, pass_context, pass_eval_context
from jinja2 import filters as jinja
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from markupsafe import Markup, escape

from services.contracts.errors import RenderFailed

_PLURAL_FORMS = {"one": 0, "few": 1, "many": 2, "other": -1}


@pass_context
def plural(context: Context, number: Any, *forms: str) -> str:
    """Return the form of a word that goes with a number: `one, few, many` in Russian, `one, other` in English."""
    if not forms:
        raise RenderFailed("plural() needs the word's forms", code="template_value")
    form = _PLURAL_FORMS.get(locale_of(context).plural_form(abs(_number(number))), -1)
    return forms[min(form, len(forms) - 1)] if form >= 0 else forms[-1 if len(forms) < 3 else 1]


@pass_context
def money(context: Context, amount: Any, currency: str = "RUB") -> str:
    """Return an amount with its currency, without kopecks where there are none: `1 234,50 ₽`, `990 ₽`."""
    value = _number(amount)
    digits = not float(value).is_integer()
    text = format_currency(value, str(currency), locale=locale_of(context), currency_digits=digits, format=None if digits else "#,##0 ¤")
    return text if digits or locale_of(context).language == "ru" else format_currency(value, str(currency), locale=locale_of(context))


@pass_context
def number(context: Context, value: Any) -> str:
    """Return a number as the language writes it: `1 234,5`."""
    return format_decimal(_number(value), locale=locale_of(context))


@pass_context
def date(context: Context, value: Any, pattern: str = "long", zone: str = "UTC") -> str:
    """Return a time (ISO 8601 or a datetime) as the language writes it; `pattern` is short, medium, long or CLDR's (`d MMMM`)."""
    moment = _moment(value)
    try:
        return format_datetime(moment, _pattern(pattern), tzinfo=ZoneInfo(zone), locale=locale_of(context))
    except (LookupError, ValueError, AttributeError, OSError) as error:
        raise RenderFailed(f"date(): {error}", code="template_value") from error


def locale_of(context: Context) -> Locale:
    """Return the locale of the message's `language`; English where Babel knows none."""
    return _locale(str(context.get("language", "en")))


def joined(parts: Iterable[Any]) -> str:
    """Concatenate, escaping where one part is markup."""
    values = list(parts)
    if any(isinstance(value, Markup) for value in values):
        return Markup().join(map(escape, values))
    return "".join(map(str, values))


def replace(text: Any, old: str, new: str) -> str:
    """Replace every `old` by `new`; the caller's meter has already counted the result."""
    return str(text).replace(str(old), str(new))


@pass_eval_context
def join(context: EvalContext, values: Any, separator: str = "") -> str:
    """Join texts and numbers."""
    if isinstance(values, str) or not context.autoescape:
        return str(separator).join(_texts(values))
    return escape(separator).join(_texts(values))


def rounded(value: Any, digits: int = 0) -> float | int:
    """Round half to even to at most 10 digits; an int where `digits` is 0."""
    return round(_number(value), min(abs(int(digits)), 10) or None)


def urlencode(text: Any) -> str:
    """Quote a value for a URL."""
    return quote(str(text), safe="")


def metered(function: Callable[..., Any], grow: Callable[[int], None]) -> Callable[..., Any]:
    """Wrap a filter so that its input, and what it may make of it, is spent before it runs."""
    takes_context = getattr(function, "jinja_pass_arg", None) is not None

    def filtered(*args: Any, **kwargs: Any) -> Any:
        values = args[1:] if takes_context else args
        grow(_largest_result(function, values, kwargs))
        return function(*args, **kwargs)

    if takes_context:
        filtered.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]  # Jinja's own mark
    return filtered


def _largest_result(function: Callable[..., Any], values: tuple[Any, ...], options: Mapping[str, Any]) -> int:
    if not values or isinstance(values[0], Undefined):
        return 1
    if isinstance(values[0], (list, tuple, dict)) and function not in _OF_LISTS:
        raise RenderFailed("this filter is for texts and numbers, not for lists", code="template_value")
    if function is replace and len(values) == 3:
        text, old, new = (str(value) for value in values)
        return len(text) + text.count(old) * len(new)
    if function is join:
        return sum(map(len, _texts(values[0]))) + len(values[0]) * sum(len(str(each)) for each in (*values[1:], *options.values()))
    return len(values[0]) if hasattr(values[0], "__len__") else 1


def _texts(values: Any) -> list[str]:
    if any(isinstance(value, (list, tuple, dict)) for value in values):
        raise RenderFailed("join() is for a list of texts and numbers", code="template_value")
    return [value if isinstance(value, str) else str(value) for value in values]


@lru_cache(maxsize=64)
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def _number(value: Any) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return float(value) if isinstance(value, str) else _not_a_number(value)
    except ValueError:
        return _not_a_number(value)


def _not_a_number(value: Any) -> float:
    raise RenderFailed(f"{value!r} is no number", code="template_value")


def _moment(value: Any) -> datetime:
    try:
        return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise RenderFailed(f"{value!r} is no time", code="template_value") from error


def _pattern(pattern: str) -> str:
    if len(pattern) > 64:
        raise RenderFailed("a date pattern of more than 64 characters", code="template_value")
    return pattern


ALLOWED: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "capitalize": jinja.do_capitalize,
    "count": len,
    "d": jinja.do_default,
    "date": date,
    "default": jinja.do_default,
    "e": escape,
    "escape": escape,
    "first": jinja.do_first,
    "float": jinja.do_float,
    "int": jinja.do_int,
    "join": join,
    "last": jinja.do_last,
    "length": len,
    "list": jinja.do_list,
    "lower": jinja.do_lower,
    "money": money,
    "number": number,
    "plural": plural,
    "replace": replace,
    "reverse": jinja.do_reverse,
    "round": rounded,
    "sort": jinja.do_sort,
    "title": jinja.do_title,
    "trim": jinja.do_trim,
    "truncate": jinja.do_truncate,
    "upper": jinja.do_upper,
    "urlencode": urlencode,
}
"""Whatever could multiply its input (center, format, indent, wordwrap, batch, tojson...) or switch escaping off is left out."""

_OF_LISTS = frozenset({len, jinja.do_default, jinja.do_first, join, jinja.do_last, jinja.do_list, jinja.do_reverse, jinja.do_sort})
