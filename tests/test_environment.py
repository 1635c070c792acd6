"""What gets installed is pinned: every package that pyproject.toml names, each to one version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PINNED = ["constraints.txt", "solver/benchmarks/requirements.txt"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: str) -> dict[str, str]:
    """Return versions by name; anything but ``name==version`` and comments is an error."""
    found: dict[str, str] = {}
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9][\w.-]*)==([\w.+!-]+)", line.strip())
        assert match, f"{path}: {line!r} is not name==version"
        assert canonical(match[1]) not in found, f"{path}: {match[1]} is pinned twice"
        found[canonical(match[1])] = match[2]
    return found


def required() -> dict[str, list[str]]:
    """Return the requirements of pyproject.toml by what asks for them, ours left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {
        group: [line for line in lines if not line.startswith(project["name"])]
        for group, lines in groups.items()
    }


@pytest.mark.parametrize("path", PINNED)
def test_pins_are_names_with_versions(path: str) -> None:
    assert len(pins(path)) > 20


@pytest.mark.parametrize("group", sorted(required()))
def test_constraints_cover_what_is_asked_for(group: str) -> None:
    pinned = pins("constraints.txt")
    for line in required()[group]:
        name = re.match(r"[A-Za-z0-9][\w.-]*", line)
        assert name, line
        assert canonical(name[0]) in pinned, f"[{group}] {line}: no version in constraints.txt"


def test_the_benchmark_pins_what_it_compares_with_and_the_same_numpy() -> None:
    bench = pins("solver/benchmarks/requirements.txt")
    for name in ("python-constraint2", "kernel-tuner", "pyatf", "ortools"):
        assert name in bench
    assert bench["numpy"] == pins("constraints.txt")["numpy"]
