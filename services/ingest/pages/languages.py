"""The languages of pages, and which one a visitor gets."""

from typing import Literal

Language = Literal["ru", "en"]
LANGUAGES: tuple[Language, ...] = ("ru", "en")


def language_of(accept_language: str) -> Language:
    """Return Russian where the browser prefers it to English (RFC 9110, 12.5.4), else English."""
    weights = dict(_preference(part) for part in reversed(accept_language.split(",")[:20]))
    return "ru" if weights.get("ru", 0.0) > weights.get("en", 0.0) else "en"


def chosen(accept_language: str, *named: str) -> Language:
    """Return the first language that is named and that we have (`ru`, `ru-RU`, `en`), else what the browser prefers."""
    tags = [name.lower().replace("_", "-").partition("-")[0] for name in named]
    return next((language for tag in tags for language in LANGUAGES if language == tag), None) or language_of(accept_language)


def _preference(part: str) -> tuple[str, float]:
    tag, _, quality = part.partition(";")
    return tag.strip().lower().partition("-")[0], _quality(quality.strip())


def _quality(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q=")) if parameter else 1.0
    except ValueError:
        return 0.0
