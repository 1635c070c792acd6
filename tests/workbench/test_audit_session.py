"""The session behind the overlay: galaxies, detections, where the auditor is, what is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from workbench.audit import Audit
from workbench.audit.found import detected_boxes, read_detections, score_range
from workbench.audit.library import Folder
from workbench.audit.overlay import checked_stretch
from workbench.audit.progress import measure
from workbench.audit.scene import differences, kpc_per_arcsec, make_scene, sky_frame, stretch_of
from workbench.clumps import sky
from workbench.clumps.galaxy import Galaxy, annotation
from workbench.clumps.matching import detections
from workbench.clumps.pictures import write_picture
from workbench.clumps.tables import write_coco
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["a.png", "b.png", "c.png"]


def galaxy(name: str, side: int = 64) -> Galaxy:
    """Return a galaxy with one catalogued clump at (20, 20)."""
    image = np.full((side, side, 3), 0.2, np.float32)
    wcs = sky.north_up(150.0, 2.0, 31.5, 31.5, 0.4)
    truth = annotation(name, (side, side), [[14, 14, 26, 26]], psf_fwhm=4.8, wcs=wcs, redshift=0.03)
    return Galaxy(image, truth)


FOUND = {
    "a.png": detections([[15, 15, 27, 27], [40, 40, 52, 52]], [0.4, 0.9]),
    "b.png": detections([[14, 14, 26, 26]], [0.7], [2]),
}


def audit(folder: Path, auditor: str = "ada", **settings: Any) -> Audit:
    return Audit(
        [galaxy(name) for name in NAMES],
        FOUND,
        journal=folder / "a.sqlite",
        auditor=auditor,
        **settings,
    )


def test_opens_where_the_auditor_was(tmp_path: Path) -> None:
    with audit(tmp_path) as first:
        assert first.current == "a.png"
        assert first.go(1) == "b.png"
        assert first.go(5) == "b.png"  # past the end: stays
        first.act({"kind": "add", "to": [1, 1, 11, 11]})
    with audit(tmp_path) as again:
        assert again.current == "b.png"
        assert [box.corners for box in again.state().labels] == [(1.0, 1.0, 11.0, 11.0)]
    with audit(tmp_path, "bob") as other:
        assert other.current == "a.png"
        assert other.state("b.png").labels == []


def test_boxes_are_the_surest_first_and_the_catalogue_can_be_hidden(tmp_path: Path) -> None:
    with audit(tmp_path) as shown:
        boxes = list(shown.state("a.png").boxes.values())
        assert [box.score for box in boxes] == [0.9, 0.4, None]
        assert boxes[2].source == "truth"
    with audit(tmp_path, show_truth=False) as blind:
        assert len(blind.state("a.png").boxes) == 2


def test_a_box_keeps_its_identifier_whatever_else_is_detected() -> None:
    twice = detections([[1, 1, 9, 9], [1, 1, 9, 9], [3, 3, 9, 9]], [0.1, 0.5, 0.9])
    names = [box.id for box in detected_boxes(twice)]
    assert len(set(names)) == 3
    assert [box.id for box in detected_boxes(detections([[3, 3, 9, 9]], [0.2]))] == names[:1]


def test_finished_progress_agreement(tmp_path: Path) -> None:
    with audit(tmp_path) as ada, audit(tmp_path, "bob") as bob:
        for desk in (ada, bob):
            desk.act({"kind": "accept_all", "threshold": 0.5}, "a.png")
            desk.act({"kind": "done"}, "a.png")
        bob.act({"kind": "add", "to": [1, 1, 11, 11]}, "a.png")
        assert ada.finished() == ["a.png"]
        assert ada.finished("bob") == ["a.png"]
        assert (ada.progress().done, ada.progress().total) == (1, 3)
        result = ada.agreement("ada", "bob")
        assert (result.matched, result.first, result.second) == (1, 1, 2)
        ada.act({"kind": "reopen"}, "a.png")
        assert ada.finished() == []
        assert ada.progress().done == 0


def test_history_and_revert(tmp_path: Path) -> None:
    with audit(tmp_path) as desk:
        box = next(iter(desk.state().boxes))
        desk.act({"kind": "reject", "box": box})
        desk.act({"kind": "done"})
        row = desk.history()[0]
        assert (row.entry.kind, row.auditor, row.galaxy) == ("reject", "ada", "a.png")
        assert desk.revert(row.seq).boxes[box].status == "pending"
        assert len(desk.history("*")) == 3


def test_two_sessions_see_each_other(tmp_path: Path) -> None:
    with audit(tmp_path) as first, audit(tmp_path) as second:
        box = next(iter(first.state().boxes))
        first.act({"kind": "accept", "box": box})
        assert second.act({"kind": "undo"}).boxes[box].status == "pending"
        with pytest.raises(WorkbenchError, match="nothing to undo"):
            first.act({"kind": "undo"})


def test_threads_of_one_notebook_act_one_after_another(tmp_path: Path) -> None:
    # JupyterLab handles a widget's messages on another thread than the cells.
    with audit(tmp_path) as desk:

        def add(number: int) -> None:
            desk.act({"kind": "add", "to": [number, 1, number + 10, 11]}, "c.png")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(40)))
        assert len(desk.state("c.png").labels) == 40
        numbers = [row.seq for row in desk.history("c.png")]
        assert numbers == list(range(1, 41))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_detections_come_from_files(tmp_path: Path, suffix: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "file": ["a.png", "a.png", "b.png"], "x1": [1.0, 2.5, 3.0], "y1": [1.0, 2.0, 3.0],
        "x2": [9.0, 9.5, 9.0], "y2": [9.0, 9.0, 9.0], "score": [0.25, 0.5, 0.1], "label": [1, 2, 1],
    })  # fmt: skip
    path = tmp_path / f"found{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        truths = [
            annotation(name, (64, 64), rows[["x1", "y1", "x2", "y2"]].to_numpy(), rows["label"])
            for name, rows in frame.groupby("file")
        ]
        write_coco(path, truths)
    found = read_detections(path)
    assert list(found) == ["a.png", "b.png"]
    np.testing.assert_array_equal(found["a.png"].boxes, [[1, 1, 9, 9], [2.5, 2, 9.5, 9]])
    np.testing.assert_array_equal(found["a.png"].labels, [1, 2])
    expected = [1.0, 1.0] if suffix == ".json" else [0.25, 0.5]  # COCO truth has no scores
    np.testing.assert_array_equal(found["a.png"].scores, expected)
    assert score_range(found)[1] == 1.0


def test_a_folder_opens_with_its_table(tmp_path: Path) -> None:
    shelf = tmp_path / "pictures" / "deep"
    shelf.mkdir(parents=True)
    one = galaxy("deep/a.png")
    write_picture(shelf / "a.png", one.image)
    write_picture(shelf / "b.png", one.image)
    write_coco(tmp_path / "truth.json", [one.truth])
    library = Folder(tmp_path / "pictures", tmp_path / "truth.json")
    assert list(library.names) == ["deep/a.png", "deep/b.png"]
    np.testing.assert_array_equal(library.open("deep/a.png").truth.boxes, one.truth.boxes)
    assert library.open("deep/a.png").truth.psf_fwhm == 4.8
    assert library.known("deep/b.png") is None
    assert len(library.open("deep/b.png").truth) == 0
    with pytest.raises(WorkbenchError, match=r"no picture 'x.png' among the 2"):
        library.open("x.png")


def test_a_plain_folder_takes_scale_place_and_redshift_from_a_catalogue(tmp_path: Path) -> None:
    one = galaxy("a.png")
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / "pictures" / name, one.image)
    (tmp_path / "galaxies.csv").write_text(
        "file,arcsec_per_px,psf_fwhm_r_arcsec,ra,dec,redshift\na.png,0.25,1.2,150.0,2.0,0.04\n"
    )
    write_coco(tmp_path / "truth.json", [replace(one.truth, psf_fwhm=None, wcs=None)])
    for labels in (None, tmp_path / "truth.json"):
        library = Folder(tmp_path / "pictures", labels, tmp_path / "galaxies.csv")
        truth = library.open("a.png").truth
        assert truth.psf_fwhm == pytest.approx(1.2 / 0.25)
        assert truth.redshift == 0.04
        middle = (truth.width - 1) / 2, (truth.height - 1) / 2
        at = truth.wcs.wcs_pix2world(*middle, 0)
        np.testing.assert_allclose(np.ravel(at), [150, 2], atol=1e-9)
        assert library.open("b.png").truth.psf_fwhm is None
    known = library.known("a.png")
    assert known is not None
    assert known.psf_fwhm == truth.psf_fwhm
    assert len(known) == len(one.truth)
    (tmp_path / "galaxies.csv").write_text("file,arcsec_per_px\nz.png,0.25\n")
    with pytest.raises(WorkbenchError, match=r"none of its 1 files, such as 'z\.png'"):
        Folder(tmp_path / "pictures", None, tmp_path / "galaxies.csv")


def test_fits_pictures_are_made_anew_by_another_stretch(tmp_path: Path) -> None:
    y, x = np.mgrid[:48, :48]
    blob = 50 * np.exp(-0.5 * ((x - 24) ** 2 + (y - 20) ** 2) / 9)
    rng = np.random.default_rng(0)
    planes = [blob * k + rng.normal(0, 1, blob.shape) for k in (1, 2, 4)]
    fits.writeto(tmp_path / "a.fits", np.array(planes, np.float32))
    with Audit.of_folder(tmp_path, journal=tmp_path / "a.sqlite") as desk:
        library = desk.library
        assert isinstance(library, Folder)
        assert stretch_of(library, "a.fits") == {
            "red": 0, "green": 1, "blue": 2, "softening": 8.0, "stretch": None,
        }  # fmt: skip
        blue = library.open("a.fits").image[20, 24]
        assert blue[2] > blue[0]
        swapped = {"red": 2, "green": 1, "blue": 0, "softening": 8, "stretch": ""}
        library.restretch(checked_stretch(swapped), "a.fits")
        np.testing.assert_allclose(library.open("a.fits").image[20, 24], blue[::-1])
        with pytest.raises(WorkbenchError, match="band 7"):
            library.restretch(checked_stretch({**swapped, "red": 7}), "a.fits")
        assert library.stretch.red == 2
    for wrong in ({"softening": -1}, {"red": "x"}, {"stretch": 0}):
        with pytest.raises(WorkbenchError, match="expected"):
            checked_stretch({**swapped, **wrong})


def test_a_table_of_other_pictures_is_an_error(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", galaxy("a.png").image)
    write_coco(tmp_path / "truth.json", [replace(galaxy("a.png").truth, width=100)])
    library = Folder(tmp_path / "a.png", tmp_path / "truth.json")
    with pytest.raises(WorkbenchError, match="64 x 64 pixels, the table says 100 x 64"):
        library.open("a.png")
    with pytest.raises(WorkbenchError, match=r"none of the 1 galaxies with detections"):
        Audit([galaxy("a.png")], {"z.png": FOUND["a.png"]}, journal=tmp_path / "a.sqlite")


def test_the_sky_frame_is_the_wcs_over_the_picture() -> None:
    astropy_wcs = pytest.importorskip("astropy.wcs")
    wcs = astropy_wcs.WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [359.99, 67.0], [500.0, -300.0]  # far off the picture
    angle = np.radians(33)
    turn = np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.cd = turn * 0.3 / 3600
    frame = sky_frame(annotation("g", (424, 400), wcs=wcs))
    assert frame is not None
    assert frame["scale"] == pytest.approx(0.3, rel=1e-4)
    x, y = np.meshgrid(np.linspace(0, 423, 7), np.linspace(0, 399, 7))
    xi, eta = np.radians(np.tensordot(frame["cd"], [x - frame["x"], y - frame["y"]], axes=1))
    below = np.cos(np.radians(frame["dec"])) - eta * np.sin(np.radians(frame["dec"]))
    ra = (frame["ra"] + np.degrees(np.arctan2(xi, below))) % 360
    north = np.sin(np.radians(frame["dec"])) + eta * np.cos(np.radians(frame["dec"]))
    dec = np.degrees(np.arctan2(north, np.hypot(xi, below)))
    to_ra, to_dec = wcs.wcs_pix2world(x, y, 0)
    apart = np.hypot((ra - to_ra) * np.cos(np.radians(to_dec)), dec - to_dec)
    assert apart.max() * 3600 < 0.001 * 0.3  # a thousandth of a pixel


def test_scales_of_the_scene(tmp_path: Path) -> None:
    with audit(tmp_path) as desk:
        scene = make_scene(desk, "a.png")
    assert scene["side"] == 12.0  # 2.5 PSF FWHM of 4.8 pixels
    assert (scene["index"], scene["total"]) == (0, 3)
    # Flat LCDM of Planck 2018 integrated here: H0 = 67.66, Omega_m = 0.30966.
    z = np.linspace(0, 0.03, 1001)
    hubble = 67.66 * np.sqrt(0.30966 * (1 + z) ** 3 + 1 - 0.30966)
    megaparsec = np.trapezoid(299792.458 / hubble, z) / 1.03
    expected = megaparsec * 1000 * np.radians(1 / 3600)
    assert kpc_per_arcsec(0.03) == pytest.approx(expected, rel=1e-4)
    assert kpc_per_arcsec(None) is None


def test_differences_are_what_the_other_set_has_not() -> None:
    first = detected_boxes(FOUND["a.png"])
    second = detected_boxes(detections([[39, 40, 51, 52], [2, 2, 14, 14]], [0.3, 0.2]))
    lone = differences(first, second, 4.8, compares=True)
    assert lone == {"only_first": [first[1].id], "only_second": [second[1].id]}
    assert differences(first, [], 4.8, compares=False) == {"only_first": [], "only_second": []}


def test_progress_leaves_pauses_out() -> None:
    times = [f"2026-01-01T{hour:02d}:{minute:02d}:00+00:00" for hour, minute in
             [(9, 0), (9, 1), (9, 2), (13, 0), (13, 1)]]  # fmt: skip
    names = [f"g{k}" for k in range(100)]
    progress = measure(names[:10], names, times)
    assert progress.per_hour == 60.0
    assert progress.hours_left == 1.5
    assert str(progress) == "10 of 100, 60 an hour, 1.5 h left"
    assert str(measure([], names, [])) == "0 of 100"
    assert str(measure(names, names, times)) == "100 of 100, all done"
