"""Programs that are known to be no customers."""

import pytest

from services.ingest.bots import is_bot, prepare

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        CHROME.replace("Chrome/", "HeadlessChrome/"),
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        b"curl/8.5.0",
    ],
)
def test_programs_are_known(user_agent: str | bytes) -> None:
    """Crawlers, headless browsers and image proxies are bots."""
    assert is_bot(user_agent) is True


@pytest.mark.parametrize(
    "user_agent",
    [
        CHROME,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari/604.1",
        "okhttp/4.12.0",
        "ShopApp/3 CFNetwork/1568.100.1 Darwin/24.0.0",
        "Dart/3.5 (dart:io)",
        b"\xff\xfe",
        "",
        None,
    ],
)
def test_people_are_no_bots(user_agent: str | bytes | None) -> None:
    """Browsers, people's apps and silence are no bots."""
    assert is_bot(user_agent) is False


def test_a_giant_header_is_cut() -> None:
    """Only the first 512 characters are looked at and remembered."""
    prepare()
    assert is_bot(CHROME + " " * 512 + "Googlebot") is False
