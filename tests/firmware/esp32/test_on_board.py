"""Runs the checks in `on_board`, each in a MicroPython of its own and with an empty flash."""

import ast
from pathlib import Path

import pytest

from tests.support.micropython import ON_BOARD, check


def _functions(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [one.name for one in tree.body if isinstance(one, kinds) and one.name[0] != "_"]


@pytest.mark.parametrize(
    ("file", "function"),
    [
        pytest.param(file, function, id=f"{file.stem}-{function}")
        for file in sorted(ON_BOARD.glob("*.py"))
        if file.stem != "support"
        for function in _functions(file)
    ],
)
def test_on_micropython(file: Path, function: str, tmp_path: Path) -> None:
    """What the function's name says holds in MicroPython."""
    check(tmp_path, file, function)
