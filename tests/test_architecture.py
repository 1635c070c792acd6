"""Arrows point one way: intsolver <- rnnkernels <- workbench; nothing here shadows a library."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "intsolver": ROOT / "solver" / "intsolver",
    "rnnkernels": ROOT / "kernels" / "rnnkernels",
    "workbench": ROOT / "workbench" / "workbench",
}
FORBIDDEN = {
    "intsolver": {"rnnkernels", "workbench", "torch", "triton", "pandas", "ipywidgets"},
    "rnnkernels": {"workbench", "ipywidgets", "plotly", "pandas"},
    "workbench": set(),
    "workbench.clumps": {"rnnkernels", "intsolver", "triton"},
}
TOP_LEVEL = {"workbench", "notebooks", "kernels", "solver", "data", "tests", "docs"}


def modules() -> list[tuple[str, Path]]:
    found = []
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found.append((".".join((package, *parts)), path))
    return found


def imported(path: Path) -> list[tuple[str, bool]]:
    """Return (module, at import time?) for every import, those for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append((node.module, id(node) not in lazy))
    return found


@pytest.mark.parametrize(("name", "path"), modules(), ids=str)
def test_imports_point_one_way(name: str, path: Path) -> None:
    for area, forbidden in FORBIDDEN.items():
        if name != area and not name.startswith(area + "."):
            continue
        for module, at_import in imported(path):
            top = module.split(".")[0]
            lazily_allowed = area == "intsolver" and top == "pandas" and not at_import
            assert top not in forbidden or lazily_allowed, f"{name} imports {module}"


@pytest.mark.parametrize(("name", "path"), modules(), ids=str)
def test_a_module_has_a_docstring_and_a_readable_length(name: str, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{name} does not say what it is for"
    assert len(text.splitlines()) <= 500, f"{name} does more than one thing"


def test_top_level_folders_hold_packages_and_are_none() -> None:
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0] not in "._"}
    assert folders - {"build", "dist"} <= TOP_LEVEL
    for holder in ("solver", "kernels", "workbench", "tests"):
        strays = list((ROOT / holder).glob("__init__.py"))
        assert not strays, f"{strays}: would shadow the library of that name"
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_light_install_needs_numpy_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [d.split(">")[0] for d in project["dependencies"]] == ["numpy"]
    extras = set(project["optional-dependencies"])
    assert {"kernels", "clumps", "lab", "dev", "all"} <= extras


def test_environment_yml_installs_this_checkout_with_the_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    assert "python=3.11" in environment["dependencies"]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["-c constraints.txt", "-e .[all]"]


def test_constraints_pin_names_to_versions_only() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert name, line
            assert version, line
            assert "://" not in line, line
