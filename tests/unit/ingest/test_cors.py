"""Which web pages may talk to us."""

import pytest

from services.ingest.cors import allows_origin, answer_headers, check_origin, preflight_headers
from services.ingest.keys import WriteKey
from services.ingest.refusals import RequestRefused

SHOP = b"https://shop.example"
ANY = WriteKey("web", trusted=False, scope="browser")
OURS = ANY._replace(origins=("https://shop.example",))


def _allow_shop(origin: str) -> bool:
    return origin == "https://shop.example"


def test_a_preflight_is_answered_with_what_it_asks_for() -> None:
    """Origin and header names are mirrored, credentials allowed, and the answer is good for ten minutes."""
    asked = {b"origin": SHOP, b"access-control-request-headers": b"authorization,content-type, x-retry-count"}
    assert dict(preflight_headers(asked, _allow_shop)) == {
        b"access-control-allow-origin": SHOP,
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"GET, POST, PUT, DELETE, OPTIONS",
        b"access-control-allow-headers": b"authorization, content-type, x-retry-count",
        b"access-control-max-age": b"600",
        b"vary": b"Origin",
    }


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (b"", None),
        (b"content-type", b"content-type"),
        (b"a\r\nset-cookie: x=1, ok", b"ok"),
        (b"<script>, b d, \xff, anonymousid", b"anonymousid"),
        (b"x" * 65 + b", sentat", b"sentat"),
        (b",".join(b"h%d" % number for number in range(100)), b", ".join(b"h%d" % number for number in range(32))),
    ],
)
def test_only_names_of_headers_are_mirrored(asked: bytes, allowed: bytes | None) -> None:
    """What is no header's name, too long or one too many is left out; nothing is answered to nothing."""
    headers = dict(preflight_headers({b"origin": SHOP, b"access-control-request-headers": asked}, _allow_shop))
    assert headers.get(b"access-control-allow-headers") == allowed


@pytest.mark.parametrize("origin", [b"https://evil.example", b"", b"\xff\xfe", b"https://shop.example\r\nx: y", b"h" * 300])
def test_a_preflight_of_a_foreign_page_is_told_nothing(origin: bytes) -> None:
    """An origin that no key allows, or that is none, gets no permission; caches still learn what the answer depends on."""
    assert preflight_headers({b"origin": origin}, lambda text: _allow_shop(text) or len(text) > 255) == ((b"vary", b"Origin"),)
    assert preflight_headers({}, lambda _: True) == ((b"vary", b"Origin"),)


def test_an_answer_may_be_read_by_the_page_that_asked() -> None:
    """The origin is mirrored and Retry-After exposed: without that browsers' libraries come back after 0.2 s."""
    assert answer_headers(SHOP, OURS, lambda _: False) == (
        (b"access-control-allow-origin", SHOP),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    )


def test_an_answer_outside_a_browser_needs_no_headers() -> None:
    """Who names no origin gets nothing more: servers' answers stay short."""
    assert answer_headers(None, OURS, lambda _: True) == ()


@pytest.mark.parametrize(("key", "readable"), [(OURS, False), (ANY, True), (OURS._replace(origins=("*",)), True), (None, True)])
def test_a_foreign_page_can_not_read_the_answer(key: WriteKey | None, readable: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A key's own origins decide; before the key is known it is enough that any key allows the page."""
    names = [name for name, _ in answer_headers(b"https://other.example", key, lambda _: True)]
    assert (b"access-control-allow-origin" in names) is readable
    assert b"vary" in names


def test_a_key_is_refused_on_foreign_pages() -> None:
    """A key with origins posts from those pages, and from where there is no page; one without from anywhere, "null" too."""
    with pytest.raises(RequestRefused) as raised:
        check_origin(OURS, b"https://evil.example")
    assert raised.value.code == "origin_not_allowed"
    check_origin(OURS, SHOP)
    check_origin(OURS, b"HTTPS://Shop.Example")
    check_origin(OURS, None)
    check_origin(ANY, b"null")


def test_origins_are_compared_whole() -> None:
    """A longer host, another scheme or another port is another origin."""
    ours = ("https://shop.example",)
    assert allows_origin(ours, "https://shop.example")
    assert not any(
        allows_origin(ours, origin) for origin in ("http://shop.example", "https://shop.example.evil", "https://shop.example:8443", "null")
    )
