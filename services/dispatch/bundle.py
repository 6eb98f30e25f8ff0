"""One version of a template: its files, compiled, and rendered for a channel, a language and a context.

Files are named `<channel>/<language>/<part>`, e.g. `email/ru/subject.txt`, `email/ru/body.html`, `sms/ru/text.txt`. A file or folder
whose name begins with `_` is only there to be included or extended.
"""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from services.contracts.errors import RenderFailed
from services.contracts.templates import TemplateMistake
from services.dispatch.budget import OUTPUT_LIMIT, Budget
from services.dispatch.sandbox import Sandbox

_SOURCE_LIMIT = 512 * 1024
_DEFAULT_LANGUAGE = "en"
_LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
_WORD = re.compile(r"[a-z_]+")
_URL = "_url"
_ONE_LINE = frozenset({"subject.txt"})


class TemplateBundle:
    """Compiled files of one version. Compiling happens at first use of each file; errors are `RenderFailed` then."""

    def __init__(self, files: Mapping[str, str]) -> None:
        if sum(map(len, files.values())) > _SOURCE_LIMIT:
            raise RenderFailed(f"the template is larger than {_SOURCE_LIMIT} characters", code="template_too_large")
        self._sandbox = Sandbox(files)
        self._words = frozenset(word for name in files for word in _WORD.findall(files[name]) if word.endswith(_URL))
        self._parts: dict[tuple[str, str], dict[str, str]] = {}
        for name in sorted(files):
            match name.split("/"):
                case [channel, language, part] if not name.startswith("_") and not part.startswith("_"):
                    self._parts.setdefault((channel, language), {})[part] = name

    def language_for(self, channel: str, language: str) -> str:
        """Return the language whose files serve `language`: itself, its base, English, or any.

        Raises `RenderFailed` where the channel has no files at all.
        """
        wanted = (language, language.replace("_", "-").partition("-")[0].lower(), _DEFAULT_LANGUAGE)
        there = [known for known_channel, known in self._parts if known_channel == channel]
        found = next((each for each in wanted if each in there), there[0] if there else None)
        if found is None:
            raise RenderFailed(f"the template has no files for {channel}", code="template_missing")
        return found

    def mentions(self, name: str) -> bool:
        """Say whether a file speaks of the variable `name` (one that ends in `_url`), in whatever place."""
        return name in self._words

    def render(self, channel: str, language: str, context: Mapping[str, Any]) -> dict[str, str]:
        """Return the parts of a channel in a language that `language_for` has named. Raises `RenderFailed`."""
        return {part: _cleaned(part, self.render_file(name, context)) for part, name in self._parts[channel, language].items()}

    def render_file(self, name: str, context: Mapping[str, Any]) -> str:
        """Render one file within its limits. Raises `RenderFailed` that names the file and what was wrong."""
        self._sandbox.budget = Budget()
        try:
            return self._stream(name, context)
        except RenderFailed as error:
            raise RenderFailed(f"{name}: {error.message}", code=error.code) from error
        except (Exception, RecursionError) as error:  # a template can raise anything that its data can
            raise RenderFailed(f"{name}: {describe(error)}", code=_code_of(error)) from error

    def check_file(self, name: str) -> TemplateMistake | None:
        """Return what is wrong with a file's syntax, None where nothing is."""
        try:
            self._sandbox.get_template(name)
        except TemplateSyntaxError as error:
            return TemplateMistake(error.name or name, error.lineno, error.message or "a mistake in the syntax")
        except (Exception, RecursionError) as error:  # noqa: BLE001 - Python's compiler may refuse what Jinja made of it
            return TemplateMistake(name, 1, describe(error))
        return None

    def _stream(self, name: str, context: Mapping[str, Any]) -> str:
        chunks: list[str] = []
        left = OUTPUT_LIMIT
        for chunk in self._sandbox.get_template(name).generate(context):
            left -= len(chunk)
            if left < 0:
                raise RenderFailed(f"more than {OUTPUT_LIMIT} characters of output", code="template_too_large")
            chunks.append(chunk)
        return "".join(chunks)


def describe(error: BaseException) -> str:
    """Say in one line what went wrong, with the line number where Jinja knows it."""
    if isinstance(error, RecursionError):
        return "the template nests too deep"
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    return str(error) or type(error).__name__


def _code_of(error: BaseException) -> str:
    match error:
        case UndefinedError():
            return "missing_value"
        case SecurityError():
            return "template_forbidden"
        case TemplateSyntaxError():
            return "template_syntax"
        case RecursionError():
            return "template_too_costly"
        case TemplateError():
            return "template_error"
        case _:
            return "template_value"


def _cleaned(part: str, text: str) -> str:
    """Take out what could break a header or a provider's JSON; a subject becomes one line."""
    if part in _ONE_LINE:
        return " ".join(_LINE_BREAKING.sub(" ", text).split())
    if not text.replace("\n", "").isprintable():  # a look that costs a tenth of the expression, and nearly always suffices
        text = _CONTROL.sub("", text)
    return text.strip("\n") + "\n" if part.startswith("body") else text.strip()
