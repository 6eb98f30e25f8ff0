"""The options of `povod serve` over the settings."""

import pytest

from services.commands.serve import with_options
from services.runtime.settings import load_settings

ELSEWHERE = {"POVOD_INGEST__PUBLIC_URL": "https://events.shop.example"}


@pytest.mark.parametrize(
    ("environ", "port", "expected"),
    [
        ({}, None, (8080, "http://127.0.0.1:8080")),
        ({}, 9000, (9000, "http://127.0.0.1:9000")),
        ({}, 0, (0, "http://127.0.0.1:8080")),
        (ELSEWHERE, 9000, (9000, "https://events.shop.example")),
    ],
)
def test_links_follow_the_port(environ: dict[str, str], port: int | None, expected: tuple[int, str]) -> None:
    """The unsubscribe link of a mail leads to the process that sent it, unless the settings say where customers reach it."""
    ingest = with_options(load_settings(environ=environ, file=None), port, None).ingest
    assert (ingest.port, ingest.public_url) == expected
