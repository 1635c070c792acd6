"""The simulator: the same everywhere, calibrated to published labels; injection in linear flux."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from clump_cases import disk_galaxy, real_data
from scipy.stats import spearmanr
from workbench.clumps import clump_scout, statistics
from workbench.clumps.galaxy import Galaxy, Label, square_boxes
from workbench.clumps.host import host_mask
from workbench.clumps.inject import Clump, Injected, inject, outline, turn, turn_points, u_flux
from workbench.clumps.render import BANDS, SKY_NOISE, render
from workbench.clumps.scene import (
    APART,
    DISK_END,
    FAINTEST_SURFACE,
    FIELD,
    FLUX_RATIO,
    HALF_LIGHT,
    MOST_CLUMP_LIGHT,
    R,
    disk_coordinates,
    draw_scene,
)
from workbench.clumps.simulate import annotate, simulate, truths
from workbench.clumps.stream import BLOCK, stream
from workbench.clumps.stretch import COADD, SKYSERVER, VIEWER, Style
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


def equal(first: Galaxy, second: Galaxy) -> None:
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.truth.boxes, second.truth.boxes)
    np.testing.assert_array_equal(first.truth.flux_ratio, second.truth.flux_ratio)


def small(seed: int, index: int) -> Galaxy:
    """A quick source that can be pickled."""
    return simulate(seed, index, side=40)


def test_a_galaxy_is_fixed_by_seed_and_index_alone() -> None:
    forward = [simulate(5, index, side=60) for index in range(3)]
    for index in (2, 0, 1):
        equal(simulate(5, index, side=60), forward[index])
    assert np.abs(simulate(6, 0, side=60).image - forward[0].image).max() > 0.05


def test_flux_ratios_are_log_uniform_and_leave_light_to_the_galaxy() -> None:
    drawn = [t.flux_ratio[t.labels == Label.CLUMP] for t in truths(1, range(1500))]
    single = np.concatenate([ratio for ratio in drawn if len(ratio) == 1])
    low, high = np.log(FLUX_RATIO)
    levels = np.sort((np.log(single) - low) / (high - low))
    assert len(levels) > 300
    # Kolmogorov's distance to the uniform law; 1.63 / sqrt(n) is its 1 % point.
    expected = np.arange(1, len(levels) + 1) / len(levels)
    assert np.abs(levels - expected).max() < 1.63 / np.sqrt(len(levels))
    assert max(ratio.sum() for ratio in drawn if len(ratio)) <= MOST_CLUMP_LIGHT


@real_data
def test_numbers_radii_and_psf_are_those_of_the_clump_scout_table() -> None:
    real = list(clump_scout.by_galaxy(clump_scout.read_labels()).values())[::3]
    simulated = truths(11, range(3000))
    for row in statistics.two_sample_tests(simulated, real):
        assert float(row["p"]) > 0.01, row
    for sample in (simulated, real):
        numbers = [(truth.labels == Label.CLUMP).sum() for truth in sample]
        rank = spearmanr([truth.psf_fwhm for truth in sample], numbers).statistic
        assert rank == pytest.approx(-0.255, abs=0.045)  # 2.5 standard errors of 3,000


def test_labels_are_apart_as_often_as_published_ones() -> None:
    truth = [t for t in truths(13, range(1500)) if len(t) > 1]
    gaps = [np.hypot(*(t.centres[:, None] - t.centres[None]).transpose(2, 0, 1)) for t in truth]
    nearest = [
        (gap + np.diag(np.full(len(gap), np.inf))).min(axis=0) / (t.psf_fwhm or np.nan)
        for gap, t in zip(gaps, truth, strict=True)
    ]
    clumps = np.concatenate(
        [n[t.labels == Label.CLUMP] for n, t in zip(nearest, truth, strict=True)]
    )
    assert clumps.min() > APART
    # Boxes 1.7 FWHM apart suppress each other: 2.4 % of the 30,092 published clumps of galaxies
    # with several labels are nearer to another.
    assert (clumps < 1.7).mean() == pytest.approx(0.024, abs=0.01)


def test_clumps_are_on_the_disk_and_the_field_is_off_it() -> None:
    clumps, field = [], []
    for scene in (draw_scene(12, index) for index in range(300)):
        x, y = (np.array([getattr(p, name) for p in scene.points]) for name in ("x", "y"))
        radii = disk_coordinates(scene.host, x, y)[0] / scene.host.scale
        clumps += [r for r, p in zip(radii, scene.points, strict=True) if p.label is Label.CLUMP]
        field += [r for r, p in zip(radii, scene.points, strict=True) if p.label is None]
    assert len(clumps) > 400
    assert max(clumps) <= DISK_END * (1 + 1e-9)
    assert len(field) > 400
    assert min(field) >= FIELD


def test_galaxies_are_as_bright_and_as_large_as_those_of_stripe_82() -> None:
    surface, radii = [], []
    for scene in (draw_scene(14, index) for index in range(300)):
        host = scene.host
        clumps = [point for point in scene.points if point.label is Label.CLUMP]
        light = float((host.disk + host.bulge + host.bar)[R]) + sum(p.flux[R] for p in clumps)
        half_light = HALF_LIGHT * host.scale * np.sqrt(host.axis_ratio)  # arcsec on the sky
        surface.append(22.5 - 2.5 * np.log10(light / (2 * np.pi * half_light**2)))
        radii += [np.hypot(p.x, p.y) / half_light for p in clumps]
    # 5, 50, 95 % of the catalogued ones. Here 20.1, 21.7, 23.0; magnitudes drawn apart from sizes
    # gave 20.3, 22.0, 24.1.
    found = np.quantile(surface, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(found, [19.7, 21.8, 22.9], atol=0.45)
    assert max(surface) <= FAINTEST_SURFACE + 0.1  # clumps are of another colour
    assert np.median(radii) == pytest.approx(1.26, abs=0.1)


def test_clumps_lie_on_light_that_is_seen() -> None:
    seen: list[float] = []
    for scene in (draw_scene(14, index) for index in range(60)):
        smooth = render(replace(scene, points=(), depth=0.0)).mean(axis=-1)
        at = np.array([(p.x, p.y) for p in scene.points if p.label is Label.CLUMP]).reshape(-1, 2)
        where = (at / scene.arcsec_per_px + (scene.side - 1) / 2).round().astype(int)
        here = (where >= 0).all(axis=1) & (where < scene.side).all(axis=1)
        noise = scene.depth * SKY_NOISE.mean() / np.sqrt(3)
        seen += [smooth[y, x] / noise for x, y in where[here]]
    # In units of one pixel's noise: smoothed by the PSF, that is several standard deviations.
    # Nine of ten before disks reached their clumps.
    assert np.mean(np.array(seen) > 1) > 0.97


def test_a_clump_has_its_share_of_the_light_and_the_width_of_the_psf() -> None:
    scene = next(
        s for s in (draw_scene(2, k) for k in range(100))
        if (s.flux_ratio.size and max(p.size for p in s.points) == 0) or len(s.points) == 1
    )  # fmt: skip
    quiet = replace(scene, depth=0.0)
    point = scene.points[0]
    without = replace(quiet, points=scene.points[1:])
    # The photon noise of the two differs; 200 realisations of it would hide nothing this bright.
    added = (render(quiet) - render(without)).sum(axis=(0, 1))
    native_per_pixel = (scene.arcsec_per_px / 0.396) ** 2
    expected = np.array([point.flux[band] for band in BANDS]) / native_per_pixel
    noise = np.sqrt(render(without).clip(0).sum(axis=(0, 1)) / 900) * 2
    assert (np.abs(added - expected) < 0.1 * expected + 5 * noise).all()


def test_truth_names_boxes_of_two_and_a_half_psf_inside_the_picture() -> None:
    for index in range(50):
        scene = draw_scene(9, index)
        truth = annotate(scene, "a")
        sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
        np.testing.assert_allclose(sides, 2.5 * (truth.psf_fwhm or 0))
        assert ((truth.centres >= -0.5) & (truth.centres <= 199.5)).all()


@pytest.mark.parametrize("style", [VIEWER, SKYSERVER, COADD], ids=["viewer", "skyserver", "coadd"])
def test_stretch_inverts_exactly_on_eight_bit_pictures(style: Style) -> None:
    rng = np.random.default_rng(0)
    bands = rng.uniform(0.0, 0.4, (40, 40, 3))
    picture = style.picture(bands)
    unsaturated = (picture.max(axis=-1) < 1) & (picture.min(axis=-1) > 0)
    assert unsaturated.mean() > 0.3
    again = style.picture(style.linear(picture))
    assert np.abs(again - picture)[unsaturated].max() <= 0.001 / 255


def test_stream_is_the_same_in_parallel_in_parts_and_from_its_cache(tmp_path: Path) -> None:
    plain = [small(4, index) for index in range(BLOCK + 6)]
    streamed = list(stream(small, BLOCK + 6, seed=4, workers=2, cache=tmp_path))
    part = list(stream(small, 4, seed=4, start=BLOCK - 2, workers=1, cache=tmp_path))
    assert len(streamed) == len(plain)
    for first, second in zip(plain, streamed, strict=True):
        equal(first, second)
    for first, second in zip(plain[BLOCK - 2 :], part, strict=False):
        equal(first, second)
    blocks = sorted(tmp_path.rglob("block-*.npz"))
    assert len(blocks) == 2
    blocks[0].write_bytes(blocks[0].read_bytes()[:200])  # a damaged block is made again
    for first, second in zip(
        plain, stream(small, 3, seed=4, workers=1, cache=tmp_path), strict=False
    ):
        equal(first, second)


def test_stream_refuses_negative_numbers() -> None:
    with pytest.raises(WorkbenchError, match="number=-1"):
        list(stream(small, -1))


def test_processes_that_cannot_start_say_why() -> None:
    code = (
        "from workbench.clumps.simulate import simulate\n"
        "from workbench.clumps.stream import stream\n"
        "list(stream(simulate, 64, workers=2))\n"
    )
    done = subprocess.run(  # from standard input there is no file that they could start from
        [sys.executable, "-"], input=code, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("workbench.errors.WorkbenchError: the 2 processes that make galaxies")
    assert "workers=1" in last


def test_injected_light_is_the_asked_part_of_the_galaxy() -> None:
    host = disk_galaxy()
    made = inject(host, [Clump(62.3, 41.7, 0.10)])
    before, after = VIEWER.linear(host.image), VIEWER.linear(made.image)
    gained = (after - before)[:, :, 2].sum()
    # g light of a clump over u: 10^(0.4 * 0.39); rounding to 8 bits leaves a per cent or two.
    expected = 0.10 * u_flux(host, before) * 10 ** (0.4 * 0.39)
    assert gained == pytest.approx(expected, rel=0.05)
    weights = (after - before)[:, :, 2].clip(0)
    y, x = np.indices(weights.shape)
    assert (x * weights).sum() / weights.sum() == pytest.approx(62.3, abs=0.3)
    assert (y * weights).sum() / weights.sum() == pytest.approx(41.7, abs=0.3)
    np.testing.assert_array_equal(made.truth.boxes, square_boxes([(62.3, 41.7)], 5.0))
    far = np.hypot(x - 62.3, y - 41.7) > 40
    np.testing.assert_array_equal(made.image[far], host.image[far])


def test_a_brighter_clump_makes_a_brighter_picture() -> None:
    host = disk_galaxy()
    peaks = [
        float(inject(host, [Clump(60, 40, ratio)]).image[40, 60, 2])
        for ratio in (0.003, 0.03, 0.1, 0.3)
    ]
    assert peaks == sorted(peaks)
    assert peaks[-1] > peaks[0] + 0.1


def test_injected_sample_is_fixed_by_seed_and_index_and_lies_on_the_galaxy() -> None:
    source = Injected((disk_galaxy(), disk_galaxy(((60.0, 60.0),))))
    for index in range(4):
        one = source(3, index)
        equal(one, source(3, index))
        at = one.truth.centres.round().astype(int).clip(0, 100)
        assert outline(one)[at[:, 1], at[:, 0]].mean() > 0.9
        apart = np.hypot(*(one.truth.centres[:, None] - one.truth.centres[None]).transpose(2, 0, 1))
        assert (apart + 99 * np.eye(len(apart)) > 3.5).all()
    assert {len(source(3, index).truth) for index in range(8)} != {0}


def test_a_galaxy_that_fills_most_of_a_picture_has_its_outline() -> None:
    y, x = np.indices((120, 120)) - 59.5
    disk = np.hypot(x, y) < 55
    assert disk.mean() > 0.6  # so that the median is light of the galaxy
    noisy = np.random.default_rng(0).normal(10, 3, disk.shape) + 60 * disk
    found = host_mask(noisy, 1.5)
    assert (found & disk).sum() / (found | disk).sum() > 0.93


def test_a_black_border_is_not_taken_for_sky() -> None:
    y, x = np.indices((120, 120)) - 59.5
    noisy = np.random.default_rng(0).normal(20, 3, x.shape) + 60 * (np.hypot(x, y) < 20)
    noisy[:9] = noisy[-9:] = 0
    noisy[:, :9] = noisy[:, -9:] = 0
    assert host_mask(noisy, 1.5).sum() == pytest.approx(np.pi * 20**2, rel=0.3)


def test_nearly_all_simulated_galaxies_have_outlines_with_most_clumps_inside() -> None:
    none, inside = 0, []
    for index in range(40):
        galaxy = simulate(9, index)
        at = galaxy.truth.centres[galaxy.truth.labels == Label.CLUMP].round().astype(int)
        try:
            inside += list(outline(galaxy)[at[:, 1], at[:, 0]])
        except WorkbenchError:  # no sky in the picture: the galaxy reaches over all its sides
            none += 1
    assert none < 5
    assert np.mean(inside) > 0.6


@pytest.mark.parametrize("which", range(8))
def test_turning_takes_points_along(which: int) -> None:
    image = np.zeros((11, 17, 3), np.float32)
    image[3, 12] = 1
    truth = disk_galaxy().truth
    galaxy = Galaxy(image, replace(truth, width=17, height=11))
    turned = turn(galaxy, which)
    row, column = np.argwhere(turned.image[:, :, 0] == 1)[0]
    at = turn_points(np.array([[12.0, 3.0]]), (17, 11), which)
    np.testing.assert_array_equal(at, [[column, row]])


def test_injection_says_what_is_missing() -> None:
    host = disk_galaxy()
    unknown = Galaxy(host.image, replace(host.truth, psf_fwhm=None))
    with pytest.raises(WorkbenchError, match="needs the PSF"):
        inject(unknown, [Clump(5, 5, 0.1)])
    with pytest.raises(WorkbenchError, match="inside 101 x 101"):
        inject(host, [Clump(500, 5, 0.1)])
    flat = Galaxy(np.full_like(host.image, 0.1), host.truth)
    with pytest.raises(WorkbenchError, match="no galaxy stands out"):
        inject(flat, [Clump(5, 5, 0.1)])
    assert Injected((flat, host))(0, 0).truth.labels.size  # the other host is taken
    with pytest.raises(WorkbenchError, match="no galaxy stands out"):
        Injected((flat,))(0, 0)
    with pytest.raises(WorkbenchError, match="no host picture"):
        Injected(())(0, 0)
