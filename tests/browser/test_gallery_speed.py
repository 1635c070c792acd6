"""Pages of a thousand thumbnails turned in JupyterLab, with real keys."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

import nbformat
import numpy as np
import pytest
from jupyter_page import run_notebook
from playwright.sync_api import expect
from workbench.clumps.pictures import write_picture
from workbench.clumps.simulate import simulate
from workbench.lab import Lab, start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

GALAXIES = 3000
NOTEBOOK = "notebooks/gallery.ipynb"
CELL = """
from workbench.audit import Audit
audit = Audit.of_folder("../pictures", "../found.csv", journal="../audit.sqlite", auditor="ada")
audit.show()
"""


@pytest.fixture(scope="module")
def gallery_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JPEG pictures of 304 x 304 pixels with one to eight boxes each."""
    root = tmp_path_factory.mktemp("gallery")
    for name in ("pictures", "notebooks"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,x1,y1,x2,y2,score"]
    for kind in range(12):
        write_picture(root / f"{kind}.jpg", simulate(7, kind, side=304).image)
    for name, kind in ((f"{k:04d}.jpg", k % 12) for k in range(GALAXIES)):
        shutil.copy(root / f"{kind}.jpg", root / "pictures" / name)
        for x, y, score in rng.uniform((20, 20, 0), (280, 280, 1), (rng.integers(1, 9), 3)):
            rows.append(f"{name},{x - 8},{y - 8},{x + 8},{y + 8},{score}")
    (root / "found.csv").write_text("\n".join(rows) + "\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, root / NOTEBOOK)
    with socket.socket() as probe:  # a port of its own: other tests may start a server as well
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_lab(root, port=port) as running:
        yield running


@pytest.mark.timing
def test_a_page_of_a_thousand_is_there_in_300_ms(page: Page, gallery_lab: Lab) -> None:
    run_notebook(page, gallery_lab, NOTEBOOK)
    root = page.locator(".cg-root").first
    page.wait_for_selector(".cg-root[data-ready]")
    scroll = root.locator(".cg-scroll")
    scroll.focus()
    took: list[list[float]] = []
    for held, key in zip([10] + [15] * 11, ("PageDown", "PageDown", "PageUp", "PageUp") * 3,
                         strict=True):  # fmt: skip
        # Somebody looks; meanwhile the sheets of the next page come, five a page.
        expect(root).to_have_attribute("data-held", str(held), timeout=60_000)
        before = root.get_attribute("data-ready")
        page.keyboard.press(key)
        expect(root).not_to_have_attribute("data-ready", str(before))
        took.append([float(root.get_attribute(f"data-{name}") or "nan")
                     for name in ("page-ms", "first-ms")])  # fmt: skip
    whole, first = np.array(took).T
    assert whole.max() < 300, (whole, first)
