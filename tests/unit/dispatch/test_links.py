"""Links of rendered messages: which are led past ingest, where to, and that nothing else changes."""

from html.parser import HTMLParser
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.consent.claims import ClickClaim, OpenClaim
from services.consent.tokens import TokenSigner
from services.contracts.ids import CustomerId, MessageId
from services.dispatch.links import LinkWriter, rewrite_html, with_picture
from services.runtime.clock import FrozenClock
from services.runtime.settings import LinkSettings
from tests.dispatch_builders import EMAIL, SMS, START, make_message

SIGNER = TokenSigner(["a secret that is long enough for tests"])
OURS = "https://go.shop.example"
CLICKS = f"{OURS}/c/"
PARTS = {
    "subject.txt": "https://shop.example/ now",
    "body.txt": "Look: https://shop.example/cart?a=1&b=2.",
    "body.html": '<body><p>Hi</p><a href="https://shop.example/cart?a=1&amp;b=2">Cart</a> <A HREF=https://shop.example/x >x</A></body>',
}


def writer(**settings: object) -> LinkWriter:
    """Return a writer with these settings."""
    return LinkWriter(SIGNER, f"{OURS}/", LinkSettings.model_validate(settings), FrozenClock(START))


def led(html: str) -> str:
    """Rewrite HTML with `>` before each address, so that it can be seen."""
    return rewrite_html(html, lambda target: f">{target}")


def claims_in(text: str) -> list[ClickClaim]:
    """Return what the tokens of the click links in a text say, in order."""
    tokens = [
        piece.split(piece.lstrip("_-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")[:1] or "\0")[0]
        for piece in text.split(CLICKS)[1:]
    ]
    return [SIGNER.read(token, ClickClaim) for token in tokens]


def test_links_lead_past_ingest_with_their_target_signed() -> None:
    """Each address becomes a link of ours that says message, customer, number, target and when; equal ones are one link."""
    parts = writer(opens=[]).rewrite(make_message("m-1"), PARTS)
    first = ClickClaim(CustomerId("ann"), EMAIL, MessageId("m-1"), 1, "https://shop.example/cart?a=1&b=2", START)
    second = ClickClaim(CustomerId("ann"), EMAIL, MessageId("m-1"), 2, "https://shop.example/x", START)
    assert claims_in(parts["body.html"]) == [first, second]
    assert claims_in(parts["body.txt"]) == [first]
    assert parts["body.txt"].endswith(".")
    assert parts["subject.txt"] == PARTS["subject.txt"]


def test_everything_else_stays_byte_for_byte() -> None:
    """With the addresses put back, the HTML is what it was."""
    html = writer(opens=[]).rewrite(make_message("m-1"), PARTS)["body.html"]
    for claim in claims_in(html):
        html = html.replace(CLICKS + SIGNER.sign(claim), claim.target.replace("&", "&amp;"))
    assert html == PARTS["body.html"]


def test_a_picture_tells_of_an_opened_mail() -> None:
    """The picture stands at the end of the body, one point wide, with no text for readers of screens."""
    html = writer(clicks=[]).rewrite(make_message("m-1"), PARTS)["body.html"]
    token = html.partition(f'<img src="{OURS}/o/')[2].partition('.gif" width="1" height="1" alt="" ')[0]
    assert SIGNER.read(token, OpenClaim) == OpenClaim(CustomerId("ann"), EMAIL, MessageId("m-1"), START)
    assert html.endswith('"></body>')
    assert with_picture("<p>x</p>", "*") == "<p>x</p>*"
    assert with_picture("<BODY>x</BODY >", "*") == "<BODY>x*</BODY >"


def test_settings_say_whose_links_are_led() -> None:
    """A channel that is not named, and a template that is excepted, keep their links as they are."""
    assert writer().rewrite(make_message(channel=SMS), {"text.txt": PARTS["body.txt"]}) == {"text.txt": PARTS["body.txt"]}
    assert writer(untracked=["cart-reminder"]).rewrite(make_message(), PARTS) == PARTS
    assert writer(clicks=[], opens=[]).rewrite(make_message(), PARTS) == PARTS
    assert CLICKS in writer(clicks=["sms"]).rewrite(make_message(channel=SMS), {"text.txt": PARTS["body.txt"]})["text.txt"]


@pytest.mark.parametrize(
    "target",
    [
        "mailto:a@b.example", "tel:+79161234567", "#top", "/cart", "cart.html", "", "javascript:alert(1)", "data:text/html,x", "ftp://x/y",
        f"{OURS}/u/abc", f"{OURS}/p/abc", f"{OURS}/s/abc?score=9", f"{OURS}/d/abc", f"{OURS}/c/abc", "https://", "https://a b/", "http:x",
        "https://user:pw@shop.example/", "https://shop.example\\@evil.example/", "https://[::1", "https://x:99999/",
        "https://x/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_what_is_not_led(target: str) -> None:
    """Our own pages, other schemes, anchors, relative and doubtful addresses stay as they are."""
    html = f'<a href="{target}">x</a>'
    assert writer(opens=[]).rewrite(make_message(), {"body.html": html}) == {"body.html": html}


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="x">', '<a href=">x">'),
        ("<a class=b href='x' id=c>", "<a class=b href='>x' id=c>"),
        ("<a\nhref = x>", "<a\nhref = >x>"),
        ('<area href="x">', '<area href=">x">'),
        ('<a title="> href=y" href="x">', '<a title="> href=y" href=">x">'),
        ('<a data-href="x">', '<a data-href="x">'),
        ('<a href="x" href="y">', '<a href=">x" href="y">'),
        ("<a href>", "<a href>"),
        ('<a href="x" data-untracked>', '<a href="x" data-untracked>'),
        ('<a DATA-UNTRACKED="1" href="x">', '<a DATA-UNTRACKED="1" href="x">'),
        ('<!-- <a href="x"> --><a href="y">', '<!-- <a href="x"> --><a href=">y">'),
        ('<!--[if mso]><a href="x"><![endif]--><a href="y">', '<!--[if mso]><a href="x"><![endif]--><a href=">y">'),
        ('<![if !mso]><a href="x"><![endif]>', '<![if !mso]><a href=">x"><![endif]>'),
        ('<style>a[href="<a href=x>"]{}</style><a href="y">', '<style>a[href="<a href=x>"]{}</style><a href=">y">'),
        ('<img alt="<a href=x>"><a href="y">', '<img alt="<a href=x>"><a href=">y">'),
        ('<abbr href="x"><article href="x"><s><t href="x"><a href="y">', '<abbr href="x"><article href="x"><s><t href="x"><a href=">y">'),
        ('1 < 2 <a <a href="x">', '1 < 2 <a <a href=">x">'),
        ('<a href="x', '<a href="x'),
        ('<p title="open><a href="x">', '<p title="open><a href=">x">'),
        ("", ""),
    ],
)
def test_html_of_every_kind(html: str, expected: str) -> None:
    """Only the value of a link's first href is touched: not comments, style sheets, other attributes or broken tags."""
    assert led(html) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(https://x.example/a)", "(>https://x.example/a<)"),
        ("https://x.example/a_(b)", ">https://x.example/a_(b)<"),
        ("https://x.example/a, и https://y.example/!", ">https://x.example/a<, и >https://y.example/<!"),
        ("<https://x.example/a>", "<>https://x.example/a<>"),
        ("«https://x.example/a»…", "«>https://x.example/a<»…"),
        ("[x](https://x.example/a)", "[x](>https://x.example/a<)"),
        ("mail a@b.example, www.x.example", "mail a@b.example, www.x.example"),
    ],
)
def test_addresses_in_texts(text: str, expected: str) -> None:
    """An address in a text ends where its sentence goes on; brackets that it opens are its own."""
    rewritten = writer(opens=[]).rewrite(make_message("m-1"), {"body.txt": text})["body.txt"]
    for claim in claims_in(rewritten):
        rewritten = rewritten.replace(CLICKS + SIGNER.sign(claim), f">{claim.target}<")
    assert rewritten == expected


class Oracle(HTMLParser):
    """Collects the links that the standard library finds."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the first href of a link."""
        names = [name for name, _ in attrs]
        if (
            tag in {"a", "area"}
            and "href" in names
            and "data-untracked" not in names
            and (value := attrs[names.index("href")][1]) is not None
        ):
            self.found.append(value)


ATTRIBUTES = st.sampled_from(
    ['href="u{}"', "href='u{}'", "href=u{}", 'HREF = "u{}"', 'class="a>b"', "hidden", 'title="<a href=no>"', "data-x='href=no'"]
)
TAGS = st.builds(
    lambda name, attributes: f"<{' '.join((name, *attributes))}>",
    st.sampled_from(["a", "A", "area", "p", "abbr", "img", "br/", "td"]),
    st.lists(ATTRIBUTES, max_size=3),
)
PIECES = st.one_of(TAGS, st.sampled_from(["text", "</a>", "<!-- <a href=no> -->", "&amp;", "1 < 2", "</p>", "<!doctype html>", "\n", "ё"]))


@given(st.lists(PIECES, max_size=12))
def test_we_find_what_the_standard_library_finds(pieces: list[str]) -> None:
    """On any mail of ordinary tags our expression and `html.parser` agree on the links, one by one."""
    html = "".join(piece.replace("{}", str(number)) for number, piece in enumerate(pieces))
    oracle = Oracle()
    found: list[str] = []

    def note(target: str) -> None:
        found.append(target)

    oracle.feed(html)
    oracle.close()
    rewrite_html(html, note)
    assert found == oracle.found


@pytest.mark.parametrize("piece", ["<a ", '<a href="', "<a '", "<!--", "<style>", "<", '"', "<a href=x ", "< a", '<p "', "</"])
def test_hostile_html_costs_no_time(piece: str) -> None:
    """Half a megabyte of openings that never close is passed by in well under a second."""
    html = piece * (500_000 // len(piece))
    began = process_time()
    led(html)
    assert process_time() - began < 2
