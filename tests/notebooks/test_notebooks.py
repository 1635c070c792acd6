"""Every notebook runs top to bottom, shows no saved output, and holds no logic."""

from __future__ import annotations

import ast
import itertools
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 60.0
LINES = 8  # of a code cell; most hold one to six
BY_NAME = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# What a notebook is for: showing the packages, not defining things of its own.
LOGIC = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Try, ast.While)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_the_first_tutorials_are_there() -> None:
    names = {path.stem for path in NOTEBOOKS}
    assert {"00_start", "10_constraints", "11_live_kernel_configs"} <= names


@BY_NAME
def test_the_start_and_the_readme_lead_to_every_notebook(path: Path) -> None:
    start = read(FOLDER / "00_start.ipynb")
    words = "".join(cell.source for cell in start.cells if cell.cell_type == "markdown")
    assert path.stem == "00_start" or f"]({path.name})" in words
    assert f"](notebooks/{path.name})" in (FOLDER.parent / "README.md").read_text(encoding="utf-8")


@BY_NAME
def test_no_output_is_committed(path: Path) -> None:
    for index, cell in enumerate(code_cells(path)):
        assert not cell.outputs, f"code cell {index} carries outputs; run `make fmt`"
        assert cell.execution_count is None, f"code cell {index} is numbered; run `make fmt`"


def is_rnn_cell(node: ast.AST) -> bool:
    """Whether a function is the equations of a recurrent cell: notebooks define some on purpose."""
    if not isinstance(node, ast.FunctionDef):
        return False
    return any(ast.unparse(one).startswith("cell(") for one in node.decorator_list)


@BY_NAME
def test_cells_are_short_and_hold_no_logic(path: Path) -> None:
    for index, cell in enumerate(code_cells(path)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert 0 < len(lines) <= LINES, f"code cell {index} has {len(lines)} lines"
        assert not any(line.lstrip().startswith(("!", "%")) for line in lines), cell.source
        parsed = ast.parse(cell.source)
        kinds = [
            type(n).__name__
            for n in ast.walk(parsed)
            if isinstance(n, LOGIC) and not is_rnn_cell(n)
        ]
        assert not kinds, f"code cell {index} holds {kinds}"


@BY_NAME
def test_imports_stand_in_the_first_code_cell_and_are_public(path: Path) -> None:
    for index, cell in enumerate(code_cells(path)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert index == 0, f"code cell {index} imports"
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_"), f"private name {node.attr}"


@BY_NAME
def test_opens_with_a_title_and_explains_each_cell(path: Path) -> None:
    cells = read(path).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    pairs = [(a.cell_type, b.cell_type) for a, b in itertools.pairwise(cells)]
    assert pairs.count(("code", "code")) <= 1, "a code cell without a sentence before it"


@pytest.mark.timing
@BY_NAME
def test_runs_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASHCLUMP_EPOCHS", "1")  # what trains at length has tests of its own
    notebook = read(path)
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    began = time.monotonic()
    client.execute()
    assert time.monotonic() - began < SECONDS
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")
