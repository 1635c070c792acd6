"""`workbench solve`: answers on stdout, mistakes as one line on stderr, exit codes 0, 1, 2."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from intsolver import Problem
from workbench.cli import main

from workbench import datafiles

if TYPE_CHECKING:
    from pathlib import Path

GEMM = Problem.from_space(datafiles.space("gemm"))
SPACE: dict[str, Any] = {
    "format": "intcsp-1",
    "name": "tile",
    "variables": [{"name": "n", "domain": [16, 32, 64]}, {"name": "w", "domain": [1, 2, 4]}],
    "constraints": [{"text": "n * w * 4 <= smem", "name": "fits"}, "64 % (n * w) == 0"],
    "params": {"smem": 256, "gpu": "remark"},
}
T1 = {
    "General": {"BenchmarkName": "toy"},
    "ConfigurationSpace": {
        "TuningParameters": [
            {"Name": "x", "Type": "int", "Values": "[1, 2, 4]"},
            {"Name": "y", "Type": "int", "Values": [1, 3]},
        ],
        "Conditions": [{"Expression": "x > y", "Parameters": ["x", "y"]}],
    },
}


@pytest.fixture
def space(tmp_path: Path) -> str:
    return written(tmp_path, SPACE)


def written(folder: Path, content: Any, name: str = "tile.json") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def solve(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["solve", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def rows(text: str) -> list[dict[str, int]]:
    return [{k: int(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]


@pytest.mark.parametrize("name", ["hotspot", "gemm", "magic_3"])
def test_count_of_what_comes_along(capsys: pytest.CaptureFixture[str], name: str) -> None:
    wanted = json.loads(datafiles.space(name).read_text("utf-8"))["expected_valid"]
    assert solve(capsys, name, "--count") == (0, f"{wanted}\n", "")
    assert json.loads(solve(capsys, name, "--count", "--json")[1]) == {"count": wanted}


def test_summary(capsys: pytest.CaptureFixture[str], space: str) -> None:
    code, out, err = solve(capsys, space)
    assert (code, err) == (0, "")
    for said in ("tile", "2 variables: n, w", "2 constraints", "smem = 256", "6 solutions among 9"):
        assert said in out
    summary = json.loads(solve(capsys, space, "--set", "smem=64", "--json")[1])
    assert summary["count"] == 1
    assert summary["parameters"] == {"smem": 64}


def test_solutions_as_lines_csv_and_json(capsys: pytest.CaptureFixture[str], space: str) -> None:
    assert solve(capsys, space, "--first") == (0, "n=16  w=1\n", "")
    listed = rows(solve(capsys, space, "--limit", "4", "--csv")[1])
    assert listed == [dict(s) for s in Problem.from_space(SPACE).limit(4)]
    as_json = json.loads(solve(capsys, space, "--limit", "4", "--json")[1])
    assert as_json == {"solutions": listed}


def test_sample_repeats_with_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    first = solve(capsys, "gemm", "--sample", "6", "--seed", "3", "--csv")[1]
    assert first == solve(capsys, "gemm", "--sample", "6", "--seed", "3", "--csv")[1]
    drawn = rows(first)
    assert len(drawn) == 6
    solutions = GEMM.solve()
    assert all(solutions.contains(row) for row in drawn)
    assert drawn == [dict(s) for s in solutions.sample(6, seed=3)]


def test_optimum_and_the_top_few(capsys: pytest.CaptureFixture[str], space: str) -> None:
    assert solve(capsys, space, "--maximize", "n - w") == (0, "n=64  w=1  n - w=63\n", "")
    assert solve(capsys, space, "--minimize", "n - w", "--set", "n=32")[1].endswith("n - w=30\n")
    best = rows(solve(capsys, "gemm", "--maximize", "MWG*NWG*KWG", "--top", "3", "--csv")[1])
    wanted = GEMM.maximize("MWG*NWG*KWG", top=3)
    assert best == [{**optimum, "MWG*NWG*KWG": optimum.value} for optimum in wanted]


def test_a_variable_may_be_called_like_an_argument(
    capsys: pytest.CaptureFixture[str], space: str
) -> None:
    assert solve(capsys, space, "--set", "n=64", "--limit", "5") == (0, "n=64  w=1\n", "")


def test_explain(capsys: pytest.CaptureFixture[str], space: str) -> None:
    code, out, _ = solve(capsys, space, "--set", "smem=1", "--explain")
    assert code == 1
    assert "fits: needs smem >= 64" in out
    content = json.loads(solve(capsys, space, "--set", "smem=1", "--explain", "--json")[1])
    assert content["core"] == ["fits"]
    assert content["relaxations"][0]["value"] == 64
    code, out, _ = solve(capsys, space, "--explain")
    assert (code, "feasible" in out) == (0, True)


@pytest.mark.parametrize(
    "question", [["--first"], ["--limit", "3"], ["--sample", "3"], ["--maximize", "n"]]
)
def test_no_solution_is_1(
    capsys: pytest.CaptureFixture[str], space: str, question: list[str]
) -> None:
    code, out, err = solve(capsys, space, "--set", "smem=1", *question)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "--explain says why" in err
    assert solve(capsys, space, "--set", "smem=1", "--count") == (1, "0\n", "")


def test_kernel_tuner_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path, T1, "T1.json")
    assert solve(capsys, path, "--count") == (0, "3\n", "")
    listed = rows(solve(capsys, path, "--limit", "9", "--csv")[1])
    assert {(row["x"], row["y"]) for row in listed} == {(2, 1), (4, 1), (4, 3)}


def changed(**fields: Any) -> dict[str, Any]:
    return {**SPACE, **fields}


BAD_FILES = {
    "no JSON": ("{", "not JSON"),
    "a list": ([1, 2], "expected a JSON object"),
    "no variables": ({"format": "intcsp-1"}, "tile.json"),
    "another format": (changed(format="intcsp-9"), "'intcsp-9', expected 'intcsp-1'"),
    "unknown name": (changed(constraints=["n * foo <= 4"]), "unknown name 'foo'"),
    "a call": (changed(constraints=["open('x')"]), "constraints[0]"),
    "a float": (changed(variables=[{"name": "n", "domain": [1, 2.5]}]), "integers, got 2.5"),
    "an empty domain": (changed(variables=[{"name": "n", "domain": []}]), "variables[0]"),
    "no text": (changed(constraints=[5]), "constraints[0]"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str
) -> None:
    content, said = BAD_FILES[case]
    complains(capsys, said, written(tmp_path, content), "--count")


def complains(capsys: pytest.CaptureFixture[str], said: str, *arguments: str) -> None:
    code, out, err = solve(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("workbench: ")
    assert err.count("\n") == 1, err
    assert said in err


def test_files_that_are_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    complains(capsys, "no file", str(tmp_path / "missing.json"), "--count")
    complains(capsys, "is a folder", str(tmp_path), "--count")
    binary = tmp_path / "binary.json"
    binary.write_bytes(os.urandom(4096) + b"\x00\xff")
    complains(capsys, "not JSON", str(binary), "--count")
    complains(capsys, "cannot be read", "x" * 5000, "--count")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as sparse:
        sparse.truncate(200_000_000)
    complains(capsys, "200,000,000 bytes", str(huge), "--count")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--maximize", "n *"], "not an expression"),
        (["--maximize", "n * foo"], "unknown name 'foo'; known: n, w, smem at character 5"),
        (["--maximize", "__import__('os').system('x')"], "does not belong here"),
        (["--minimize", "n / 0.5"], "0.5"),
        (["--count", "--set", "foo=1"], "unknown name 'foo'; known: smem, n, w"),
        (["--count", "--set", "max_rows=1"], "unknown name 'max_rows'"),
        (["--count", "--set", "smem"], "expected NAME=VALUE"),
        (["--count", "--set", "smem=1.5"], "expected an integer, got '1.5'"),
        (["--count", "--csv"], "--csv lists solutions"),
        (["--count", "--top", "3"], "--top needs"),
        (["--first", "--seed", "3"], "--seed needs"),
    ],
)
def test_bad_arguments_are_one_line(
    capsys: pytest.CaptureFixture[str], space: str, arguments: list[str], said: str
) -> None:
    complains(capsys, said, space, *arguments)


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--sample", "many"], ["--nonsense"]])
def test_what_the_parser_refuses(
    capsys: pytest.CaptureFixture[str], space: str, arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["solve", space, *arguments])
    assert refused.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["solve", "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    for said in ("--maximize", "--explain", "examples:", "workbench solve hotspot --count"):
        assert said in out
