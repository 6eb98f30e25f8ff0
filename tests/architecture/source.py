"""The project's source as syntax trees, for the checks beside this file."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Length(NamedTuple):
    """How long something is, in lines, and where it stands."""

    lines: int
    where: str


def sources(*folders: str) -> list[Path]:
    """Return the Python files under these folders of the project, but for the fixtures that are wrong on purpose."""
    files = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in files if "fixtures/bans" not in path.as_posix())


def tree_of(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """Return a path as seen from the project's root."""
    return path.relative_to(ROOT).as_posix()


def functions_of(path: Path) -> Iterator[Length]:
    """Return every function of a file with its length, signature and docstring included, decorators not."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Length(lines, f"{name_of(path)}:{node.lineno} {node.name}")


def text_of(node: ast.AST) -> str:
    """Return the literal text below a node, without docstrings: the SQL of a statement put together from pieces."""
    docstrings = {id(n.value) for n in ast.walk(node) if isinstance(n, ast.Expr)}
    return " ".join(n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docstrings)
