"""The example templates render, in every language and channel, and keep the rules of good mail."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from services.contracts.resources import resource
from services.dispatch.bundle import TemplateBundle
from services.rules.loader import load_directory

TEMPLATES = resource("templates")
NAMES = sorted(folder.name for folder in TEMPLATES.iterdir() if not folder.name.startswith("_"))
PARTS = {"email": {"subject.txt", "body.txt", "body.html"}, "sms": {"text.txt"}, "telegram": {"text.txt"}}
LONGEST_SUBJECT = 50
"""Characters with spaces: what mail programs show."""


def files_of(name: str) -> dict[str, str]:
    """Return a template's files as they are stored, the layouts with them."""
    loaded = load_directory(resource("rules"), TEMPLATES)
    return dict(next(files for template, files in loaded.templates.items() if template == name))


def sample_of(name: str) -> dict[str, Any]:
    """Return the template's sample data."""
    sample: dict[str, Any] = json.loads((TEMPLATES / name / "sample.json").read_text(encoding="utf-8"))
    return sample


def written(name: str) -> list[tuple[str, str]]:
    """Return the channels and languages in which a template is written."""
    folders = [path.relative_to(TEMPLATES / name) for path in (TEMPLATES / name).glob("*/*") if path.is_dir()]
    return sorted((str(folder.parent), folder.name) for folder in folders)


ALL = [(name, channel, language) for name in NAMES for channel, language in written(name)]


def rendered(name: str, channel: str, language: str, **changed: Any) -> dict[str, str]:
    """Render a template with its sample data."""
    return TemplateBundle(files_of(name)).render(channel, language, {**sample_of(name), "language": language, **changed})


def test_there_is_a_template_for_every_send() -> None:
    """Nine templates, each in Russian and in English on every channel it is written for."""
    assert set(load_directory(resource("rules"), TEMPLATES).templates) == set(NAMES)
    assert len(NAMES) == 9
    assert all({language for _, language in written(name)} == {"ru", "en"} for name in NAMES)
    assert all(written(name) == sorted((c, lang) for c in {c for c, _ in written(name)} for lang in ("ru", "en")) for name in NAMES)


@pytest.mark.parametrize(("name", "channel", "language"), ALL)
def test_it_renders_with_its_sample(name: str, channel: str, language: str) -> None:
    """Every part is there, has words in it, and leaves no bracket of the template language."""
    parts = rendered(name, channel, language)

    assert set(parts) == PARTS[channel]
    assert all(part.strip() and "{{" not in part and "{%" not in part for part in parts.values())


@pytest.mark.parametrize(("name", "channel", "language"), ALL)
def test_it_renders_for_somebody_without_a_name(name: str, channel: str, language: str) -> None:
    """A customer of whom only the id is known gets a friendly word instead of a gap."""
    parts = rendered(name, channel, language, customer={"id": "user_0042"}, event={})

    assert not any("None" in part or ", !" in part for part in parts.values())


@pytest.mark.parametrize(("name", "language"), [(name, language) for name, channel, language in ALL if channel == "email"])
def test_a_mail_keeps_the_rules_of_good_mail(name: str, language: str) -> None:
    """A short subject, at most three paragraphs beside greeting and button, a way out in both parts, nothing fetched from elsewhere."""
    parts = rendered(name, "email", language)

    assert len(parts["subject.txt"]) <= LONGEST_SUBJECT
    assert parts["body.html"].count("<p ") <= 1 + 3 + 1
    url = sample_of(name)["unsubscribe_url"]
    assert url in parts["body.txt"]
    assert f'href="{url}"' in parts["body.html"]
    assert not re.search(r"(src|background)=|url\(|@import", parts["body.html"])


@pytest.mark.parametrize(("name", "language"), [(name, language) for name, channel, language in ALL if channel == "email"])
def test_html_is_closed_and_escapes_the_data(name: str, language: str) -> None:
    """Every element is closed in order, and a name with brackets stays text."""
    html = rendered(name, "email", language, customer={"id": "1", "name": "<b>Ann</b>"})["body.html"]

    assert "&lt;b&gt;Ann&lt;/b&gt;" in html
    assert _Balance.of(html) == []


class _Balance(HTMLParser):
    """Collects elements that are not closed, or closed out of order."""

    _VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    @classmethod
    def of(cls, html: str) -> list[str]:
        balance = cls()
        balance.feed(html)
        return balance.open

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - html.parser's signature
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
