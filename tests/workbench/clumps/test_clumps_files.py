"""Pictures and tables: in and out unchanged, and bad files reported while the rest goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from clump_cases import picture, same, truth_of
from PIL import Image
from workbench.clumps import folder, sky
from workbench.clumps.export import write_data
from workbench.clumps.galaxy import Galaxy, annotation
from workbench.clumps.pictures import Report, Stretch, read_picture, write_picture
from workbench.clumps.stretch import VIEWER
from workbench.clumps.tables import read_table, write_coco, write_table
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_annotations_read_back_exactly(tmp_path: Path, suffix: str) -> None:
    truths = [truth_of("a.png"), truth_of("b.png", wcs=False), annotation("empty.png", (60, 48))]
    path = tmp_path / f"labels{suffix}"
    (write_coco if suffix == ".json" else write_table)(path, truths)
    back = read_table(path)
    assert [truth.name for truth in back] == ["a.png", "b.png", "empty.png"]
    for before, after in zip(truths, back, strict=True):
        same(before, after)
    np.testing.assert_allclose(back[0].sky(), truths[0].sky(), rtol=0, atol=1e-11)
    assert back[1].wcs is None


def test_png_reads_back_exactly(tmp_path: Path) -> None:
    image = picture()
    write_picture(tmp_path / "a.png", image)
    back, wcs = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(back, image)
    assert wcs is None


def test_sixteen_bit_png_is_scaled_by_its_own_range(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 16 * 16).reshape(16, 16).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    back, _ = read_picture(tmp_path / "deep.png")
    np.testing.assert_allclose(back[:, :, 1], grey / 65535, atol=1e-6)


def cutout(path: Path, planes: np.ndarray) -> None:
    header = sky.north_up(150.0, 2.0, 31.5, 31.5, 0.4).to_header()
    fits.PrimaryHDU(planes.astype(np.float32), header).writeto(path)


def test_fits_keeps_order_of_bands_rows_and_sky(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planes = rng.normal(0, 0.01, (3, 64, 64))
    planes[0, 10, 50] = 5.0  # a red pixel at x = 50, y = 10
    cutout(tmp_path / "a.fits", planes)
    image, wcs = read_picture(tmp_path / "a.fits", Stretch(0, 1, 2))
    row, column = np.unravel_index(image[:, :, 0].argmax(), (64, 64))
    assert (row, column) == (10, 50)
    assert image[10, 50, 0] > 0.9
    assert image[10, 50, 2] < 0.3
    expected = 150.0 - (50 - 31.5) * 0.4 / 3600 / np.cos(np.radians(2))
    assert wcs.wcs_pix2world(50, 10, 0)[0] == pytest.approx(expected, abs=1e-7)


def test_fits_nan_pixels_become_sky(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).normal(3, 0.01, (3, 64, 64))
    planes[:, :20, :20] = np.nan
    cutout(tmp_path / "a.fits", planes)
    image, _ = read_picture(tmp_path / "a.fits")
    assert np.isfinite(image).all()
    assert image[:20, :20].max() <= image[30:].max()


def test_five_planes_make_five_bands_by_the_same_stretch(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).normal(0, 0.01, (5, 64, 64))
    planes[4, 10, 50] = 5.0
    cutout(tmp_path / "a.fits", planes)
    image, _ = read_picture(tmp_path / "a.fits", Stretch(channels=5))
    assert image.shape == (64, 64, 5)
    assert image[10, 50].argmax() == 4
    assert image[10, 50, 4] > 0.9
    same = np.repeat(planes[:1], 5, axis=0)  # equal bands: both stretches are one
    cutout(tmp_path / "same.fits", same)
    three, _ = read_picture(tmp_path / "same.fits")
    five, _ = read_picture(tmp_path / "same.fits", Stretch(channels=5))
    assert np.abs(five - three[:, :, :1]).max() < 1.5 / 255
    write_picture(tmp_path / "a.png", picture())
    with pytest.raises(WorkbenchError, match=r"a.png: 3 bands; expected FITS with 5"):
        read_picture(tmp_path / "a.png", Stretch(channels=5))
    cutout(tmp_path / "three.fits", planes[:3])
    with pytest.raises(WorkbenchError, match=r"3 planes; band 4 \(counted from 0\) is not there"):
        read_picture(tmp_path / "three.fits", Stretch(channels=5))


def bad_files(place: Path) -> dict[str, str]:
    """Write broken pictures; return what each error must say."""
    write_picture(place / "good.png", picture())
    whole = (place / "good.png").read_bytes()
    (place / "empty.png").write_bytes(b"")
    (place / "cut.png").write_bytes(whole[: len(whole) // 2])
    (place / "text.jpg").write_text("no picture")
    write_picture(place / "tiny.png", picture(4, 4))
    Image.new("1", (9000, 9000)).save(place / "huge.png")
    cutout(place / "good.fits", np.random.default_rng(0).normal(0, 1, (3, 64, 64)))
    (place / "cut.fits").write_bytes((place / "good.fits").read_bytes()[:4000])
    cutout(place / "nan.fits", np.full((3, 64, 64), np.nan))
    fits.PrimaryHDU().writeto(place / "nothing.fits")
    return {
        "empty.png": "is empty", "cut.png": "truncated", "text.jpg": "not a PNG or JPEG",
        "tiny.png": "at least 8", "huge.png": "at most 64,000,000", "cut.fits": "truncated",
        "nan.fits": "no finite pixel", "nothing.fits": "no two- or three-dimensional image",
    }  # fmt: skip


def test_bad_files_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    expected = bad_files(tmp_path)
    report = Report()
    read = list(folder.load(tmp_path, report=report))
    assert sorted(galaxy.truth.name for galaxy in read) == ["good.fits", "good.png"]
    assert report.read == 2
    assert len(report.problems) == len(expected)
    for file, reason in report.problems:
        name = file.rpartition("/")[2]
        assert name in reason, "the message names the file"
        assert expected[name] in reason
    assert "2 pictures read, 8 left out" in str(report)


def test_folder_takes_labels_and_scales_from_tables(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture())
    write_picture(tmp_path / "b.png", picture(seed=1))
    write_table(tmp_path / "labels.csv", [truth_of("a.png", wcs=False)])
    (tmp_path / "scales.csv").write_text(
        "file,arcsec_per_px,psf_fwhm_r_arcsec,ra,dec\nb.png,0.4,1.2,150,2\n"
    )
    a, b = folder.load(tmp_path, tmp_path / "labels.csv", tmp_path / "scales.csv")
    same(a.truth, truth_of("a.png", wcs=False))
    assert b.truth.psf_fwhm == pytest.approx(3.0)
    assert len(b.truth) == 0
    centre = b.truth.wcs.wcs_pix2world(29.5, 23.5, 0)
    np.testing.assert_allclose(centre, [150, 2], atol=1e-9)


def test_label_of_another_size_is_an_error(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture(50, 40))
    write_table(tmp_path / "labels.csv", [truth_of("a.png")])
    report = Report()
    assert not list(folder.load(tmp_path, tmp_path / "labels.csv", report=report))
    assert "(40, 50, 3)" in report.problems[0][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [(3, 3, 3, 9)]}, "x1 < x2"),
        ({"boxes": [(0, 0, float("nan"), 9)]}, "finite"),
        ({"boxes": [(0, 0, 5, 5)], "labels": [3]}, "label 3"),
        ({"boxes": [(0, 0, 5, 5)], "labels": [1, 1]}, "1 boxes, 2 labels"),
        ({"psf_fwhm": 0.0}, "PSF FWHM of 0.0"),
    ],
)
def test_wrong_annotations_say_what_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        annotation("a.png", (20, 20), **change)


def test_a_picture_of_another_shape_than_its_truth_is_an_error() -> None:
    with pytest.raises(WorkbenchError, match=r"\(10, 10, 3\)"):
        Galaxy(np.zeros((10, 10, 3), np.float32), truth_of())


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "not COCO"), ('{"images": [{}], "annotations": []}', "not COCO")],
)
def test_broken_coco_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(WorkbenchError, match=message):
        read_table(tmp_path / "a.json")


def test_tables_without_their_columns_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,x1\na.png,3\n")
    with pytest.raises(WorkbenchError, match="no column width"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "b.parquet").write_bytes(b"nonsense")
    with pytest.raises(WorkbenchError, match="not a readable table"):
        read_table(tmp_path / "b.parquet")
    with pytest.raises(WorkbenchError, match="no such file"):
        read_table(tmp_path / "c.csv")


def test_places_without_pictures_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no picture in it"):
        list(folder.load(tmp_path))
    with pytest.raises(WorkbenchError, match="no such file or folder"):
        list(folder.load(tmp_path / "nowhere"))


def test_fits_written_is_read_back_with_its_bands_and_sky(tmp_path: Path) -> None:
    galaxy = Galaxy(picture(), truth_of())
    assert write_data([galaxy], tmp_path, "fits") == 1
    path = tmp_path / "images" / "a.fits"
    with fits.open(path) as units:
        planes = np.asarray(units[0].data)
    bands = VIEWER.linear(galaxy.image)
    np.testing.assert_array_equal(planes, np.moveaxis(bands, -1, 0).astype(np.float32))
    shown, wcs = read_picture(path)
    assert shown.shape == galaxy.image.shape
    at = wcs.wcs_pix2world(*galaxy.truth.centres.T, 0)
    np.testing.assert_allclose(np.stack(at, axis=-1), galaxy.truth.sky(), rtol=0, atol=1e-9)
    (read,) = folder.load(tmp_path / "images", tmp_path / "labels.parquet")
    same(read.truth, replace(galaxy.truth, name="a.fits"))
    with pytest.raises(WorkbenchError, match="unknown form 'gif'; known: png, fits"):
        write_data([galaxy], tmp_path, "gif")
