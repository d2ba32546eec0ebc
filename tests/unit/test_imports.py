"""Imports point one way, and what is pure stays free of Home Assistant."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "custom_components" / "energy_meter"
PURE = ("model", "metering", "sources", "load_shedding")
LAYERS = {
    "model": ("model",),
    "metering": ("model", "metering"),
    "sources": ("model", "metering", "sources", "const"),
    "load_shedding": ("load_shedding",),
}


def _modules() -> list[Path]:
    return sorted(path for part in PURE for path in (ROOT / part).rglob("*.py"))


def _imports(path: Path) -> list[str]:
    """Absolute dotted names that a module imports, relative ones resolved below the integration."""
    found: list[str] = []
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                above = package[: len(package) - node.level + 1]
                found.append(".".join(("energy_meter", *above, node.module or "")))
            else:
                found.append(node.module or "")
    return found


def test_the_pure_parts_are_found() -> None:
    assert len(_modules()) > 5


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_modules_do_not_import_home_assistant(path: Path) -> None:
    assert not [name for name in _imports(path) if name.split(".")[0] == "homeassistant"]


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    allowed = LAYERS[path.relative_to(ROOT).parts[0]]
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "energy_meter" and len(parts) > 1 and parts[1]:
            assert parts[1] in allowed, f"{path.name} imports {name}"
