"""Habits that a linter does not know: folders explain themselves, tables have one owner, nothing is swallowed, no catch-all modules."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import name_of, sources, text_of, tree_of

SERVICES = sources("services")
MIGRATIONS = sources("deploy/migrations/versions")
FOLDERS = sorted({path.parent for path in SERVICES})
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "tools"}
OWNERSHIP = re.compile(r"Tables owned by `(?P<owner>services(?:\.\w+)+)`: (?P<tables>[^.]+)\.")
WRITE = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+([a-z_]+)\b")


def _owned_tables(migration: Path) -> tuple[str, set[str]]:
    found = OWNERSHIP.search(ast.get_docstring(tree_of(migration)) or "")
    assert found, f"{name_of(migration)}: its docstring must say 'Tables owned by `services.x`: a, b.'"
    names = re.sub(r"\([^)]*\)", "", found["tables"])
    return found["owner"], {name.strip() for name in names.split(",")}


def _created_tables(migration: Path) -> list[str]:
    calls = (node for node in ast.walk(tree_of(migration)) if isinstance(node, ast.Call))
    return [text_of(call.args[0]) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "create_table"]


def _owners() -> dict[str, str]:
    return {table: owner for path in MIGRATIONS if _created_tables(path) for owner, tables in [_owned_tables(path)] for table in tables}


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_folder_explains_itself(folder: Path) -> None:
    """Every package says in its __init__ what belongs there."""
    package = folder / "__init__.py"
    assert package.exists()
    assert len(ast.get_docstring(tree_of(package)) or "") > len("Some words.")


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_module_has_a_telling_name(path: Path) -> None:
    """No module is called utils, common, helpers, manager or base_something."""
    assert path.stem not in VAGUE
    assert not path.stem.startswith("base")


@pytest.mark.parametrize("migration", [path for path in MIGRATIONS if _created_tables(path)], ids=lambda path: path.stem)
def test_migration_names_the_owner_of_its_tables(migration: Path) -> None:
    """A migration's docstring names exactly the tables it creates, and a folder that exists as their owner."""
    owner, tables = _owned_tables(migration)
    assert tables == set(_created_tables(migration))
    assert any(name_of(folder).replace("/", ".") == owner for folder in FOLDERS)


def test_table_is_created_once() -> None:
    """No table is created by two migrations."""
    created = [table for migration in MIGRATIONS for table in _created_tables(migration)]
    assert sorted(created) == sorted(set(created))


def test_only_its_owner_writes_a_table() -> None:
    """Statements that write a table stand in its owner's folder and nowhere else."""
    owners = _owners()
    foreign = [
        f"{name_of(path)} writes {table}, which {owners[table]} owns"
        for path in SERVICES
        for table in WRITE.findall(text_of(tree_of(path)))
        if table in owners and not name_of(path).replace("/", ".").startswith(f"{owners[table]}.")
    ]
    assert foreign == []


def _swallows(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        broad = node.type is None or _names_everything(node.type)
        return broad and all(isinstance(line, (ast.Pass, ast.Continue)) or _is_constant(line) for line in node.body)
    return isinstance(node, ast.Call) and _called(node) == "suppress" and any(_names_everything(arg) for arg in node.args)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _names_everything(node: ast.expr) -> bool:
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"} for name in names)


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_nothing_is_swallowed(path: Path) -> None:
    """No handler catches everything and does nothing about it."""
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, (ast.ExceptHandler, ast.Call)) and _swallows(node)] == []


@pytest.mark.parametrize(
    "code",
    ["try:\n    f()\nexcept Exception:\n    pass", "try:\n    f()\nexcept:\n    ...", "with suppress(BaseException):\n    f()"],
)
def test_swallowing_is_recognised(code: str) -> None:
    """Each way of swallowing everything is found."""
    assert any(_swallows(node) for node in ast.walk(ast.parse(code)))
