"""Texts from outside, made fit for a database column."""


def storable(text: str) -> str:
    """Return the text without what PostgreSQL's `text` refuses: NUL characters and lone surrogates, written as escapes instead."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
