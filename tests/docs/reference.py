"""The tables of `docs/operations.md` that are made from code: settings and metrics.

`python -m tests.docs.reference` writes them into the page, between their markers.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, SecretStr

from services.contracts.durations import format_duration
from services.runtime.settings.tree import Settings
from services.runtime.telemetry.metrics import METRICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def settings_table() -> str:
    """Return every setting with its default and meaning."""
    rows = [f"| `{key}` | {_shown(default)} | {meaning} |" for key, default, meaning in _settings(Settings, "")]
    return "\n".join(("| key | default | meaning |", "|---|---|---|", *rows))


def metrics_table() -> str:
    """Return every metric with its labels and meaning."""
    rows = [f"| `{metric.name}` | {', '.join(metric.labels)} | {metric.help} |" for metric in METRICS]
    return "\n".join(("| metric | labels | meaning |", "|---|---|---|", *rows))


def with_tables(page: str) -> str:
    """Return the page with both tables as the code has them."""
    return _replaced(_replaced(page, "settings", settings_table()), "metrics", metrics_table())


def _replaced(page: str, name: str, table: str) -> str:
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    head, _, rest = page.partition(start)
    return f"{head}{start}{table}{end}{rest.partition(end)[2]}"


def _settings(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, object, str]]:
    for name, field in section.model_fields.items():
        default = field.default
        if isinstance(default, BaseModel):
            yield from _settings(type(default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", default, (field.description or "").replace("<", "&lt;")


def _shown(default: object) -> str:
    if isinstance(default, SecretStr) or default in ("", (), {}):
        return ""
    if isinstance(default, timedelta):
        return f"`{format_duration(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
