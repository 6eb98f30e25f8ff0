"""How many parts a short message takes: GSM 7-bit (3GPP TS 23.038) where every character is in its table, else UCS-2."""

from typing import NamedTuple

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM_WHOLE, _GSM_PART = 160, 153
_UCS_WHOLE, _UCS_PART = 70, 67


class SmsLength(NamedTuple):
    """`units` are septets or UTF-16 units; a part of a longer message holds fewer of them, for its header."""

    is_gsm: bool
    units: int
    parts: int


def measure(text: str) -> SmsLength:
    """Count the parts; a character of two units (`€` in GSM, an emoji in UCS-2) is never split between two."""
    is_gsm = all(character in _BASIC or character in _EXTENDED for character in text)
    widths = [_gsm_width(character) if is_gsm else _ucs_width(character) for character in text]
    whole, part = (_GSM_WHOLE, _GSM_PART) if is_gsm else (_UCS_WHOLE, _UCS_PART)
    units = sum(widths)
    return SmsLength(is_gsm, units, 1 if units <= whole else _parts(widths, part))


def _parts(widths: list[int], capacity: int) -> int:
    parts, used = 1, 0
    for width in widths:
        if used + width > capacity:
            parts, used = parts + 1, 0
        used += width
    return parts


def _gsm_width(character: str) -> int:
    return 2 if character in _EXTENDED else 1


def _ucs_width(character: str) -> int:
    return 2 if ord(character) > 0xFFFF else 1
