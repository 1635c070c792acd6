"""The notebook that a folder of pictures is opened with."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from workbench.audit.journal import Journal
from workbench.audit.launch import JOURNAL, prepare
from workbench.clumps.pictures import write_picture
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


def pictures(folder: Path) -> tuple[Path, Path]:
    shelf = folder / 'it\'s a "shelf"'
    shelf.mkdir()
    for name in ("a.png", "b.png"):
        write_picture(shelf / name, np.full((40, 40, 3), 0.3, np.float32))
    found = folder / "found.csv"
    found.write_text("file,x1,y1,x2,y2,score\na.png,3,3,13,13,0.5\n")
    return shelf, found


def test_the_notebook_runs_and_keeps_its_journal_beside_it(tmp_path: Path) -> None:
    shelf, found = pictures(tmp_path)
    catalog = tmp_path / "galaxies.csv"
    catalog.write_text("file,psf_fwhm_r_px\na.png,4.5\n")
    path = prepare(shelf, found, catalog=catalog, auditor="ada", place=tmp_path / "work")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    notebook.cells.append(
        nbformat.v4.new_code_cell(
            "audit.act({'kind': 'done'})\n"
            "print(len(audit.detections), audit.labels()[0].galaxy.psf_fwhm)"
        )
    )
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute()
    assert notebook.cells[-1].outputs[0].text == "1 4.5\n"
    with Journal(path.parent / JOURNAL) as journal:
        assert [(row.auditor, row.galaxy) for row in journal.rows()] == [("ada", "a.png")]


def test_a_notebook_that_is_there_is_left_alone(tmp_path: Path) -> None:
    shelf, found = pictures(tmp_path)
    path = prepare(shelf, found, place=tmp_path / "work")
    changed = json.dumps({"mine": True})
    path.write_text(changed)
    assert prepare(shelf, found, place=tmp_path / "work") == path
    assert path.read_text() == changed


def test_mistakes_are_said_before_anything_opens(tmp_path: Path) -> None:
    shelf, found = pictures(tmp_path)
    with pytest.raises(WorkbenchError, match="no such file or folder"):
        prepare(tmp_path / "nowhere", found, place=tmp_path / "work")
    with pytest.raises(WorkbenchError, match="no such file"):
        prepare(shelf, tmp_path / "nothing.csv", place=tmp_path / "work")
    found.write_text("file,x1,y1,x2,y2\nelsewhere.png,1,1,9,9\n")
    with pytest.raises(WorkbenchError, match="none of the 1 galaxies with detections"):
        prepare(shelf, found, place=tmp_path / "work")
    assert not (tmp_path / "work" / "audit.ipynb").exists()


def test_the_command_opens_jupyterlab_and_stops_with_it(tmp_path: Path) -> None:
    shelf, found = pictures(tmp_path)
    program = (
        "import argparse, sys; from workbench.clumps import cli\n"
        "parser = argparse.ArgumentParser(); cli.add_parser(parser.add_subparsers())\n"
        "args = parser.parse_args(); sys.exit(args.run(args))"
    )
    command = [sys.executable, "-c", program, "clumps", "audit", str(shelf)]
    command += ["--detections", str(found)]
    command += ["--no-browser", "--place", str(tmp_path / "work"), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    address = first.rsplit(maxsplit=1)[-1]
    assert "/lab/tree/audit.ipynb?token=" in address
    assert JOURNAL in second


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
