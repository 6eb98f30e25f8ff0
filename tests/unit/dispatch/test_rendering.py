"""Templates: what they may show, in which language, and that none can reach or exhaust the process."""

import tracemalloc
from collections.abc import Mapping
from time import process_time

import pytest

from services.contracts.errors import RenderFailed
from services.contracts.messages import Kind
from services.dispatch.bundle import TemplateBundle
from services.dispatch.rendering import check_template, unsubscribe_headers
from tests.dispatch_builders import make_message

BODY = "email/ru/body.html"


def render(source: str, context: Mapping[str, object] | None = None) -> str:
    """Render one HTML file of a Russian template."""
    files = {BODY: source, "email/_part.html": "x" * 1_000}
    return TemplateBundle(files).render_file(BODY, {"language": "ru", **(context or {})})


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ name }}", "&lt;Анна&gt;"),
        ("{{ order.items|length }} {{ order.items[0].name }}", "1 Чайник"),
        ("{{ missing|default('друг') }} {{ order.missing.deeper|default('x') }}", "друг x"),
        ("{% if order.missing %}a{% else %}b{% endif %}", "b"),
        ("{% for i in [1, 2] %}{{ loop.index }}/{{ loop.length }}{% if not loop.last %}, {% endif %}{% endfor %}", "1/2, 2/2"),
        ("{{ 1|plural('товар', 'товара', 'товаров') }}", "товар"),
        ("{{ 22|plural('товар', 'товара', 'товаров') }}", "товара"),
        ("{{ 111|plural('товар', 'товара', 'товаров') }}", "товаров"),
        ("{{ 1.5|plural('товар', 'товара', 'товаров') }}", "товара"),
        ("{{ 1234.5|money }}", "1\xa0234,50\xa0₽"),
        ("{{ 990|money }}", "990 ₽"),
        ("{{ '2026-03-05T22:07:00+00:00'|date('d MMMM, HH:mm', 'Europe/Moscow') }}", "6 марта, 01:07"),
        ("{{ name ~ 1 }}", "&lt;Анна&gt;1"),
        ("{{ ['<', 2]|join('&') }}", "&lt;&amp;2"),
        ("{{ 'a' + 'b' }}{{ 7 * 6 }}{{ 7 % 4 }}", "ab423"),
    ],
)
def test_what_a_template_shows(source: str, shown: str) -> None:
    """Values are escaped in HTML, missing ones have defaults, Russian words agree with their numbers."""
    assert render(source, {"name": "<Анна>", "order": {"items": [{"name": "Чайник"}]}}) == shown


def render_with_name(source: str) -> str:
    """Render with the context of a customer."""
    return TemplateBundle({"t/ru/a.txt": source}).render_file("t/ru/a.txt", {"language": "en", "name": "<Ann>"})


def test_only_html_is_escaped() -> None:
    """A text part shows values as they are."""
    assert render_with_name("{{ name }}") == "<Ann>"


def test_english_words_have_two_forms() -> None:
    """The message's language decides the plural rules."""
    assert [render_with_name(f"{{{{ {n}|plural('item', 'items') }}}}") for n in (0, 1, 2)] == ["items", "item", "items"]


@pytest.mark.parametrize("source", ["{{ customer.first_name }}", "{{ first_name }}", "{% for x in first_name %}{% endfor %}"])
def test_a_missing_value_is_named(source: str) -> None:
    """A value that is not there fails the message and is named."""
    with pytest.raises(RenderFailed, match="first_name") as failure:
        render(source, {"customer": {}})
    assert failure.value.code == "missing_value"


ATTACKS = [
    "{{ 'a' * 100000000 }}",
    "{{ [1] * 100000000 }}",
    "{{ '%100000000d'|format(1) }}",
    "{{ '%100000000d' % 1 }}",
    "{{ 'a'.ljust(100000000) }}",
    "{{ 'a'.center(100000000) }}",
    "{{ 'a'|center(100000000) }}",
    "{{ '{:>100000000}'.format('a') }}",
    "{{ '{0.__class__}'.format('a') }}",
    "{{ lipsum(100000) }}",
    "{{ 10 ** 100000000 }}",
    "{{ 1.5|round(1000000000, 'floor') }}",
    "{{ range(100000000)|join }}",
    "{{ range(1000000) }}",
    "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% include 'email/_part.html' %}{% endfor %}",
    "{% macro m() %}{% for i in range(999) %}{% include 'email/_part.html' %}{% endfor %}{% endmacro %}{% set x = m() ~ m() %}",
    "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% include 'email/ru/body.html' %}",
    "{% block b %}{{ self.b() }}{% endblock %}",
    "{% for x in [[1]] recursive %}{{ loop(x) }}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(40) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}",
    "{% set ns = namespace(x=['aaaa']) %}{% for i in range(40) %}{% set ns.x = [ns.x|join('aaaa'), ns.x|join('b')] %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == 1 }}",
    "{% set ns = namespace(x={'a': 1}) %}{% for i in range(60) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}",
    "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ {}.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ ''|attr('__class__') }}",
    "{{ 'a'.encode() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{% set x = [1, 2] %}{{ x }}",
    "{{ range }}",
    "{{ 1 / 0 }}",
]


@pytest.mark.parametrize("source", ATTACKS)
def test_an_attack_is_refused_in_bounded_time_and_memory(source: str) -> None:
    """Nothing that a template says takes more than a second of processor time, or 20 MB."""
    tracemalloc.start()
    began = process_time()
    with pytest.raises(RenderFailed):
        render(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert process_time() - began < 2  # tracing makes it several times slower
    assert peak < 20_000_000


def test_a_failure_spends_only_its_own_budget() -> None:
    """After a template has used up its budget the next rendering has a full one."""
    bundle = TemplateBundle({"t/ru/a.txt": "{% for a in range(n) %}{% for b in range(1000) %}{% endfor %}{% endfor %}ok"})
    with pytest.raises(RenderFailed):
        bundle.render_file("t/ru/a.txt", {"n": 1000})
    assert bundle.render_file("t/ru/a.txt", {"n": 2}) == "ok"


@pytest.mark.parametrize(("wanted", "found"), [("ru", "ru"), ("ru-RU", "ru"), ("RU_ru", "ru"), ("de", "en"), ("", "en")])
def test_a_language_falls_back_to_its_base_then_to_english(wanted: str, found: str) -> None:
    """A customer whose language has no files of its own is written to in the nearest one."""
    assert TemplateBundle({"sms/ru/text.txt": "", "sms/en/text.txt": "", "email/de/body.txt": ""}).language_for("sms", wanted) == found


def test_a_channel_with_one_language_uses_it_and_one_without_files_fails() -> None:
    """Any language is better than none; no files at all is an error."""
    bundle = TemplateBundle({"sms/ru/text.txt": ""})
    assert bundle.language_for("sms", "de") == "ru"
    with pytest.raises(RenderFailed, match="no files for email"):
        bundle.language_for("email", "ru")


def test_layouts_are_not_parts() -> None:
    """Files whose names begin with an underscore are only there for others; a subject is one line whatever is in it."""
    files = {
        "email/en/_frame.html": "<b>{% block text %}{% endblock %}</b>",
        "email/en/body.html": "{% extends 'email/en/_frame.html' %}{% block text %}hi{% endblock %}",
        "email/en/subject.txt": "{{ name }}\r\nBcc: all@shop.example\u2028x\x00",
    }
    parts = TemplateBundle(files).render("email", "en", {"language": "en", "name": "a"})
    assert parts == {"body.html": "<b>hi</b>\n", "subject.txt": "a Bcc: all@shop.example x"}


def test_checking_names_file_and_line() -> None:
    """A template that can't be compiled is named with its line; a sound one gives no complaint."""
    files = {"email/ru/body.html": "a\n{% if %}", "sms/ru/text.txt": "{{ x|nosuch }}", "sms/en/text.txt": "{{ x }}"}
    body, text = check_template(files)
    assert body[:2] == ("email/ru/body.html", 2)
    assert text == ("sms/ru/text.txt", 1, "No filter named 'nosuch'.")
    assert check_template({"sms/en/text.txt": "{{ x }}"}) == []


def test_a_service_message_is_no_mailing() -> None:
    """Messages that are no marketing carry no List fields."""
    assert unsubscribe_headers(make_message(kind=Kind.SERVICE), "https://x") == {}
    assert set(unsubscribe_headers(make_message(), "https://x")) == {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"}
