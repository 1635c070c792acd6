"""Problem files: what they say is read, and what is wrong with them is said."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from intsolver import FormatError, Problem

SPACES = Path(__file__).resolve().parents[2] / "data" / "spaces"
SPACE: dict[str, Any] = {
    "format": "intcsp-1",
    "name": "tile",
    "variables": [
        {"name": "bm", "domain": [16, 32, 64]},
        {"name": "shift", "domain": [-1, 0, 1]},
    ],
    "constraints": ["bm * 4 <= smem", "shift != 0 or bm == 16"],
    "constraint_names": ["fits", None],
    "params": {"smem": 128, "gpu": "H200"},
    "objective": {"sense": "min", "expr": "bm + shift"},
}
T1: dict[str, Any] = {
    "General": {"BenchmarkName": "convolution"},
    "ConfigurationSpace": {
        "TuningParameters": [
            {"Name": "bx", "Type": "int", "Values": "[16, 32, 48]", "Default": 16},
            {"Name": "tx", "Type": "int", "Values": "list(range(1, 5))"},
            {"Name": "vw", "Type": "uint", "Values": "[2**i for i in range(3)]"},
        ],
        "Conditions": [
            {"Expression": "bx * tx <= 64", "Parameters": ["bx", "tx"]},
            {"Expression": "bx % (vw * tx) == 0", "Parameters": ["bx", "tx", "vw"]},
        ],
    },
    "KernelSpecification": {"Language": "CUDA", "KernelName": "conv"},
}


def changed(space: dict[str, Any], *path: Any, to: Any = None) -> dict[str, Any]:
    """Return a copy with the value at `path` replaced; removed where `to` is None."""
    space = copy.deepcopy(space)
    at: Any = space
    for key in path[:-1]:
        at = at[key]
    if to is None:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return space


def test_a_space_is_read_with_parameters_names_and_objective() -> None:
    problem = Problem.from_space(SPACE)
    assert problem.name == "tile"
    assert problem.params == {"smem": 128}
    assert [c.name for c in problem.constraints] == ["fits", "shift != 0 or bm == 16"]
    assert problem.objective == ("bm + shift", "min")
    assert problem.solve().to_numpy().tolist() == [[16, -1], [16, 0], [16, 1], [32, -1], [32, 1]]
    assert problem.count(smem=64) == 3
    assert problem.minimize("bm + shift").value == 15


def test_a_constraint_may_be_an_object_with_its_name() -> None:
    constraints = [{"text": "bm * 4 <= smem", "name": "fits"}, {"text": "shift != 0 or bm == 16"}]
    problem = Problem.from_space({**SPACE, "constraints": constraints, "constraint_names": None})
    assert [c.name for c in problem.constraints] == ["fits", "shift != 0 or bm == 16"]
    assert problem.count() == 5


def test_a_space_survives_writing_and_reading(tmp_path: Path) -> None:
    problem = Problem("p")
    x = problem.var("x", -3, 9, step=3)
    problem.param("most", 4)
    problem.define("twice", x * 2)
    problem.add("twice / 4 < most", name="bounded")
    problem.add(x != 3)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(problem.to_space()), encoding="utf-8")
    again = Problem.from_space(path)
    assert [c.name for c in again.constraints] == ["bounded", "x != 3"]
    assert list(again.solve().column("x")) == list(problem.solve().column("x")) == [-3, 0, 6]
    assert again.count(most=2) == problem.count(most=2) == 2
    assert again.to_space() == Problem.from_space(str(path)).to_space()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (changed(SPACE, "variables"), r"no 'variables'"),
        (changed(SPACE, "constraints"), r"no 'constraints'"),
        (changed(SPACE, "name", to=3), "name is 3, expected text"),
        ([SPACE], "expected a dictionary or the path of a file"),
        (changed(SPACE, "format", to="intcsp-2"), "'intcsp-2', expected 'intcsp-1'"),
        (changed(SPACE, "variables", to={"bm": [1]}), "expected a list"),
        (changed(SPACE, "variables", 0, to=7), r"variables\[0\].*expected an object"),
        (changed(SPACE, "variables", 1, "name"), r"variables\[1\].*no 'name'"),
        (changed(SPACE, "variables", 1, "name", to="bm"), r"variables\[1\].*'bm' already"),
        (changed(SPACE, "variables", 0, "name", to="a b"), r"variables\[0\].*'a b' cannot be"),
        (changed(SPACE, "variables", 0, "domain"), r"variables\[0\].*no 'domain'"),
        (changed(SPACE, "variables", 0, "domain", to=[1, 2.0]), r"'bm'.*integers, got 2\.0"),
        (changed(SPACE, "variables", 0, "domain", to=[1, True]), r"'bm'.*integers, got True"),
        (changed(SPACE, "variables", 0, "domain", to=["1"]), r"'bm'.*integers, got '1'"),
        (changed(SPACE, "variables", 0, "domain", to=[]), r"variables\[0\].*empty"),
        (changed(SPACE, "variables", 0, "domain", to=[4, 8, 4]), "has 4 twice"),
        (changed(SPACE, "constraints", 0, to=7), r"constraints\[0\]: expected text.*got 7"),
        (changed(SPACE, "constraints", 0, to={"name": "x"}), r"constraints\[0\]: expected text"),
        (changed(SPACE, "constraints", 1, to="bm <"), r"constraints\[1\]: not an expression"),
        (changed(SPACE, "constraints", 1, to="bn < 2"), r"constraints\[1\]: unknown name 'bn'"),
        (changed(SPACE, "constraint_names", to=["fits"]), "constraint_names: expected 2 names"),
        (changed(SPACE, "params", "smem", to=1.5), r"params\['smem'\]: expected an integer"),
        (changed(SPACE, "params", to=[1]), "params: expected an object"),
        (changed(SPACE, "params"), r"constraints\[0\]: unknown name 'smem'"),
        (changed(SPACE, "objective", "sense", to="up"), "expected 'max' or 'min'"),
        (changed(SPACE, "objective", "expr", to="bm +"), "objective: not an expression"),
    ],
)
def test_what_is_wrong_with_a_space_is_said(space: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Problem.from_space(space)


def test_files_that_are_no_space(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.json: cannot be read"):
        Problem.from_space(tmp_path / "none.json")
    for content, message in (
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "expected an object"),
    ):
        path = tmp_path / "bad.json"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=rf"bad\.json: {message}"):
            Problem.from_space(path)


def test_kernel_tuner_dictionaries() -> None:
    params = {"block_size_x": [16, 32], "tile": [1, 2, 4]}
    problem = Problem.from_kernel_tuner(params, ["block_size_x * tile <= 64", "tile != 2"])
    assert problem.solve().to_numpy().tolist() == [[16, 1], [16, 4], [32, 1]]
    assert Problem.from_kernel_tuner(params).count() == 6
    assert Problem.from_kernel_tuner(params, "tile == 4").count() == 2


@pytest.mark.parametrize(
    ("params", "restrictions", "message"),
    [
        ({"x": [1, 2.5]}, [], r"tune_params\['x'\].*2\.5"),
        ({"x": [True, False]}, [], r"tune_params\['x'\].*truth value True"),
        ({"x": ["float", "double"]}, [], r"tune_params\['x'\].*'float'"),
        ({"x": "12"}, [], r"tune_params\['x'\].*list of integers"),
        ({"x": []}, [], r"tune_params\['x'\].*empty"),
        ({"x y": [1]}, [], r"tune_params\['x y'\].*cannot be a name"),
        ({"x": [1]}, ["x > y"], r"restrictions\[0\].*unknown name 'y'"),
        ({"x": [1]}, ["x > 0", lambda p: p["x"] > 1], r"restrictions\[1\].*a function"),
        ({"x": [1]}, 5, "restrictions: expected a list of texts, got 5"),
        ([("x", [1])], [], "expected a dictionary of lists"),
    ],
)
def test_what_is_wrong_with_tune_params_is_said(
    params: Any, restrictions: Any, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        Problem.from_kernel_tuner(params, restrictions)


def test_t1_input(tmp_path: Path) -> None:
    problem = Problem.from_kernel_tuner(T1)
    assert problem.name == "conv"
    assert {v.name: v.domain for v in problem.variables} == {
        "bx": (16, 32, 48),
        "tx": (1, 2, 3, 4),
        "vw": (1, 2, 4),
    }
    expected = [
        (bx, tx, vw)
        for bx in (16, 32, 48)
        for tx in (1, 2, 3, 4)
        for vw in (1, 2, 4)
        if bx * tx <= 64 and bx % (vw * tx) == 0
    ]
    assert [tuple(row) for row in problem.solve().to_numpy().tolist()] == expected
    path = tmp_path / "t1.json"
    path.write_text(json.dumps(T1), encoding="utf-8")
    assert Problem.from_kernel_tuner(path).count() == len(expected)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ("[1, -2, 4*4]", [1, -2, 16]),
        ("(8, 16)", [8, 16]),
        ("range(3)", [0, 1, 2]),
        ("list(range(8, 33, 8)) + [128]", [8, 16, 24, 32, 128]),
        ("[32 * i for i in range(1, 4)]", [32, 64, 96]),
        ("list(range(4, 0, -1))", [4, 3, 2, 1]),
    ],
)
def test_t1_values(values: str, found: list[int]) -> None:
    space = changed(T1, "ConfigurationSpace", "TuningParameters", 0, "Values", to=values)
    space["ConfigurationSpace"]["Conditions"] = []
    assert list(Problem.from_kernel_tuner(space).variables[0].domain) == found


@pytest.mark.parametrize(
    "values",
    [
        "[1.5]",
        "[True]",
        "['a']",
        "__import__('os').listdir()",
        "list(range(10**9))",
        "range(1, 2, 0)",
        "[x for x in [y for y in range(3)] if x]",
        "[z]",
        "[1, 2",
        "[]",
        "9**9**9",
        "[1] * 10",
        "open('x')",
    ],
)
def test_t1_values_that_are_no_list_of_integers(values: str) -> None:
    space = changed(T1, "ConfigurationSpace", "TuningParameters", 0, "Values", to=values)
    with pytest.raises(FormatError, match=r"TuningParameters\[0\]"):
        Problem.from_kernel_tuner(space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (changed(T1, "ConfigurationSpace", to=[]), "ConfigurationSpace"),
        (changed(T1, "ConfigurationSpace", "TuningParameters"), "no 'TuningParameters'"),
        (
            changed(T1, "ConfigurationSpace", "TuningParameters", 1, "Name"),
            r"TuningParameters\[1\]: no 'Name'",
        ),
        (changed(T1, "ConfigurationSpace", "Conditions", to={"a": 1}), "Conditions: expected a"),
        (
            changed(T1, "ConfigurationSpace", "Conditions", 0, "Expression", to="bx = 3"),
            r"Conditions\[0\]",
        ),
    ],
)
def test_what_is_wrong_with_a_t1_input_is_said(space: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Problem.from_kernel_tuner(space)


def test_every_shipped_space_survives_writing_and_reading() -> None:
    for path in sorted(SPACES.glob("*.json")):
        written = Problem.from_space(path).to_space()
        given = json.loads(path.read_text(encoding="utf-8"))
        assert written["constraints"] == given["constraints"]
        assert written["variables"] == given["variables"]
        assert written["objective"] == {
            "expr": given["objective"]["expr"],
            "sense": given["objective"]["sense"],
        }
