"""Short functions, short modules; complexity and arguments are ruff's business (pyproject.toml)."""

import pytest

from tests.architecture.source import Length, functions_of, name_of, sources

FOLDERS = ("services", "tests", "bench", "deploy")
LONGEST_FUNCTION = 50
LONGEST_MODULE = 300
SHORT_FUNCTION = 20
SHARE_OF_SHORT = 0.9


def _over(limit: int, lengths: list[Length]) -> list[Length]:
    return sorted((length for length in lengths if length.lines > limit), reverse=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_is_long(folder: str) -> None:
    """No function has more than 50 lines."""
    functions = [function for path in sources(folder) for function in functions_of(path)]
    assert _over(LONGEST_FUNCTION, functions) == []


@pytest.mark.parametrize("folders", [("services",), FOLDERS], ids=["services", "everything"])
def test_nine_of_ten_functions_are_short(folders: tuple[str, ...]) -> None:
    """At least 90 of 100 functions have at most 20 lines."""
    functions = [function for path in sources(*folders) for function in functions_of(path)]
    long = _over(SHORT_FUNCTION, functions)
    assert len(long) <= (1 - SHARE_OF_SHORT) * len(functions), long


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_long(folder: str) -> None:
    """No module has more than 300 lines, suites of tests included."""
    modules = [Length(len(path.read_text(encoding="utf-8").splitlines()), name_of(path)) for path in sources(folder)]
    assert _over(LONGEST_MODULE, modules) == []
