"""Folders, files, classes and functions stay small enough to be read at once."""

import ast
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path
    for folder in ("service", "model", "training", "ctr_afm", "artf", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def definitions(kinds: tuple[Any, ...], most: int) -> set[str]:
    """Each definition of more than `most` lines, docstring and all."""
    return {
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, kinds) and node.end_lineno - node.lineno >= most
    }


def test_functions_have_at_most_60_lines() -> None:
    assert definitions((ast.FunctionDef, ast.AsyncFunctionDef), 60) == set()


def test_classes_have_at_most_200_lines() -> None:
    assert definitions((ast.ClassDef,), 200) == set()


def test_files_have_at_most_300_lines() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (*FILES, *TESTS)
    }
    assert {name for name, size in sizes.items() if size > 300} == set()


@pytest.mark.parametrize("package", ["service", "model", "training", "ctr_afm", "artf"])
def test_folders_hold_at_most_12_modules(package: str) -> None:
    folders = {path.parent for path in FILES if path.relative_to(ROOT).parts[0] == package}
    sizes = {
        str(folder.relative_to(ROOT)): sum(p.name != "__init__.py" for p in folder.glob("*.py"))
        for folder in folders
    }
    assert {name: size for name, size in sizes.items() if size > 12} == {}
