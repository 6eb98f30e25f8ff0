"""Short messages: how many parts, what is put into a request, what an answer points at."""

import logging

import pytest

from services.dispatch.channels.http import HideToken, point
from services.dispatch.channels.sms import MOST_PARTS, refuse
from services.dispatch.channels.sms_length import SmsLength, measure


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", SmsLength(True, 0, 1)),
        ("a" * 160, SmsLength(True, 160, 1)),
        ("a" * 161, SmsLength(True, 161, 2)),
        ("a" * 306, SmsLength(True, 306, 2)),
        ("a" * 307, SmsLength(True, 307, 3)),
        ("€" * 80, SmsLength(True, 160, 1)),
        ("a" * 152 + "€" + "b" * 153, SmsLength(True, 307, 3)),
        ("я" * 70, SmsLength(False, 70, 1)),
        ("я" * 71, SmsLength(False, 71, 2)),
        ("я" * 134, SmsLength(False, 134, 2)),
        ("я" * 135, SmsLength(False, 135, 3)),
        ("я" * 66 + "🎁" + "я" * 66, SmsLength(False, 134, 3)),
        ("a" * 69 + "`", SmsLength(False, 70, 1)),
    ],
)
def test_parts_of_a_text(text: str, length: SmsLength) -> None:
    """GSM-7: 160, then 153 a part; UCS-2: 70, then 67; a character of two units is never split."""
    assert measure(text) == length


def test_texts_and_numbers_that_are_none() -> None:
    """An empty text, one that is far too long and what is no phone number never reach the gateway."""
    refusals = [
        refuse("+79161234567", ""),
        refuse("+79161234567", "я" * 67 * (MOST_PARTS + 1)),
        refuse("79 16", "x"),
        refuse("٧٩١٦١٢٣٤", "x"),
    ]
    assert [refusal and refusal.reason for refusal in refusals] == ["text_missing", "text_too_long", "address_invalid", "address_invalid"]
    assert refuse("+79161234567", "я" * 67 * MOST_PARTS) is None


@pytest.mark.parametrize(
    ("pointer", "found"), [("/a/0/b", 1), ("/a/1", None), ("/a/x", None), ("/c~1d", 2), ("/e~0f", 3), ("/missing/deeper", None), ("", None)]
)
def test_json_pointers(pointer: str, found: int | None) -> None:
    """Pointers follow RFC 6901; what is not there is None."""
    document = {"a": [{"b": 1}], "c/d": 2, "e~f": 3}
    assert point(document, pointer) == (document if not pointer else found)


def test_a_bot_token_never_reaches_the_log() -> None:
    """The request line that httpx logs has the token masked."""
    record = logging.LogRecord(
        "httpx", logging.INFO, "", 0, 'HTTP Request: %s %s "%s"', ("POST", "https://t/bot42:s3cr-et_/sendMessage", "200"), None
    )
    assert HideToken().filter(record)
    assert record.getMessage() == 'HTTP Request: POST https://t/bot***/sendMessage "200"'
