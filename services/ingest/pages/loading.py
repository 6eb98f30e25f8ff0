"""Read the pages' files: the packaged ones, and over them those of the operator's theme."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from services.contracts.errors import InvalidSettings
from services.ingest.pages.languages import LANGUAGES, Language
from services.ingest.pages.rendering import STYLE, Pages
from services.ingest.pages.samples import SAMPLES

_PACKAGED = Path(__file__).parent
_LARGEST = 262_144
"""Bytes of a theme's file."""


def load_pages(theme: Path | None) -> Pages:
    """Return the pages, with the files of `theme` in place of the packaged ones of the same name; every page is rendered once.

    Raises `InvalidSettings` naming the folder or the file that can't be used, and why.
    """
    own = {} if theme is None else _read(theme)
    packaged = _read(_PACKAGED)
    words = {language: _words(language, packaged, own) for language in LANGUAGES}
    pages = Pages({name: text for name, text in {**packaged, **own}.items() if name == STYLE or name.endswith(".html")}, words)
    _try_out(pages, theme)
    return pages


def _read(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise InvalidSettings(f"[ingest] pages_directory (POVOD_INGEST__PAGES_DIRECTORY): there is no folder {folder}")
    return {file.name: _text_of(file) for file in sorted(folder.iterdir()) if file.suffix in {".html", ".css", ".toml"}}


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidSettings(f"{file}: larger than {_LARGEST} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file}: can't be read as UTF-8 text: {error}") from error


def _words(language: Language, *layers: Mapping[str, str]) -> dict[str, Any]:
    """Return the words of a language: a theme's keys over the packaged ones, each by itself."""
    name = f"words.{language}.toml"
    words: dict[str, Any] = {}
    for layer in layers:
        for section, texts in _parsed(name, layer.get(name, "")).items():
            words[section] = {**words.get(section, {}), **texts} if isinstance(texts, dict) else texts
    return words


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{name} of [ingest] pages_directory: this is no TOML: {error}") from error


def _try_out(pages: Pages, theme: Path | None) -> None:
    for language in LANGUAGES:
        for page, values in SAMPLES:
            try:
                pages.render(page, language, **values)
            except (TemplateError, TypeError, ValueError) as error:
                raise InvalidSettings(f"{theme or _PACKAGED}: {page}.html can't be rendered: {error}") from error
