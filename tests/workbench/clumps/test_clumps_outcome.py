"""What became of detections and clumps at a threshold, in numbers and in pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from workbench.clumps.galaxy import annotation, square_boxes
from workbench.clumps.matching import detections, match
from workbench.clumps.panels import outcome
from workbench.clumps.panels.outcome import Fate, Mark, marks

PSF = 4.0
# A star (odd object), and clumps of 20, 5 and 1 %.
TRUTH = annotation(
    "a", (80, 60), square_boxes([(10, 10), (30, 30), (50, 40), (70, 20)], PSF), [2, 1, 1, 1],
    [0.3, 0.2, 0.05, 0.01], psf_fwhm=PSF,
)  # fmt: skip
# In no order of score: of the clumps of 5 and 20 %, a false one, one called odd, of the faint one.
FOUND = detections(
    square_boxes([(51, 40), (30, 31), (20, 50), (10, 10), (70, 21)], PSF),
    [0.4, 0.9, 0.6, 0.95, 0.2], [1, 1, 1, 2, 1],
)  # fmt: skip


def fates(threshold: float, min_flux_ratio: float = 0.0) -> list[tuple[str, float, float]]:
    matched = match(FOUND, TRUTH, min_flux_ratio=min_flux_ratio)
    made = marks(FOUND, TRUTH, matched, threshold)
    return [(mark.fate, mark.box[0], round(mark.score, 2)) for mark in made]


def test_each_detection_and_each_missed_clump_is_marked() -> None:
    assert fates(0.5) == [
        ("hit", 25.0, 0.9), ("false", 15.0, 0.6), ("missed", 45.0, 0.4), ("missed", 65.0, 0.2),
    ]  # fmt: skip
    assert [fate for fate, *_ in fates(0.0)] == ["hit", "false", "hit", "hit"]
    assert [fate for fate, *_ in fates(0.99)] == ["missed"] * 3


def test_what_does_not_count_is_not_marked() -> None:
    # The faint clump is ignored, and so is the detection on it.
    assert [(fate, x) for fate, x, _ in fates(0.0, 0.03)] == [
        ("hit", 25.0), ("false", 15.0), ("hit", 46.0),
    ]  # fmt: skip


def test_a_missed_clump_keeps_its_flux_ratio() -> None:
    made = marks(FOUND, TRUTH, match(FOUND, TRUTH), 0.5)
    missed = [mark.flux_ratio for mark in made if mark.fate is Fate.MISSED]
    assert missed == [0.05, 0.01]
    assert outcome.caption(made) == "1 found, 1 false, 2 missed"


def test_fates_differ_in_shape_and_lie_on_their_box() -> None:
    black = np.zeros((40, 40, 3), np.float32)
    box = (9.5, 9.5, 29.5, 29.5)
    shapes = {}
    for fate in Fate:
        picture = np.asarray(outcome.drawn(black, [Mark(fate, box, 0.5)], 80), int).sum(-1) > 200
        y, x = np.nonzero(picture)
        assert (x.min(), y.min()) >= (19, 19), fate
        assert (x.max(), y.max()) <= (61, 61), fate
        shapes[fate] = picture
    corner, side, middle = (20, 20), (40, 20), (40, 40)
    assert shapes[Fate.HIT][corner]
    assert shapes[Fate.HIT][side]
    assert not shapes[Fate.MISSED][corner]
    assert shapes[Fate.MISSED][side]
    assert shapes[Fate.FALSE][22, 22]
    assert not shapes[Fate.FALSE][side]
    assert not any(shape[middle] for shape in shapes.values())  # the clump itself stays visible


def test_a_stamp_shows_the_surroundings_and_darkness_beyond_the_edge() -> None:
    image = np.full((60, 80, 3), 255, np.uint8)
    stamp = np.asarray(outcome.stamp(image, Mark(Fate.HIT, (-5.0, 25.0, 5.0, 35.0), 0.5), 64))
    assert stamp.shape == (64, 64, 3)
    assert stamp[32, 5].max() == 0
    assert stamp[32, 60].min() == 255
    # Of 32 pixels of the picture, the box is 10 in the middle.
    edge = round(32 - 5 * 64 / 32)
    assert stamp[32, edge].tolist() == [0x17, 0xC4, 0x95]


def test_a_sheet_has_room_for_every_picture_and_caption() -> None:
    pictures = [Image.new("RGB", (50, 30), "white")] * 5
    png = Image.open(io.BytesIO(outcome.sheet(pictures, ["a"] * 5, columns=4, side=50)))
    assert png.size == (4 * (50 + outcome.GAP), 2 * (50 + outcome.CAPTION + outcome.GAP))
    assert png.getpixel((10, 10)) == (255, 255, 255)
    assert png.getpixel((10, 50 + outcome.CAPTION + outcome.GAP + 10)) == (255, 255, 255)
    assert png.getpixel((64, 90)) != (255, 255, 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_bytes_and_fractions_look_the_same(dtype: type) -> None:
    shades = np.arange(0, 250, 10).reshape(5, 5, 1).repeat(3, 2)
    image = shades.astype(dtype) if dtype is np.uint8 else (shades / 255).astype(dtype)
    np.testing.assert_array_equal(np.asarray(outcome.as_picture(image)), shades)
