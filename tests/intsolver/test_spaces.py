"""The problem files that come with the project give the counts that independent methods gave."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from intsolver import Problem, Solutions

FOLDER = Path(__file__).resolve().parents[2] / "data" / "spaces"
FILES = sorted(FOLDER.glob("*.json"))
_LISTED = 400_000  # rows; larger sets are sampled
_ROWS = 200  # that the oracle looks at, per file


@cache
def opened(path: Path) -> tuple[dict[str, Any], Problem, Solutions]:
    space = json.loads(path.read_text(encoding="utf-8"))
    problem = Problem.from_space(path)
    return space, problem, problem.solve()


def satisfies(space: dict[str, Any], solution: dict[str, int]) -> bool:
    return all(oracle.holds(oracle.compiled(text), solution) for text in space["constraints"])


def test_all_the_files_are_here() -> None:
    assert len(FILES) >= 58


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_expected_valid(path: Path) -> None:
    space, problem, found = opened(path)
    assert found.count == len(found) == problem.count() == space["expected_valid"]
    assert found.names == tuple(v["name"] for v in space["variables"])
    some = found if found.count <= _ROWS else found.sample(_ROWS, seed=0)
    assert all(satisfies(space, dict(solution)) for solution in some)
    assert found.contains(some[0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_listing_has_no_duplicates_and_stays_in_the_domains(path: Path) -> None:
    space, problem, found = opened(path)
    if found.count > _LISTED:
        found = problem.limit(50_000)
    table = found.to_numpy()
    assert len(np.unique(table, axis=0)) == len(table) == found.count
    for variable, column in zip(space["variables"], table.T, strict=True):
        assert set(np.unique(column).tolist()) <= set(variable["domain"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_first_satisfies_and_the_optimum_is_the_best_of_the_listing(path: Path) -> None:
    space, problem, found = opened(path)
    first = problem.first()
    assert satisfies(space, first)
    assert first == found[0]
    objective = space["objective"]
    best = problem.maximize if objective["sense"] == "max" else problem.minimize
    optimum = best(objective["expr"])
    assert satisfies(space, optimum)
    code = oracle.compiled(objective["expr"])
    assert optimum.value == oracle.value(code, optimum)
    values = _values(objective["expr"], found)
    assert optimum.value == (max(values) if objective["sense"] == "max" else min(values))


def _values(expression: str, found: Solutions) -> np.ndarray:
    """Return an objective (sums and products only) at every distinct row of what it reads."""
    rows = found.project(*[n for n in found.names if n in expression.replace("*", " ").split()])
    columns = {name: rows.column(name) for name in rows.names}
    return np.asarray(eval(expression, {"__builtins__": {}}, columns))  # noqa: S307 - our own text
