"""The ban list of the decision core: what deterministic code may not touch, and a checker that finds it in source text."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BANNED_MODULES = {
    "clock": ("time", "sched", "timeit"),
    "randomness": ("random", "secrets"),
    "environment": ("os", "sys", "platform", "locale", "getpass", "pwd", "sysconfig", "site"),
    "files": ("pathlib", "io", "tempfile", "shutil", "glob", "fileinput", "mmap", "sqlite3", "dbm", "shelve"),
    "network": ("socket", "ssl", "http", "urllib", "smtplib", "ftplib", "socketserver", "select", "selectors"),
    "concurrency": ("asyncio", "threading", "multiprocessing", "concurrent", "queue", "signal", "contextvars", "subprocess"),
    "output": ("logging", "warnings"),
    "loading": ("importlib", "pkgutil", "runpy", "pickle", "ctypes"),
}
BANNED_CALLS = {
    "open": "files: open()",
    "print": "output: print()",
    "input": "environment: input()",
    "breakpoint": "environment: breakpoint()",
    "__import__": "loading: __import__()",
    "hash": "randomness: hash() differs from process to process",
    "id": "randomness: id() differs from process to process",
}
BANNED_ATTRIBUTES = {
    "now": "clock: now()",
    "utcnow": "clock: utcnow()",
    "today": "clock: today()",
    "uuid1": "randomness: uuid1()",
    "uuid4": "randomness: uuid4()",
}
NEEDS_ARGUMENT = {
    "astimezone": (1, "environment: astimezone() without a zone reads the machine's"),
    "fromtimestamp": (2, "environment: fromtimestamp() without a zone reads the machine's"),
}
OWN_IMPORTS = ("services.contracts", "services.rules.core")
FOREIGN_IMPORTS = ("msgspec",)
EXCEPTIONS = {
    "zoneinfo": "it reads the tz files of the machine, else of the package tzdata: local hours can't be told without them. The core asks"
    " once a zone; the answer changes only with a release of the tz database",
}
"""Modules that touch the machine and are let through all the same, with the reason."""

_GROUP_OF = {module: group for group, modules in BANNED_MODULES.items() for module in modules}


class Violation(NamedTuple):
    """One broken ban."""

    path: str
    line: int
    message: str


def violations_in(path: Path) -> list[Violation]:
    """Return what one source file does that the core may not, by line."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    _forget_hash_methods(tree)
    found = {Violation(path.name, node.lineno, message) for node, message in _findings(tree)}
    return sorted(found, key=lambda violation: (violation.line, violation.message))


def _forget_hash_methods(tree: ast.Module) -> None:
    """Inside `__hash__` a hash that differs from process to process is what Python asks for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__hash__":
            node.body = [ast.Pass(lineno=node.lineno, col_offset=0)]


def _findings(tree: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, m) for alias in node.names for m in _import(alias.name))
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, m) for m in _import_from(node))
        elif isinstance(node, ast.Call):
            yield from ((node, m) for m in _call(node))
        elif isinstance(node, ast.Attribute):
            yield from ((node, m) for m in _clock_reference(node))
        elif isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            yield node, "concurrency: async code"


def _import(module: str) -> Iterator[str]:
    top = module.partition(".")[0]
    if group := _GROUP_OF.get(top):
        yield f"{group}: import of {top}"
    elif top == "services":
        if not module.startswith(OWN_IMPORTS):
            yield f"direction: import of {module}"
    elif top in EXCEPTIONS:
        return
    elif top not in sys.stdlib_module_names and top not in FOREIGN_IMPORTS:
        yield f"direction: import of {top}"


def _import_from(node: ast.ImportFrom) -> Iterator[str]:
    if node.level:
        yield "direction: relative import"
        return
    yield from _import(node.module or "")
    yield from (BANNED_ATTRIBUTES[alias.name] for alias in node.names if node.module == "uuid" and alias.name in BANNED_ATTRIBUTES)


def _call(node: ast.Call) -> Iterator[str]:
    if isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
        yield BANNED_CALLS[node.func.id]
    elif isinstance(node.func, ast.Attribute):
        name = node.func.attr
        if name in BANNED_ATTRIBUTES:
            yield BANNED_ATTRIBUTES[name]
        needed, message = NEEDS_ARGUMENT.get(name, (0, ""))
        if len(node.args) + len(node.keywords) < needed:
            yield message


def _clock_reference(node: ast.Attribute) -> Iterator[str]:
    owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
    if owner in {"datetime", "date"} and node.attr in BANNED_ATTRIBUTES:
        yield BANNED_ATTRIBUTES[node.attr]
