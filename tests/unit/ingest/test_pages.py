"""The pages that customers see: words, policy, colours, themes."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from services.contracts.errors import InvalidSettings
from services.ingest.pages.languages import LANGUAGES, Language, chosen, language_of
from services.ingest.pages.loading import load_pages
from services.ingest.pages.samples import SAMPLES

PAGES = load_pages(None)
STYLE = (Path(__file__).parents[3] / "services/ingest/pages/style.css").read_text(encoding="utf-8")
WANTED_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3."""


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.found.append((tag, dict(attrs)))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        """Return the attributes of elements of these names."""
        return [attributes for tag, attributes in self.found if tag in tags]


def sampled() -> list[tuple[str, Language, Mapping[str, Any]]]:
    """Return every page in every language with its sample values."""
    return [(page, language, values) for page, values in SAMPLES for language in LANGUAGES]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("de,ru;q=0.5", "ru"),
        ("ru;q=0.4, en;q=0.6", "en"),
        ("RU", "ru"),
        ("ru;q=x", "en"),
        ("*", "en"),
        ("," * 10_000, "en"),
    ],
)
def test_language_follows_the_browser(header: str, language: str) -> None:
    """Russian where it is preferred to English, English otherwise, whatever the header holds."""
    assert language_of(header) == language


@pytest.mark.parametrize(("named", "language"), [("ru", "ru"), ("en_GB", "en"), ("RU-ru", "ru"), ("de", "ru"), ("", "ru"), ("<", "ru")])
def test_a_named_language_goes_before_the_browser(named: str, language: str) -> None:
    """What the page's link or the message says counts, where it is a language that we have."""
    assert chosen("ru", "xx", named) == language


def test_pages_say_which_channel() -> None:
    """The page names the channel in the reader's language, and speaks of messages where it does not know it."""
    assert "no longer get e-mails from us" in PAGES.render("unsubscribe", "en", channel="email", is_later=False)
    assert "не будете получать от нас писем" in PAGES.render("unsubscribe", "ru", channel="email", is_later=False)
    assert "no longer get messages from us" in PAGES.render("unsubscribe", "en", channel="<script>", is_later=False)


def test_what_is_put_into_a_page_is_escaped() -> None:
    """Nothing that a customer or a setting says becomes markup."""
    page = PAGES.render("survey", "en", question={"en": "<b>?"}, scale=True, score=None, comment="</textarea><script>", is_empty=False)
    assert "&lt;/textarea&gt;&lt;script&gt;" in page
    assert "&lt;b&gt;?" in page
    assert "<script" not in page


@pytest.mark.parametrize(("page", "language", "values"), sampled())
def test_pages_load_nothing(page: str, language: Language, values: Mapping[str, Any]) -> None:
    """No page has a script, a style sheet from elsewhere, a picture or an address in it; it says which language it is in."""
    html = PAGES.render(page, language, **values)
    assert not {tag for tag, _ in Elements(html).found} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "http" not in html
    assert f'<html lang="{language}">' in html
    assert not re.search(r"\son\w+=|style=", html)


@pytest.mark.parametrize(("page", "language", "values"), sampled())
def test_pages_can_be_used_by_everybody(page: str, language: Language, values: Mapping[str, Any]) -> None:
    """One title and one first heading, a label for every field, a legend or a name for every group, a form that posts without a script."""
    html = PAGES.render(page, language, **values)
    elements = Elements(html)
    assert len(elements.of("h1")) == len(elements.of("title")) == len(elements.of("main")) == 1
    assert all(form["method"] == "post" for form in elements.of("form"))
    shown = [field for field in elements.of("input") if field["type"] != "hidden"]
    labelled = html.count("<label") - len([label for label in elements.of("label") if "for" in label])
    assert len(shown) == labelled  # each inside its own label
    assert {area["id"] for area in elements.of("textarea")} <= {label.get("for") for label in elements.of("label")}
    assert html.count("<fieldset") == html.count("<legend") + len(
        [group for group in elements.of("fieldset") if "aria-labelledby" in group]
    )


def test_policy_names_the_style() -> None:
    """The content security policy allows exactly the style that stands in the page, and nothing else but the page's own form."""
    answer = PAGES.notice("unknown", "en", 404)
    style = re.search(r"<style>(.*)</style>", bytes(answer.body).decode(), re.DOTALL)
    assert style is not None
    hashed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{hashed}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def palettes() -> list[dict[str, str]]:
    """Return the colours of the style sheet, by day and by night."""
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)]


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", palettes(), ids=["day", "night"])
def test_colours_can_be_read(palette: dict[str, str]) -> None:
    """Every text has a contrast of 4.5 to what lies behind it, every border of a field one of 3, by day and by night."""
    texts = [("text", "paper"), ("quiet", "paper"), ("quiet", "back"), ("accent", "paper"), ("accent", "back"), ("on-accent", "accent")]
    texts += [("text", "soft")]
    assert [pair for pair in texts if contrast(palette[pair[0]], palette[pair[1]]) < WANTED_CONTRAST] == []
    assert contrast(palette["line"], palette["paper"]) >= 3
    assert contrast(palette["focus"], palette["paper"]) >= 3


def test_both_languages_say_the_same_things() -> None:
    """No word is missing in a language, and none is left in the other's letters."""
    russian, english = ({(section, key) for section, texts in PAGES.words(language).items() for key in texts} for language in LANGUAGES)
    assert russian == english
    texts = [str(text) for section, texts in PAGES.words("en").items() for text in texts.values()]
    assert [text for text in texts if re.search("[А-Яа-яё]", text)] == []


def test_a_theme_replaces_files_and_words(tmp_path: Path) -> None:
    """A theme's folder replaces the files that it has, word by word, and the policy follows its style."""
    (tmp_path / "style.css").write_text("body{color:#123456}", encoding="utf-8")
    (tmp_path / "words.en.toml").write_text('[unsubscribe]\ntitle = "Leaving so soon?"\n[shop]\nname = "Lantern"\n', encoding="utf-8")
    (tmp_path / "notice.html").write_text('{% include "_sign.html" %}{{ said.title }}', encoding="utf-8")
    (tmp_path / "_sign.html").write_text("*", encoding="utf-8")
    pages = load_pages(tmp_path)
    page = pages.render("unsubscribe", "en", channel="email", is_later=False)
    assert "<h1>Leaving so soon?</h1>" in page
    assert '<p class="shop">Lantern</p>' in page
    assert "no longer get e-mails" in page
    assert "<style>body{color:#123456}</style>" in page
    assert bytes(pages.notice("unknown", "en").body) == b"*This link does not work"
    hashed = base64.b64encode(hashlib.sha256(b"body{color:#123456}").digest()).decode()
    assert f"'sha256-{hashed}'" in pages.notice("unknown", "en").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("survey.html", "{% if %}", "survey.html can't be rendered"),
        ("survey.html", "{{ nothing.there }}", "survey.html can't be rendered"),
        ("notice.html", "{{ ''.__class__.__mro__ }}", "notice.html can't be rendered"),
        ("words.ru.toml", "title =", "words.ru.toml"),
        ("style.css", "x" * 300_000, "larger than"),
    ],
)
def test_a_broken_theme_is_found_at_start(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    """What can't be rendered or read is named before any customer meets it; templates may not reach outside."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSettings, match=complaint):
        load_pages(tmp_path)


def test_a_missing_theme_is_found_at_start(tmp_path: Path) -> None:
    """A folder that is not there is named with its setting."""
    with pytest.raises(InvalidSettings, match="POVOD_INGEST__PAGES_DIRECTORY"):
        load_pages(tmp_path / "gone")
