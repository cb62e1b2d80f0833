"""Sizes that keep the code readable: file, function and class, without exceptions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60
CLASS_METHODS = 25
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def over_budget(root: Path) -> Iterator[str]:
    """Yield one line for each breach under ``root``."""
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{where}: {lines} lines, at most {FILE_LINES}"
        if FORBIDDEN_NAMES & set(path.stem.split("_")):
            yield f"{where}: a name that says nothing"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES:
                    yield f"{where}:{node.lineno}: {node.name} has {size} lines, at most {FUNCTION_LINES}"
            elif isinstance(node, ast.ClassDef):
                methods = sum(isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) for each in node.body)
                if methods > CLASS_METHODS:
                    yield f"{where}:{node.lineno}: {node.name} has {methods} methods, at most {CLASS_METHODS}"


@pytest.mark.parametrize("part", ["src", "tests"])
def test_everything_is_within_its_budget(part: str) -> None:
    assert list(over_budget(ROOT / part)) == []


def test_each_budget_is_seen_to_fail(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * (FILE_LINES + 1))
    (tmp_path / "function.py").write_text("def f():\n" + "    x = 1\n" * FUNCTION_LINES)
    methods = "".join(f"    def m{number}(self): ...\n" for number in range(CLASS_METHODS + 1))
    (tmp_path / "klass.py").write_text(f"class C:\n{methods}")
    (tmp_path / "db_utils.py").write_text("")
    (tmp_path / "good.py").write_text("def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1))
    assert list(over_budget(tmp_path)) == [
        "db_utils.py: a name that says nothing",
        "function.py:1: f has 61 lines, at most 60",
        "klass.py:1: C has 26 methods, at most 25",
        "long.py: 401 lines, at most 400",
    ]
