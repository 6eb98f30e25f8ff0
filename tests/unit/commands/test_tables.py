"""Plain tables: aligned, no wider than needed, nothing cut."""

from services.commands.tables import by_count, table


def test_columns_are_aligned_and_numbers_stand_to_the_right() -> None:
    """The last cell's further lines go on below it."""
    lines = table(("name", "n", "why"), [("ann", "1,234", "a 1\nb 2"), ("robert", "5", "")]).splitlines()

    assert lines == [
        "name        n  why",
        "──────  ─────  ───",
        "ann     1,234  a 1",
        "               b 2",
        "robert      5",
    ]


def test_a_table_without_rows_shows_its_headings() -> None:
    """Nothing to show is shown as such."""
    assert table(("name", "n"), []) == "name  n\n────  ─"


def test_counts_come_most_frequent_first() -> None:
    """Equal counts by name."""
    assert by_count({"b": 2, "c": 1_000, "a": 2}) == "c 1,000\na 2\nb 2"
