"""The pages of an unsubscribe link."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from services.ingest.pages import HEADERS, language_of, render_page


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's signature
        """Note one tag."""
        self.found.append(tag)


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


def test_pages_say_which_channel() -> None:
    """The page names the channel in the reader's language, and speaks of messages where it does not know it."""
    assert "no longer get e-mails from us" in render_page("ask", "en", "email")
    assert "не будете получать от нас писем" in render_page("ask", "ru", "email")
    assert "no more messages" in render_page("done", "en", "<script>")


@pytest.mark.parametrize("name", ["ask", "later"])
def test_pages_that_ask_have_one_form(name: str) -> None:
    """Asking and asking again is one form that posts to the page's own address."""
    page = render_page("ask" if name == "ask" else "later", "ru", "sms")
    assert page.count("<form") == 1
    assert '<form method="post"><button type="submit">' in page


@pytest.mark.parametrize("language", ["ru", "en"])
def test_pages_load_nothing(language: str) -> None:
    """No page has a script, a link, an image or an address in it."""
    for page in (render_page(name, "ru" if language == "ru" else "en", "email") for name in ("ask", "done", "unknown", "later")):
        assert set(Tags(page).found) <= {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "form", "button"}
        assert "http" not in page
        assert f'<html lang="{language}">' in page


def test_policy_names_the_style() -> None:
    """The content security policy allows exactly the style that stands in the page."""
    style = re.search(r"<style>(.*)</style>", render_page("ask", "en", "email"))
    assert style is not None
    hashed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{hashed}'" in HEADERS["content-security-policy"]
    assert "default-src 'none'" in HEADERS["content-security-policy"]
