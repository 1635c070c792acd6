"""An auditor's day in JupyterLab, with real mouse and keys; the journal is read after each step."""

from __future__ import annotations

import itertools
import shutil
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest
from astropy.io import fits
from jupyter_page import Notebook, run_notebook
from playwright.sync_api import expect
from workbench.audit import Audit
from workbench.audit.importing import read_labels
from workbench.audit.journal import Journal, Row
from workbench.clumps import classical
from workbench.clumps.galaxy import BOX_SIDE_FWHM
from workbench.clumps.pictures import write_picture
from workbench.clumps.simulate import simulate
from workbench.clumps.tables import read_coco, write_coco
from workbench.lab import Lab, start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page
    from workbench.clumps.galaxy import Galaxy

GALAXIES = 500
PICTURES = 8  # different ones among them
NOTEBOOK = "notebooks/audit.ipynb"
CELL = """
from workbench.audit import Audit
audit = Audit.of_folder("../pictures", "../found.csv", labels="../truth.json",
                        journal="../audit.sqlite", auditor="ada", other="../other.csv")
desk = audit.show(threshold=1.5)
desk
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated galaxies as pictures, their truth, and what two detectors found in them."""
    root = tmp_path_factory.mktemp("audit")
    (root / "pictures").mkdir()
    (root / "notebooks").mkdir()
    galaxies = [simulate(7, number) for number in range(PICTURES)]
    names = [
        [f"{k:03d}.png" for k in range(GALAXIES) if k % PICTURES == n] for n in range(PICTURES)
    ]
    for galaxy, copies in zip(galaxies, names, strict=True):
        write_picture(root / "picture.png", galaxy.image)
        for name in copies:
            shutil.copy(root / "picture.png", root / "pictures" / name)
    both = list(zip(galaxies, names, strict=True))
    write_coco(
        root / "truth.json", [replace(g.truth, name=n) for g, copies in both for n in copies]
    )
    for file, method in (("found.csv", "dog"), ("other.csv", "sep")):
        (root / file).write_text(found_in(both, classical.Settings(method, 1.5)))
    write_notebook(root / NOTEBOOK, CELL)
    return root


def write_notebook(path: Path, cell: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


def found_in(galaxies: list[tuple[Galaxy, list[str]]], settings: classical.Settings) -> str:
    rows = ["file,x1,y1,x2,y2,score"]
    for galaxy, names in galaxies:
        points = classical.METHODS[settings.method](galaxy)
        found = classical.select(points, settings, galaxy.truth.psf_fwhm or 1.0)
        boxes = list(zip(found.boxes.tolist(), found.scores.tolist(), strict=True))
        rows += [
            ",".join([name, *map(repr, box), repr(score)]) for name in names for box, score in boxes
        ]
    return "\n".join(rows) + "\n"


SPEED_NOTEBOOK = "notebooks/speed.ipynb"
SPEED_CELL = """
from workbench.audit import Audit
audit = Audit.of_folder("../cutouts", "../crowd.csv", journal="../speed.sqlite", auditor="ada")
overlay = audit.overlay()
overlay
"""
CROWD = 200  # boxes


@pytest.fixture(scope="module")
def crowded(folder: Path) -> Path:
    """FITS cutouts of 424 x 424 pixels in three bands, with 200 boxes each."""
    (folder / "cutouts").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:424, :424]
    light = 30 * np.exp(-np.hypot(x - 212, y - 200) / 40)
    rows = ["file,x1,y1,x2,y2,score"]
    for name in (f"{k}.fits" for k in range(8)):
        planes = [k * light + rng.normal(0, 1, light.shape) for k in (1, 2, 4)]
        fits.writeto(folder / "cutouts" / name, np.array(planes, np.float32))
        for cx, cy, score in rng.uniform((10, 10, 0), (410, 410, 1), (CROWD, 3)):
            rows.append(f"{name},{cx - 8},{cy - 8},{cx + 8},{cy + 8},{score}")
    (folder / "crowd.csv").write_text("\n".join(rows) + "\n")
    write_notebook(folder / SPEED_NOTEBOOK, SPEED_CELL)
    return folder


@pytest.fixture(scope="module")
def audit_lab(folder: Path) -> Iterator[Lab]:
    with socket.socket() as probe:  # a port of its own: other tests may start a server as well
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_lab(folder, port=port) as running:
        yield running


@dataclass
class Desk:
    """The overlay on the page, and the journal behind it."""

    page: Page
    notebook: Notebook
    journal: Journal

    @property
    def root(self) -> Any:
        return self.page.locator(".ca-root").first

    def data(self, name: str) -> str:
        return self.root.get_attribute(f"data-{name}") or ""

    @property
    def gallery(self) -> Any:
        return self.page.locator(".cg-root").first

    def settle(self) -> None:
        """Wait until everything asked for is on the disk."""
        expect(self.root).to_have_attribute("data-unsaved", "0")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def rows(self) -> list[Row]:
        return self.journal.rows(auditor="ada")

    def last(self, kind: str) -> Row:
        self.settle()
        row = self.rows()[-1]
        assert row.entry.kind == kind, row
        return row

    def screen(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the picture is on the page."""
        zoom, left, top = (float(part) for part in self.data("view").split())
        box = self.page.locator(".ca-canvas").first.bounding_box()
        assert box is not None
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return middle[0] + (x - left) * zoom, middle[1] + (y - top) * zoom

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """Drag from one point of the picture to another."""
        mouse = self.page.mouse
        mouse.move(*self.screen(*start))
        mouse.down()
        mouse.move(*self.screen(*((a + b) / 2 for a, b in zip(start, stop, strict=True))))
        mouse.move(*self.screen(*stop))
        mouse.up()
        self.settle()


@pytest.fixture
def desk(page: Page, audit_lab: Lab, folder: Path) -> Iterator[Desk]:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    notebook = run_notebook(page, audit_lab, NOTEBOOK)
    assert notebook.errors() == []
    page.wait_for_selector(".ca-root[data-ready]")
    page.wait_for_selector(".cg-root[data-ready]")
    with Journal(folder / "audit.sqlite") as journal:
        yield Desk(page, notebook, journal)
    assert problems == []


def test_a_day_of_an_auditor(desk: Desk, folder: Path, audit_lab: Lab) -> None:
    chooses_in_the_gallery(desk)
    first = desk.data("name")
    cells = desk.page.locator(".jp-Cell").count()
    decides_by_key(desk)
    desk.notebook.shot("audit-decided")
    moves_and_resizes(desk)
    adds_and_deletes(desk)
    undoes_and_redoes(desk)
    reverts_one_action(desk)
    reads_the_sky(desk, folder)
    looks_the_same_in_the_dark(desk)
    desk.press("Enter")
    assert [row.entry.kind for row in desk.rows()[-2:]] == ["done", "visit"]
    second = desk.data("name")
    assert second != first
    # None of these keys was taken for a command of the notebook.
    assert desk.page.locator(".jp-Cell").count() == cells
    reloads_the_page(desk, second)
    restarts_the_kernel(desk, audit_lab, second)
    exports_everything(desk, folder)


def chooses_in_the_gallery(desk: Desk) -> None:
    gallery = desk.gallery
    assert gallery.get_attribute("data-total") == str(GALAXIES)
    condition = gallery.locator(".cg-condition")
    condition.fill("boxes >= ")
    condition.press("Enter")
    expect(gallery.locator(".cg-error")).to_contain_text("not understood")
    condition.fill("boxes >= 4 and not done")
    condition.press("Enter")
    expect(gallery).not_to_have_attribute("data-total", str(GALAXIES))
    wanted = desk.notebook.ask("sum(len(d) >= 4 for d in audit.detections.values())")
    assert gallery.get_attribute("data-total") == str(wanted)
    drawn = gallery.get_attribute("data-ready")
    gallery.locator(".cg-order").select_option("uncertainty")
    expect(gallery).to_have_attribute("data-order", "uncertainty")
    expect(gallery).not_to_have_attribute("data-ready", str(drawn))  # the page in that order
    expect(gallery.locator(".cg-count")).to_contain_text(f"of {wanted}")
    gallery.locator(".cg-canvas").click(position={"x": 88 * 2 + 40, "y": 40})
    third = str(desk.notebook.ask("audit.queue[2]"))
    expect(desk.root).to_have_attribute("data-ready", third)
    assert desk.rows()[-1].galaxy == third
    desk.root.scroll_into_view_if_needed()
    desk.root.focus()


def decides_by_key(desk: Desk) -> None:
    before = len(desk.rows())
    shown = int(desk.data("shown"))
    desk.page.locator(".ca-threshold").focus()
    for _ in range(200):
        desk.page.keyboard.press("ArrowRight")
        if int(desk.data("shown")) < shown:
            break
    assert int(desk.data("shown")) < shown
    assert len(desk.rows()) == before  # the threshold is nothing that is decided
    desk.page.keyboard.press("Home")
    desk.root.focus()
    desk.press("Tab")
    box = desk.data("selected")
    assert box.startswith("d")
    desk.press("a")
    row = desk.last("accept")
    assert row.entry.box == box
    assert (row.entry.before or {})["status"] == "pending"
    assert (row.entry.after or {})["status"] == "accepted"
    other = desk.data("selected")
    assert other != box
    desk.press("r")
    assert desk.last("reject").entry.box == other
    third = desk.data("selected")
    desk.press("2")
    assert (desk.last("label").entry.after or {})["label"] == 2
    desk.press("c")
    assert desk.last("clear").entry.box == third


def corners(content: dict[str, Any] | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    assert content is not None
    return np.array([content[name] for name in ("x1", "y1", "x2", "y2")])


def moves_and_resizes(desk: Desk) -> None:
    desk.press("Escape", "Tab")
    box = desk.data("selected")
    for _ in range(4):  # see the box large
        desk.press("+")
    accepted = [row for row in desk.rows() if row.entry.box == box][-1]
    at = corners(accepted.entry.after)
    pixel = 1 / float(desk.data("view").split()[0])  # of the screen, in picture pixels
    x, y = (at[0] + at[2]) / 2, (at[1] + at[3]) / 2
    desk.drag((x, y), (x + 5, y - 3))
    row = desk.last("move")
    assert row.entry.box == box
    moved = corners(row.entry.after)
    np.testing.assert_allclose(moved, np.add(at, [5, -3, 5, -3]), atol=2 * pixel)
    desk.drag((moved[2], moved[3]), (moved[2] + 6, moved[3] + 4))
    row = desk.last("resize")
    np.testing.assert_allclose(
        corners(row.entry.after), np.add(moved, [0, 0, 6, 4]), atol=2 * pixel
    )
    before = corners(row.entry.after)
    desk.press("ArrowLeft", "Shift+ArrowDown", "]")
    # Keys of one kind in a row are told from those of another: three actions.
    kinds = [row.entry.kind for row in desk.rows()[-3:]]
    assert kinds == ["move", "resize", "resize"]
    now = corners(desk.rows()[-1].entry.after)
    np.testing.assert_allclose(now, np.add(before, [-2, -1, 0, 2]), atol=1e-9)
    desk.press("0")


def adds_and_deletes(desk: Desk) -> None:
    desk.press("Escape")
    truth = {t.name: t for t in read_coco(desk.journal.path.parent / "truth.json")}
    psf = truth[desk.data("name")].psf_fwhm
    assert psf is not None
    desk.page.mouse.dblclick(*desk.screen(12, 14))
    added = corners(desk.last("add").entry.after)
    np.testing.assert_allclose(added[2:] - added[:2], BOX_SIDE_FWHM * psf, rtol=1e-12)
    np.testing.assert_allclose((added[:2] + added[2:]) / 2, [12, 14], atol=1.0)
    desk.press("Delete")
    assert desk.last("delete").entry.after is None
    desk.page.keyboard.down("Shift")
    desk.drag((20, 150), (50, 180))
    desk.page.keyboard.up("Shift")
    np.testing.assert_allclose(corners(desk.last("add").entry.after), [20, 150, 50, 180], atol=1.0)


def undoes_and_redoes(desk: Desk) -> None:
    added = desk.last("add")
    desk.press("z")
    undone = desk.last("undo")
    assert (undone.entry.box, undone.entry.after) == (added.entry.box, None)
    assert undone.entry.target == added.batch
    desk.press("Control+Shift+Z")
    assert desk.last("redo").entry.after == added.entry.after
    desk.press("Control+z", "y")
    assert [row.entry.kind for row in desk.rows()[-2:]] == ["undo", "redo"]


def reverts_one_action(desk: Desk) -> None:
    rejected = next(row for row in desk.rows() if row.entry.kind == "reject")
    desk.press("l")
    desk.root.locator(f"[data-do=revert-{rejected.seq}]").click()
    row = desk.last("revert")
    assert (row.entry.box, row.entry.after) == (rejected.entry.box, rejected.entry.before)
    desk.press("Escape")
    expect(desk.root.locator("[aria-label=History]")).to_be_hidden()


def reads_the_sky(desk: Desk, folder: Path) -> None:
    truth = {t.name: t for t in read_coco(folder / "truth.json")}[desk.data("name")]
    canvas = desk.page.locator(".ca-canvas").first
    canvas.scroll_into_view_if_needed()
    zoom, left, top = (float(part) for part in desk.data("view").split())
    box = canvas.bounding_box()
    assert box is not None
    for sx, sy in itertools.product((0.3, 0.7), (0.2, 0.9)):
        at = (round(box["x"] + sx * box["width"]), round(box["y"] + sy * box["height"]))
        desk.page.mouse.move(*at)
        x = left + (at[0] - box["x"] - box["width"] / 2) / zoom
        y = top + (at[1] - box["y"] - box["height"] / 2) / zoom
        ra, dec = (float(v) for v in truth.wcs.wcs_pix2world(x, y, 0))
        # A tenth of a milliarcsecond is what the seven digits leave.
        assert abs(float(desk.data("ra")) - ra) * np.cos(np.radians(dec)) < 1e-7
        assert abs(float(desk.data("dec")) - dec) < 1e-7


def looks_the_same_in_the_dark(desk: Desk) -> None:
    notebook = desk.notebook
    assert notebook.overhang(".ca-root, .cg-root") <= 0  # in a window of 1280 pixels
    rows = len(desk.rows())
    notebook.theme("JupyterLab Dark")
    desk.gallery.scroll_into_view_if_needed()
    notebook.shot("audit-gallery-dark")
    desk.root.scroll_into_view_if_needed()
    desk.root.focus()
    desk.press("l")
    notebook.shot("audit-history-dark")
    desk.press("Escape", "?")
    notebook.shot("audit-keys-dark")
    desk.press("Escape")
    notebook.theme("JupyterLab Light")
    assert len(desk.rows()) == rows
    desk.root.focus()


def reloads_the_page(desk: Desk, name: str) -> None:
    page = desk.page
    page.keyboard.press("Escape")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    page.reload()
    page.wait_for_selector(".ca-root[data-ready]", timeout=60_000)
    assert desk.data("name") == name
    page.locator(".ca-root").scroll_into_view_if_needed()
    desk.root.focus()
    desk.press("Tab", "a")
    row = desk.last("accept")
    assert row.galaxy == name


def restarts_the_kernel(desk: Desk, lab: Lab, name: str) -> None:
    page = desk.page
    accepted = desk.rows()[-1].entry.box
    page.evaluate(
        "async () => { const c = window.jupyterapp.shell.currentWidget.context.sessionContext;"
        " await c.session.kernel.restart(); }"
    )
    # The overlay of the kernel that is gone says so, and pretends nothing.
    rows = len(desk.rows())
    desk.root.focus()
    page.keyboard.press("r")
    expect(desk.root.locator(".ca-status")).to_contain_text("not saved yet")
    assert len(desk.rows()) == rows
    desk.notebook = notebook = run_notebook(page, lab, NOTEBOOK)
    page.wait_for_selector(".ca-root[data-ready]")
    assert desk.data("name") == name
    assert notebook.ask(f"audit.state().boxes[{accepted!r}].status") == "accepted"
    assert notebook.ask("len(audit.finished())") == 1
    # Work goes on where it was: the next action follows in the same journal.
    desk.root.scroll_into_view_if_needed()
    desk.root.focus()
    desk.press("Tab", "r")
    row = desk.last("reject")
    assert (row.galaxy, row.seq > rows) == (name, True)
    assert notebook.ask(f"audit.state().boxes[{row.entry.box!r}].status") == "rejected"
    notebook.shot("audit-continued")


def exports_everything(desk: Desk, folder: Path) -> None:
    suffixes = [".json", ".csv", ".parquet", ".vot", ".ecsv", ".reg", ".zooniverse.csv"]
    desk.notebook.ask(f"[str(audit.export('../labels' + s)) for s in {suffixes}]")
    with Audit.of_folder(
        folder / "pictures",
        labels=folder / "truth.json",
        journal=folder / "audit.sqlite",
        auditor="ada",
        show_truth=False,
    ) as audit:
        [one] = audit.labels()
        assert {box.source for box in one.boxes} == {"detection", "human"}
        for suffix in suffixes:
            [read] = read_labels(folder / f"labels{suffix}", {one.galaxy.name: one.galaxy})
            tolerance = 1e-4 if suffix == ".reg" else 1e-9
            np.testing.assert_allclose(read.boxes, one.annotation.boxes, atol=tolerance)


# Turns the wheel 60 times and returns how long drawing took each time, in ms.
WHEEL = """async () => {
  const canvas = document.querySelector('.ca-canvas'), root = document.querySelector('.ca-root');
  const box = canvas.getBoundingClientRect(), took = [];
  for (let k = 0; k < 60; k++) {
    canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: k % 2 ? -40 : 40, cancelable: true,
      clientX: box.left + 200, clientY: box.top + 200}));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    took.push(Number(root.dataset.ms));
  }
  return took;
}"""


@pytest.mark.timing
def test_it_is_quick_with_200_boxes_and_fits_pictures(
    page: Page, audit_lab: Lab, crowded: Path
) -> None:
    notebook = run_notebook(page, audit_lab, SPEED_NOTEBOOK)
    page.wait_for_selector(".ca-root[data-ready]")
    with Journal(crowded / "speed.sqlite") as journal:
        desk = Desk(page, notebook, journal)
        assert desk.data("shown") == str(CROWD)
        desk.root.focus()
        opened = []
        for _ in range(7):
            before = desk.data("name")
            desk.press("n")
            expect(desk.root).not_to_have_attribute("data-name", before)
            expect(desk.root).to_have_attribute("data-ready", desk.data("name"))
            opened.append(float(desk.data("opened-ms")))
            page.wait_for_timeout(300)  # an auditor looks; the next galaxy comes meanwhile
        assert np.median(opened) < 100, opened
        assert np.median(page.evaluate(WHEEL)) < 16
        pinches(desk)
        stretches(desk)


def pinches(desk: Desk) -> None:
    """Two fingers moving apart zoom in, and leave the journal alone."""
    box = desk.page.locator(".ca-canvas").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 200
    before, rows = float(desk.data("view").split()[0]), len(desk.rows())
    touch = desk.page.context.new_cdp_session(desk.page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80)):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    desk.page.wait_for_timeout(100)
    assert float(desk.data("view").split()[0]) == pytest.approx(2 * before, rel=0.05)
    assert len(desk.rows()) == rows


def stretches(desk: Desk) -> None:
    """Swap red and blue: the picture is made anew, redder than before."""
    colour = """() => { const c = document.querySelector('.ca-canvas');
      return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]
        .reduce((sum, value, k) => { sum[k % 4] += value; return sum; }, [0, 0, 0, 0]); }"""
    desk.press("h", "0")  # without boxes
    red, _, blue, _ = desk.page.evaluate(colour)
    assert blue > red
    for band, plane in (("red", "2"), ("blue", "0")):
        field = desk.root.locator(f"[data-stretch={band}]")
        seen = int(desk.data("pictures"))
        field.fill(plane)
        field.press("Tab")
        desk.settle()
        desk.page.wait_for_function(
            f"Number(document.querySelector('.ca-root').dataset.pictures) > {seen}"
        )
    desk.page.wait_for_timeout(300)
    red, _, blue, _ = desk.page.evaluate(colour)
    assert red > blue
    field = desk.root.locator("[data-stretch=red]")
    field.fill("9")
    field.press("Tab")
    expect(desk.root.locator(".ca-status")).to_contain_text("band 9")
