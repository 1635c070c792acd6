"""Each export is read back by the standard reader of its format, and by our own import."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import regions
from astropy import units
from astropy.io.votable import parse
from astropy.io.votable.ucd import check_ucd
from astropy.table import QTable
from pycocotools.coco import COCO
from workbench.audit import Audit
from workbench.audit.atomic import whole_file
from workbench.audit.box import Box
from workbench.audit.export import SUFFIXES, write_labels
from workbench.audit.importing import read_labels
from workbench.audit.labels import COLUMNS, Labelled
from workbench.clumps import folder, sky
from workbench.clumps.galaxy import Galaxy, annotation
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

TIME = "2026-03-01T10:00:00.123456+00:00"


def picture(name: str, *, wcs: bool = True) -> Any:
    turned = sky.north_up(359.9999, -1.25, 31.5, 31.5, 0.396)
    turned.wcs.cd = np.array([[-0.8, 0.6], [0.6, 0.8]]) * 0.396 / 3600  # not north up
    return annotation(name, (64, 48), psf_fwhm=4.25, wcs=turned if wcs else None, redshift=0.0317)


def labelled(*, wcs: bool = True) -> list[Labelled]:
    third = 1 / 3
    boxes = (
        Box("d1", 10 + third, 11, 20.1, 21.7, 1, "detection", "accepted", 0.1 + 0.2, 0.031),
        Box("h1", -3.25, 30, 7, 40.000000001, 2, "human", "accepted"),
    )
    return [
        Labelled(picture("a b/one.png", wcs=wcs), boxes, "ada", TIME),
        Labelled(picture("two, 2.png", wcs=wcs), (), "ada", TIME),
    ]


def corners(one: Any) -> Any:
    return np.asarray([box.corners for box in one.boxes])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("wcs", [True, False], ids=["wcs", "no wcs"])
def test_our_own_import_reads_what_was_exported(tmp_path: Path, suffix: str, wcs: bool) -> None:
    wanted = labelled(wcs=wcs)
    path = write_labels(tmp_path / f"labels{suffix}", wanted)
    read = read_labels(path, {one.galaxy.name: one.galaxy for one in wanted})
    # DS9 knows no picture without regions.
    assert [one.name for one in read] == ["a b/one.png", "two, 2.png"][
        : 1 if suffix == ".reg" else 2
    ]
    tolerance = 2e-5 if suffix == ".reg" and wcs else 1e-8 if suffix == ".reg" else 1e-13
    np.testing.assert_allclose(read[0].boxes, corners(wanted[0]), atol=tolerance, rtol=0)
    np.testing.assert_array_equal(read[0].labels, [1, 2])
    assert (read[0].width, read[0].height) == (64, 48)
    if suffix not in {".reg", ".zooniverse.csv"}:
        np.testing.assert_array_equal(read[0].flux_ratio, [0.031, np.nan])
        assert read[0].psf_fwhm == 4.25
        assert read[0].redshift == 0.0317
        assert (read[0].wcs is None) == (not wcs)
    if wcs and suffix in {".csv", ".vot", ".ecsv", ".json", ".parquet"}:
        apart = np.abs(np.asarray(read[0].sky()) - np.asarray(wanted[0].annotation.sky()))
        assert apart.max() < 1e-10


def test_csv_and_parquet_by_pandas_and_arrow(tmp_path: Path) -> None:
    frame = pd.read_csv(write_labels(tmp_path / "a.csv", labelled()))
    table = pq.read_table(write_labels(tmp_path / "a.parquet", labelled())).to_pandas()
    for read in (frame, table):
        assert list(read.columns) == [column.name for column in COLUMNS]
        assert list(read["label"]) == [1, 2, 0]
        np.testing.assert_array_equal(read["score"], [0.1 + 0.2, np.nan, np.nan])
        np.testing.assert_array_equal(read["x1"], [10 + 1 / 3, -3.25, np.nan])
        assert list(read["auditor"]) == ["ada"] * 3
        np.testing.assert_allclose(read["side_arcsec"][0], 0.396 * (20.1 - 10 - 1 / 3 + 10.7) / 2)


def test_coco_by_pycocotools(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.json", labelled())
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert {c["name"] for c in coco.loadCats(coco.getCatIds())} == {"clump", "odd"}
    assert len(coco.getImgIds()) == 2
    one, two = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    np.testing.assert_allclose(one["bbox"], [10 + 1 / 3, 11, 20.1 - 10 - 1 / 3, 10.7], rtol=1e-15)
    assert one["score"] == 0.1 + 0.2
    assert "score" not in two
    assert (two["category_id"], two["source"], two["auditor"], two["time"]) == (
        2, "human", "ada", TIME,
    )  # fmt: skip


def test_ecsv_by_astropy_with_units(tmp_path: Path) -> None:
    table = QTable.read(write_labels(tmp_path / "a.ecsv", labelled()))
    assert table["ra"].unit == units.deg
    assert table["x1"].unit == units.pix
    assert table["side_arcsec"].unit == units.arcsec
    ra, dec = labelled()[0].annotation.sky().T  # type: ignore[union-attr]
    np.testing.assert_allclose(table["ra"][:2].to_value("deg"), ra, rtol=1e-14)
    np.testing.assert_allclose(table["dec"][:2].to_value("deg"), dec, rtol=1e-14)
    assert table["ra"].info.description.startswith("right ascension")
    assert table["ra"].info.meta["ucd"] == "pos.eq.ra;meta.main"


def test_votable_by_astropy_with_ucds_of_the_vocabulary(tmp_path: Path) -> None:
    document = parse(write_labels(tmp_path / "a.vot", labelled()), verify="exception")
    table = document.get_first_table()
    assert [field.ID for field in table.fields] == [column.name for column in COLUMNS]
    for field in table.fields:
        assert check_ucd(field.ucd, check_controlled_vocabulary=True), field.ucd
    units_of = {field.ID: str(field.unit) for field in table.fields}
    assert (units_of["ra"], units_of["x1"], units_of["side_arcsec"]) == ("deg", "pix", "arcsec")
    assert list(table.array["label"]) == [1, 2, 0]
    assert table.array["x1"][0] == 10 + 1 / 3


def test_regions_by_the_regions_package(tmp_path: Path) -> None:
    wanted = labelled()
    first, second = regions.Regions.read(write_labels(tmp_path / "a.reg", wanted), format="ds9")
    assert isinstance(first, regions.RectangleSkyRegion)
    ra, dec = wanted[0].annotation.sky()[0]  # type: ignore[index]
    assert first.center.ra.deg == pytest.approx(ra, abs=2e-9)
    assert first.center.dec.deg == pytest.approx(dec, abs=2e-9)
    assert first.height.to_value("arcsec") == pytest.approx(0.396 * 10.7, rel=1e-5)
    assert second.meta["text"] == "odd"
    plain = regions.Regions.read(
        write_labels(tmp_path / "b.reg", labelled(wcs=False)), format="ds9"
    )
    assert isinstance(plain[0], regions.RectanglePixelRegion)


def test_zooniverse_rows_are_those_of_its_exports(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.zooniverse.csv", labelled())
    with path.open(newline="", encoding="utf-8") as source:
        first, second = csv.DictReader(source)
    assert first["user_name"] == "ada"
    [task] = json.loads(first["annotations"])
    assert [mark["tool_label"] for mark in task["value"]] == ["clump", "odd"]
    assert task["value"][1]["x"] == -2.75  # from the corner of the picture
    assert json.loads(second["annotations"])[0]["value"] == []
    assert json.loads(second["subject_data"])["2"]["Filename"] == "two, 2.png"


def test_nothing_is_written_over_without_leave(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("precious")
    with pytest.raises(WorkbenchError, match="exists already and is left as it is"):
        write_labels(path, labelled())
    assert path.read_text() == "precious"
    write_labels(path, labelled(), overwrite=True)
    assert len(read_labels(path)) == 2
    assert [left.name for left in tmp_path.iterdir()] == ["labels.csv"]


def test_a_failed_write_leaves_the_old_file_and_no_scraps(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("precious")

    def fail() -> None:
        with whole_file(path, overwrite=True) as part:
            part.write_text("half")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail()
    assert path.read_text() == "precious"
    assert [left.name for left in tmp_path.iterdir()] == ["labels.csv"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"expected a name ending in \.zooniverse\.csv"),
        ("a.csv", "file,x1\nq,1\n", "no column width"),
        ("a.json", "{", "not JSON"),
        ("a.vot", "<VOTABLE/>", "not readable as labels"),
        ("a.ecsv", "# %ECSV 1.0\n", "not readable as labels"),
        ("a.zooniverse.csv", "subject_ids\n3\n", "not readable as labels"),
        ("a.reg", "image\nbox(1,2,3,4,0)\n", "not among the 0 here"),
    ],
)
def test_a_file_that_is_no_label_file_is_an_error(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(WorkbenchError, match=message):
        read_labels(tmp_path / name)


def session(folder: Path, auditor: str = "ada") -> Audit:
    galaxies = [
        Galaxy(np.zeros((48, 64, 3), np.float32), picture(name)) for name in ("one.png", "two.png")
    ]
    return Audit(galaxies, journal=folder / "a.sqlite", auditor=auditor)


def test_an_audit_exports_what_is_finished_and_trains_on_it(tmp_path: Path) -> None:
    with session(tmp_path) as audit:
        audit.act({"kind": "add", "to": [1, 2, 11, 12]}, "one.png")
        audit.act({"kind": "add", "to": [1, 2, 11, 12]}, "two.png")
        audit.act({"kind": "done"}, "one.png")
        [one] = read_labels(audit.export(tmp_path / "labels.parquet"))
        np.testing.assert_array_equal(one.boxes, [[1, 2, 11, 12]])
        [galaxy] = audit.dataset()
        assert galaxy.truth.name == "one.png"
        np.testing.assert_array_equal(galaxy.truth.boxes, [[1, 2, 11, 12]])


@pytest.mark.parametrize("suffix", [".csv", ".json", ".reg", ".vot"])
def test_labels_come_in_and_can_be_undone(tmp_path: Path, suffix: str) -> None:
    given = [Labelled(picture("one.png"), labelled()[0].boxes, "eve")]
    path = write_labels(tmp_path / f"labels{suffix}", given)
    with session(tmp_path) as audit:
        assert audit.import_labels(path) == 2
        assert len(audit.state("one.png").labels) == 2
        if suffix != ".reg":  # on the sky to nine digits
            assert audit.import_labels(path) == 0
        assert audit.act({"kind": "undo"}, "one.png").labels == []


def test_the_consensus_of_three(tmp_path: Path) -> None:
    for auditor, shift in (("ada", 0), ("bob", 1), ("cyd", 30)):
        with session(tmp_path, auditor) as audit:
            audit.act({"kind": "add", "to": [1 + shift, 2, 11 + shift, 12]}, "one.png")
            audit.act({"kind": "done"}, "one.png")
    with session(tmp_path) as audit:
        [one] = audit.consensus()
    assert one.auditor == "consensus of 3"
    [box] = one.boxes
    assert box.corners == (1.5, 2.0, 11.5, 12.0)
    assert box.score == pytest.approx(2 / 3)


def test_the_published_labels_come_in(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "zoo_id": [1, 1], "local_id": ["587", "587"], "label": [1, 2],
        "x1": [10.0, 30.0], "x2": [25.0, 45.0], "y1": [10.0, 50.0], "y2": [25.0, 65.0],
    })  # fmt: skip
    path = tmp_path / "clump_scout_labels.parquet"
    frame.to_parquet(path)
    [one] = read_labels(path)
    assert one.name == "587"
    np.testing.assert_array_equal(one.boxes[1], [29.5, 49.5, 44.5, 64.5])
    known = annotation("587.jpg", (200, 200))
    galaxy = Galaxy(np.zeros((200, 200, 3), np.float32), known)
    with Audit([galaxy], journal=tmp_path / "a.sqlite") as audit:
        assert audit.import_labels(path) == 2
        assert [box.label for box in audit.state().labels] == [1, 2]


def test_a_dataset_folder_is_what_training_reads(tmp_path: Path) -> None:
    with session(tmp_path) as audit:
        with pytest.raises(WorkbenchError, match="no galaxy is finished"):
            audit.write_dataset(tmp_path / "new")
        audit.act({"kind": "add", "to": [1, 2, 11, 12]}, "one.png")
        for name in ("one.png", "two.png"):
            audit.act({"kind": "done"}, name)
        place = audit.write_dataset(tmp_path / "new")
        with pytest.raises(WorkbenchError, match="exists already"):
            audit.write_dataset(place)
    read = list(folder.load(place / "pictures", place / "labels.json"))
    assert [len(one.truth) for one in read] == [1, 0]
    np.testing.assert_array_equal(read[0].truth.boxes, [[1, 2, 11, 12]])
    assert read[0].truth.psf_fwhm == 4.25


def test_labels_are_measured(tmp_path: Path) -> None:
    y, x = np.mgrid[:48, :64]
    blob = 100 * np.exp(-0.5 * ((x - 32) ** 2 + (y - 24) ** 2) / 1.8**2)
    cube = np.stack([blob, 2 * blob], axis=-1) + np.random.default_rng(0).normal(0, 1, (48, 64, 2))
    with session(tmp_path) as audit:
        audit.act({"kind": "add", "to": [27, 19, 37, 29]}, "one.png")
        audit.act({"kind": "done"}, "one.png")
        table = audit.photometry({"one.png": cube}, ("u", "g"))
    assert list(table["file"]) == ["one.png"]
    assert table["u-g"][0] == pytest.approx(2.5 * np.log10(2), abs=0.05)
