"""Tables of plain text: as wide as what is in them, the same on a terminal, in a file and in a test."""

from collections.abc import Mapping, Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return headings, a rule and rows in aligned columns; columns of numbers are set to the right.

    The last column may hold several lines; they go on below it.
    """
    cells = [line for row in rows for line in _lines(row)]
    widths = [max(len(line[i]) for line in (headings, *cells)) for i in range(len(headings))]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(headings))]
    ruled = [headings, ["─" * width for width in widths], *cells]
    return "\n".join(_aligned(line, widths, right) for line in ruled)


def by_count(counts: Mapping[str, int]) -> str:
    """Return `name count` a line, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(f"{name} {count:,}" for name, count in ordered)


def _lines(row: Sequence[str]) -> list[list[str]]:
    *first, last = row
    parts = last.split("\n")
    return [[*first, parts[0]], *([*("" for _ in first), part] for part in parts[1:])]


def _aligned(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(line, widths, right, strict=True)]
    return "  ".join(padded).rstrip()


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit()
