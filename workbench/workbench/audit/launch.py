"""A ready notebook for a folder of pictures, and JupyterLab opened at it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from workbench.audit.atomic import whole_file
from workbench.audit.results import Audit
from workbench.errors import WorkbenchError
from workbench.lab import start_lab

NOTEBOOK = "audit.ipynb"
JOURNAL = "audit.sqlite"

_TITLE = """# Audit of {folder}

Run the cells (Shift+Enter). Every decision is saved at once in `{journal}` beside this notebook;
opening it again goes on at the same galaxy. Click the picture and press `?` for the keys."""
_OPEN = """from workbench.audit import Audit
audit = Audit.of_folder({folder!r}, {detections!r}, labels={labels!r},
                        catalog={catalog!r}, journal={journal!r},
                        auditor={auditor!r}, show_truth={show_truth!r})
audit.show()"""
_HARVEST = """## When you are done

`audit.export("labels.csv")` writes the labels (also `.json`, `.parquet`, `.vot`, `.ecsv`, `.reg`,
`.zooniverse.csv`), `audit.write_dataset("new-folder")` a folder to train on."""


def prepare(
    folder: Path | str,
    detections: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    catalog: Path | str | None = None,
    auditor: str | None = None,
    show_truth: bool = True,
    place: Path | str = "audit",
) -> Path:
    """Write the notebook to `place` (made where it is missing) and return its path.

    `labels` and `catalog` are as in `Audit.of_folder`; `show_truth` says whether the boxes of
    `labels` are shown: an audit should be blind to them. A notebook that is there already is left
    as it is. Pictures and tables are opened once, so that a mistake in them is said now.

    Raises
    ------
    WorkbenchError
        The folder has no pictures, or a file cannot be read.
    """
    place = Path(place).absolute()
    place.mkdir(parents=True, exist_ok=True)
    files = {
        "folder": str(Path(folder).absolute()),
        "detections": None if detections is None else str(Path(detections).absolute()),
        "labels": None if labels is None else str(Path(labels).absolute()),
        "catalog": None if catalog is None else str(Path(catalog).absolute()),
    }
    with Audit.of_folder(
        files["folder"] or "",
        files["detections"],
        labels=files["labels"],
        catalog=files["catalog"],
        journal=place / JOURNAL,
        auditor=auditor,
    ) as audit:
        audit.library.open(audit.current)
    notebook = place / NOTEBOOK
    if not notebook.exists():
        text: dict[str, object] = {
            **files,
            "auditor": auditor,
            "show_truth": show_truth,
            "journal": JOURNAL,
        }
        with whole_file(notebook) as part:
            part.write_text(json.dumps(_notebook(text), indent=1), encoding="utf-8")
    return notebook


def _notebook(text: dict[str, object]) -> dict[str, object]:
    cells = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": _TITLE.format(**text)},
        {"cell_type": "code", "id": "open", "metadata": {}, "execution_count": None,
         "outputs": [], "source": _OPEN.format(**text)},
        {"cell_type": "markdown", "id": "harvest", "metadata": {}, "source": _HARVEST},
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def launch(
    folder: Path | str,
    detections: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    catalog: Path | str | None = None,
    auditor: str | None = None,
    show_truth: bool = True,
    place: Path | str = "audit",
    port: int | None = None,
    browser: bool = True,
) -> int:
    """Prepare the notebook and run JupyterLab at it until Ctrl+C; return an exit code.

    Raises
    ------
    WorkbenchError
        As `prepare`; also where JupyterLab does not start.
    """
    notebook = prepare(
        folder, detections, labels=labels, catalog=catalog, auditor=auditor,
        show_truth=show_truth, place=place,
    )  # fmt: skip
    page = notebook.name if browser else None
    try:
        with start_lab(notebook.parent, port=port, browser_page=page) as lab:
            sys.stdout.write(f"The audit is open at {lab.page(notebook.name)}\n")
            sys.stdout.write(f"Labels are kept in {notebook.parent / JOURNAL}. Ctrl+C stops.\n")
            sys.stdout.flush()
            code = lab.process.wait()
    except KeyboardInterrupt:
        return 0
    raise WorkbenchError(f"JupyterLab ended by itself with code {code}")
