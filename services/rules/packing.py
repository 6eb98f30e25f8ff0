"""A document as its row holds it: JSON as it is while small, else LZ4-compressed and in base64.

A busy customer's JSON repeats itself; packed it is a fifth, and so is what goes to the database, through its log and into its cache.
"""

from binascii import a2b_base64, b2a_base64

import cramjam

from services.contracts.errors import Rejected

SMALL = 512
"""Bytes up to which packing is not worth it."""
_PLAIN = "{"


def pack(document: bytes) -> str:
    """Return the stored form of an encoded document."""
    if len(document) <= SMALL:
        return document.decode()
    return b2a_base64(cramjam.lz4.compress_block(document), newline=False).decode("ascii")


def unpack(stored: str) -> bytes:
    """Return the encoded document; raises `Rejected` where it is none."""
    if stored.startswith(_PLAIN):
        return stored.encode()
    try:
        return bytes(cramjam.lz4.decompress_block(a2b_base64(stored)))
    except (ValueError, cramjam.DecompressionError) as error:
        raise Rejected(f"a stored document can not be unpacked: {error}", code="undecodable_document") from error
