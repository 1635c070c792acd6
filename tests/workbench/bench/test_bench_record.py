"""Files of results, comparison and tables, and the command line on top."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from workbench.bench import compare, record, tables
from workbench.bench.case import Case
from workbench.cli import main
from workbench.errors import WorkbenchError

from workbench import provenance

if TYPE_CHECKING:
    from pathlib import Path

ABOUT = {
    "kind": "about", "accelerator": "cuda", "device": "NVIDIA H200", "date": "2026-11-24T10:00:00",
    "commit": "0123456789abcdef",
}  # fmt: skip


def row(steps: int, ms: float, spread: float = 0.01, **more: Any) -> dict[str, Any]:
    case = Case("auto", "lstm", "bfloat16", "forward", 16, steps, 12, 64)
    times = {"ms": ms, "ms_p25": ms * (1 - spread), "ms_p75": ms * (1 + spread), "correct": True}
    return {"kind": "result", "key": case.key, **case.as_dict(), **times, **more}


def failed(steps: int) -> dict[str, Any]:
    found = row(steps, 1.0, failure="CompileError: no")
    return {name: found[name] for name in found if not name.startswith(("ms", "correct"))}


def written(path: Path, *rows: dict[str, Any], about: dict[str, Any] = ABOUT) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in (about, *rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("torn", [b'{"kind": "res', b'{"kind": "end"}', b"\x00\x00\n", b"[1]\n"])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = written(tmp_path / "r.jsonl", row(1, 1.0))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert len(record.read(path)) == 2
    assert record.mend(path)
    assert path.read_bytes() == whole
    assert not record.mend(path)
    record.append(path, row(2, 1.0))
    assert len(record.read(path)) == 3


def test_a_file_that_is_no_results_says_which_line(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", row(1, 1.0))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "oops", lines[1]]) + "\n")
    with pytest.raises(WorkbenchError, match="line 2: expected a JSON object"):
        record.read(path)
    with pytest.raises(WorkbenchError, match="cannot be read: No such file"):
        record.read(tmp_path / "none.jsonl")


def test_paths_of_the_machine_are_cut() -> None:
    assert provenance.plain("python /home/me/x/bench.py --out /data/r.jsonl a/b/c.json") == (
        "python bench.py --out r.jsonl a/b/c.json"
    )


def test_of_a_case_timed_again_the_last_counts() -> None:
    found = record.results([ABOUT, failed(1), row(1, 2.0)])
    assert [one["ms"] for one in found.values()] == [2.0]


def verdicts(*pairs: tuple[dict[str, Any], dict[str, Any]]) -> list[tuple[str, float | None]]:
    before = record.results([a for a, _ in pairs])
    after = record.results([b for _, b in pairs])
    return [(one.verdict, one.ratio) for one in compare.compare(before, after)]


def test_a_regression_is_what_lies_beyond_the_quartiles() -> None:
    assert verdicts((row(1, 1.0), row(1, 1.1))) == [("slower", pytest.approx(1.1))]
    assert verdicts((row(1, 1.0, 0.2), row(1, 1.1, 0.2))) == [("same", pytest.approx(1.1))]
    assert verdicts((row(1, 1.0), row(1, 0.5))) == [("faster", pytest.approx(0.5))]
    tight = verdicts((row(1, 1.0, 0.001), row(1, 1.015, 0.001)))  # certain, and 1.5 % alone
    assert tight == [("same", pytest.approx(1.015))]


def test_what_breaks_is_a_regression_and_comes_first() -> None:
    wrong = row(3, 0.1) | {"correct": False}
    found = verdicts(
        (row(1, 1.0), row(1, 2.0)), (row(2, 1.0), failed(2)), (row(3, 1.0), wrong),
        (failed(4), row(4, 1.0)), (failed(5), failed(5)),
    )  # fmt: skip
    assert [verdict for verdict, _ in found] == ["broken", "broken", "slower", "same", "mended"]
    with pytest.raises(WorkbenchError, match="no case in common"):
        compare.compare(record.results([row(1, 1.0)]), record.results([row(2, 1.0)]))


def test_compare_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.jsonl", row(128, 1.0), row(256, 2.0))
    b = written(tmp_path / "b.jsonl", row(128, 1.0), row(256, 3.0))
    assert main(["bench", "compare", str(a), str(a)]) == 0
    assert "2 same" in capsys.readouterr().out
    assert main(["bench", "compare", str(a), str(b)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "A recorded on NVIDIA H200, 2026-11-24, commit 0123456789ab"
    assert printed[3].split() == [
        "lstm", "12x64", "B16", "T256", "bfloat16", "forward", "auto", "2.0000", "3.0000", "1.500",
        "slower",
    ]  # fmt: skip
    assert printed[-1] == "1 slower, 1 same"


def test_tables_have_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(128, 1.25, fraction=0.5), row(128, 2.5) | {"direction": "both"}, failed(256)]
    rows[1]["key"] = Case.of(rows[1]).key
    path = str(written(tmp_path / "a.jsonl", *rows))
    assert main(["bench", "show", path, "--csv"]) == 0
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(one["direction"], one["ms"]) for one in read] == [
        ("forward", "1.25"), ("both", "2.5"), ("forward", ""),
    ]  # fmt: skip
    assert main(["bench", "show", path]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[-4:] == ["auto", "1.250", "2.500", "50%"]
    assert printed[3].endswith("CompileError: no")
    assert main(["bench", "show", path, "--latex"]) == 0
    latex = capsys.readouterr().out
    assert r"lstm & $12 \times 64$ & 16 & 128 & bfloat16 & auto & 1.25 & 2.5 \\" in latex
    assert latex.count(r"\begin") == latex.count(r"\end") == 2
    assert tables.latex([], "50 % of a_b").count(r"50 \% of a\_b") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnn", "--plan", "big"], "unknown plan 'big'; known: full, small"),
        (["rnn", "--cell", "rwkv"], "no case of the plan has cell rwkv; --list prints the plan"),
        (["rnn", "--repeats", "1"], "--repeats 1: expected at least 3"),
        (["rnn", "--budget", "-1"], "--budget -1.0: expected seconds above 0"),
        (["rnn", "--device", "tpu"], "--device tpu: expected cpu, cuda or cuda:N"),
        (["rnn", "--out", "."], "--out . is a folder"),
        (["compare", "a.jsonl", "b.jsonl"], "a.jsonl cannot be read: No such file"),
        (["show", "a.jsonl"], "a.jsonl cannot be read: No such file"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"workbench: {message}")
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_sweep_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "new" / "r.jsonl")
    few = ["--device", "cpu", "--cell", "elman", "--backend", "nn", "--repeats", "3"]
    assert main(["bench", "rnn", "--list", *few]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[-1] == "2 cases"
    assert main(["bench", "rnn", "--out", out, *few]) == 0
    printed = capsys.readouterr().out
    assert f"done: 2 of 2 cases, 0 failed, 0 wrong, in {out}" in printed
    assert main(["bench", "rnn", "--out", out, *few]) == 0
    assert "2 of 2 cases" in capsys.readouterr().out
    assert main(["bench", "show", out]) == 0
    assert "elman 1x64 B4 T32" in capsys.readouterr().out


def test_a_commit_says_when_the_sources_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMMIT", raising=False)
    here = tmp_path / "workbench" / "workbench"
    here.mkdir(parents=True)
    (here / "provenance.py").write_text("a = 1\n")
    monkeypatch.setattr(provenance, "__file__", str(here / "provenance.py"))
    assert provenance.commit() == "unknown"
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    clean = provenance.commit()
    assert len(clean) == 40
    (tmp_path / "results.json").write_text("{}")
    assert provenance.commit() == clean
    (here / "provenance.py").write_text("a = 2\n")
    assert provenance.commit() == f"{clean}+changes"
    monkeypatch.setenv("COMMIT", "abc")
    assert provenance.commit() == "abc"
