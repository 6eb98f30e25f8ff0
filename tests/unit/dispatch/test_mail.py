"""Mails as bytes, and what a mail server's replies mean."""

import email
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from email.policy import default

import aiosmtplib
import msgspec
import pytest

from services.contracts.errors import InvalidSettings
from services.contracts.ids import MessageId
from services.dispatch.channels.mime import compose, mailbox
from services.dispatch.channels.port import Accepted, Answer, Reject, Rendered, Retry
from services.dispatch.channels.smtp import SmtpSender, envelope_address
from services.dispatch.channels.smtp_answers import Stage, answer_before_content, answer_of
from services.runtime.clock import FrozenClock
from services.runtime.settings import SmtpSettings

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHOP = mailbox("Магазин «Повод» <hello@shop.example>")
TEXT = "Здравствуйте!\nВаш заказ — в пути.\n.\n.точка\n" * 30
HTML = "<p>Здравствуйте — &amp; до свидания</p>\r\n" * 50


def mail_of(subject: str = "Ваш заказ", **changes: object) -> EmailMessage:
    """Return a composed mail as the standard library reads it."""
    parts = {"subject.txt": subject, "body.txt": TEXT, "body.html": HTML}
    fields = {"message_id": MessageId("m-1"), "recipient": "ann@shop.example", "language": "ru", "parts": parts} | changes
    raw = compose(Rendered(**fields), SHOP, NOW)  # type: ignore[arg-type]  # a builder's
    assert max(map(len, raw.split(b"\r\n"))) < 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return email.message_from_bytes(raw, policy=default)


def text_of(part: Message) -> str:
    """Return a part's decoded text, its line ends as they are."""
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def test_the_standard_library_reads_back_what_was_written() -> None:
    """Subject, From, texts in Cyrillic and both alternatives come back equal, with CRLF line ends."""
    mail = mail_of(subject := "Иван, вы забыли кое-что в корзине, и оно ждёт вас до самого воскресенья включительно")
    plain, html = mail.iter_parts()
    assert (mail["Subject"], mail["From"]) == (subject, "Магазин «Повод» <hello@shop.example>")
    assert (mail["To"], mail["Message-ID"]) == ("ann@shop.example", "<m-1@shop.example>")
    assert mail["Date"].datetime == NOW
    assert text_of(plain) == TEXT.replace("\n", "\r\n")
    assert text_of(html) == HTML
    assert (plain.get_content_type(), html.get_content_type(), mail.defects) == ("text/plain", "text/html", [])


def test_a_mail_of_one_part_is_no_multipart() -> None:
    """A template with a text only makes a plain mail."""
    mail = mail_of(parts={"subject.txt": "x", "body.txt": "текст"})
    assert (mail.get_content_type(), text_of(mail)) == ("text/plain", "текст")


def test_a_long_link_stays_on_one_line() -> None:
    """Receivers of one-click unsubscribes want the link unfolded."""
    link = f"<https://shop.example/u/{'a' * 300}>"
    raw = compose(
        Rendered(message_id=MessageId("m"), recipient="a@b", language="ru", parts={"body.txt": "x"}, headers={"List-Unsubscribe": link}),
        SHOP,
        NOW,
    )
    assert f"\r\nList-Unsubscribe: {link}\r\n".encode() in raw


@pytest.mark.parametrize("bad", ["a\r\nBcc: b@c", "a\nb", "a\x00b", "a\u2028b", "a\x85b", "a\x7fb"])
@pytest.mark.parametrize("field", ["subject", "recipient", "header"])
def test_control_characters_in_a_field_are_refused(field: str, bad: str) -> None:
    """Nothing that could end a header line gets into one."""
    parts = {"subject.txt": bad if field == "subject" else "x", "body.txt": "x"}
    headers = {"List-Id": bad} if field == "header" else {}
    with pytest.raises(ValueError, match="control characters"):
        mail_of(parts=parts, headers=headers, recipient=bad if field == "recipient" else "a@b")


@pytest.mark.parametrize(
    ("address", "envelope"),
    [("ann@shop.example", "ann@shop.example"), ("ivan@почта.рф", "ivan@xn--80a1acny.xn--p1ai"), ("a+b.c@x.y", "a+b.c@x.y")],
)
def test_addresses_for_the_envelope(address: str, envelope: str) -> None:
    """Domains beyond ASCII are written in IDNA."""
    assert envelope_address(address) == envelope


@pytest.mark.parametrize(
    "address", ["", "ann", "@x", "a@", "a b@c", "a@b\r\nDATA", "a@b>", "иван@пример.рф", f"{'a' * 251}@b.c", "a@b@c d"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Control characters and blanks are refused, never cut off; a local part beyond ASCII can't be written to."""
    with pytest.raises(ValueError, match="not a mail address"):
        envelope_address(address)


@pytest.mark.parametrize(
    ("stage", "code", "text", "answer"),
    [
        ("content", 250, "2.0.0 queued as 7", Accepted("2.0.0 queued as 7")),
        ("rcpt", 450, "4.2.1 greylisted", Retry("smtp_450", scope="recipient", detail="450 4.2.1 greylisted")),
        ("content", 452, "full", Retry("smtp_452", scope="message", detail="452 full")),
        ("mail", 421, "4.7.0 bye", Retry("smtp_421", scope="channel", detail="421 4.7.0 bye")),
        ("rcpt", 550, "5.1.1 unknown", Reject("address_dead", "recipient", suppress=True, detail="550 5.1.1 unknown")),
        ("rcpt", 553, "5.1.10 null MX", Reject("address_dead", "recipient", suppress=True, detail="553 5.1.10 null MX")),
        ("rcpt", 550, "mailbox unavailable", Reject("smtp_550", "recipient", detail="550 mailbox unavailable")),
        ("rcpt", 552, "5.2.2 mailbox full", Reject("smtp_552", "recipient", detail="552 5.2.2 mailbox full")),
        ("content", 550, "5.7.26 DMARC", Reject("policy", "config", detail="550 5.7.26 DMARC")),
        ("mail", 550, "sender refused", Reject("policy", "config", detail="550 sender refused")),
        ("content", 554, "5.6.0 bad", Reject("smtp_554", "content", detail="554 5.6.0 bad")),
    ],
)
def test_replies_and_their_meaning(stage: Stage, code: int, text: str, answer: Answer) -> None:
    """Only dead addresses suppress; policy is the sender's business; 421 is the server's."""
    assert answer_of(stage, code, text) == answer


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (550, "No such user here"),
        (550, "no such\nuser"),
        (550, "Unknown user"),
        (550, "User unknown"),
        (550, "<ann@shop.example>: Recipient address rejected: User unknown in virtual mailbox table"),
        (550, "Message was not accepted -- invalid mailbox.  Local mailbox ann@shop.example is unavailable: user not found"),
        (550, "sorry, no mailbox here by that name"),
        (551, "mailbox <ann@shop.example> does not exist"),
        (553, "Non-existent recipient"),
    ],
)
def test_a_mailbox_that_does_not_exist_suppresses_in_words_too(code: int, text: str) -> None:
    """A server without enhanced codes that says nobody is there is believed, at RCPT only."""
    dead = Reject(reason="address_dead", kind="recipient", suppress=True, detail=f"{code} {text}")
    assert answer_of("rcpt", code, text) == dead
    assert not msgspec.to_builtins(answer_of("content", code, text))["suppress"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (550, ""),
        (550, "Requested action not taken: mailbox unavailable"),
        (550, "5.7.1 No such user here"),
        (550, "5.2.1 mailbox not found"),
        (550, "relaying denied: no such user"),
        (550, "Sender verify failed: no such user"),
        (550, "Access denied, unknown user"),
        (550, "blocked for spam: recipient unknown"),
        (550, "unknown account: authentication required"),
        (551, "User not local; please try <ann@else.example>"),
        (552, "mailbox not found or full"),
        (553, "mailbox name not allowed"),
        (554, "No such user"),
    ],
)
def test_any_other_refusal_suppresses_nobody(code: int, text: str) -> None:
    """Policy, quota, a moved user or a bare 550 fail the message and leave the address alone."""
    answer = answer_of("rcpt", code, text)
    assert isinstance(answer, Reject)
    assert not answer.suppress


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (aiosmtplib.SMTPAuthenticationError(535, "no"), "smtp_auth"),
        (aiosmtplib.SMTPConnectResponseError(554, "go away"), "smtp_greeting"),
        (aiosmtplib.SMTPServerDisconnected("gone"), "connection_failed"),
        (aiosmtplib.SMTPConnectTimeoutError("slow"), "timeout"),
        (ConnectionRefusedError(111, "refused"), "connection_failed"),
        (TimeoutError(), "timeout"),
    ],
)
def test_failures_before_the_content_hold_the_channel(error: Exception, reason: str) -> None:
    """Before the final dot a failure of the connection is nobody's fault but the server's: try again, no attempt burned."""
    answer = answer_before_content(error)
    assert isinstance(answer, Retry)
    assert (answer.reason, answer.scope) == (reason, "channel")


def test_a_sender_that_is_no_address_is_named() -> None:
    """A wrong From address stops the start, with key and cure."""
    with pytest.raises(InvalidSettings, match=r"\[dispatch.smtp\] sender.*Shop"):
        SmtpSender(SmtpSettings(sender="nobody"), FrozenClock(NOW))
