"""Published sources: Stripe 82, Clump Scout, and pickles that run no code."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clump_cases import DATA, picture, real_data
from workbench.clumps import clump_scout, s82
from workbench.clumps.galaxy import Label
from workbench.clumps.pictures import Report, write_picture
from workbench.clumps.safe_pickle import read_pickle
from workbench.clumps.tables import read_coco
from workbench.errors import WorkbenchError


@real_data
def test_s82_geometry_agrees_with_the_converted_files_to_a_tenth_of_a_pixel() -> None:
    converted = read_coco(Path(DATA or "") / "s82" / "annotations_coco.json")
    reference = {Path(truth.name).name: truth for truth in converted}
    report = Report()
    galaxies = list(s82.load(report=report, registered_only=False))
    assert len(galaxies) == 61
    assert sum(len(galaxy.truth) for galaxy in galaxies) == 369
    assert not report.problems
    for galaxy in galaxies:
        expected = reference[galaxy.truth.name].boxes
        order, wanted = np.lexsort(galaxy.truth.boxes.T), np.lexsort(expected.T)
        np.testing.assert_allclose(galaxy.truth.boxes[order], expected[wanted], atol=0.1, rtol=0)


@real_data
def test_s82_scores_on_53_galaxies_whose_picture_and_catalogue_agree() -> None:
    galaxies = list(s82.load())
    ratios = np.concatenate([galaxy.truth.flux_ratio for galaxy in galaxies])
    assert (len(galaxies), len(ratios)) == (53, 308)
    assert all(galaxy.image.shape == (424, 424, 3) for galaxy in galaxies)
    assert min(galaxy.truth.psf_fwhm or 0 for galaxy in galaxies) > 2


def test_s82_conversion_follows_the_published_geometry() -> None:
    sample = pd.DataFrame({
        "survey_id": ["7"], "ra": [150.0], "dec": [0.0], "petror90_r": [10.0],
        "psf_fwhm_r_arcsec": [1.2], "redshift": [0.05],
    })  # fmt: skip
    clumps = pd.DataFrame({
        "survey_id": ["7"], "clump_ra": [150.0 - 4 / 3600], "clump_dec": [2 / 3600],
        "flux_ratio_u": [0.1],
    })  # fmt: skip
    (truth,) = s82.convert(sample, clumps)
    # 0.2 arcsec per pixel: 4 arcsec west is 20 pixels right, 2 arcsec north 10 pixels up.
    np.testing.assert_allclose(truth.centres, [[230.7, 200.8]], atol=1e-4)
    assert truth.psf_fwhm == pytest.approx(6.0)
    assert truth.boxes[0, 2] - truth.boxes[0, 0] == pytest.approx(15.0)
    clumps["survey_id"] = "8"
    with pytest.raises(WorkbenchError, match="unknown galaxies, such as 8"):
        s82.convert(sample, clumps)


def test_s82_download_names_what_to_do_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s82, "BASE_URL", "http://127.0.0.1:9/")  # nothing listens there
    with pytest.raises(WorkbenchError, match="FLASHCLUMP_DATA"):
        s82.download(tmp_path)


def labels(name: str = "g1") -> pd.DataFrame:
    return pd.DataFrame({
        "local_id": [name, name], "label": [1, 2], "x1": [10.0, 50.0], "x2": [30.0, 70.0],
        "y1": [20.0, 60.0], "y2": [40.0, 80.0],
    })  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".pkl"])
def test_clump_scout_reads_labels_of_the_central_part(tmp_path: Path, suffix: str) -> None:
    table = tmp_path / f"labels{suffix}"
    frame = labels().astype({"local_id": object})  # as published by pandas 1 and 2
    frame.columns = frame.columns.astype(object)
    writers = {".csv": lambda: frame.to_csv(table, index=False),
               ".parquet": lambda: frame.to_parquet(table),
               ".pkl": lambda: table.write_bytes(pickle.dumps(frame))}  # fmt: skip
    writers[suffix]()
    image = picture(400, 400)
    pictures = tmp_path / "cutouts"
    pictures.mkdir()
    write_picture(pictures / "g1.png", image)
    write_picture(pictures / "stranger.png", image)
    write_picture(pictures / "g1.small.png", picture(100, 100))
    report = Report()
    (galaxy,) = clump_scout.load(pictures, table, report)
    np.testing.assert_array_equal(galaxy.image, image[100:300, 100:300])
    np.testing.assert_allclose(galaxy.truth.boxes[0], [9.5, 19.5, 29.5, 39.5])
    assert galaxy.truth.psf_fwhm == pytest.approx(8.0)
    assert galaxy.truth.labels.tolist() == [Label.CLUMP, Label.ODD]
    reasons = " ".join(reason for _, reason in report.problems)
    assert "not a local_id" in reasons
    assert "100 x 100 pixels; expected 400 or 200" in reasons


def test_clump_scout_without_a_table_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASHCLUMP_DATA", raising=False)
    with pytest.raises(WorkbenchError, match="FLASHCLUMP_DATA"):
        clump_scout.read_labels()


@real_data
def test_the_published_label_table_is_read_whole() -> None:
    known = clump_scout.by_galaxy(clump_scout.read_labels())
    assert len(known) == 19_956
    counted = np.concatenate([truth.labels for truth in known.values()])
    assert np.bincount(counted)[1:].tolist() == [33_411, 12_753]


class Attack:
    """What a hostile file would hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("attacked"),)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Attack()),
        b"cos\nsystem\n(S'touch attacked'\ntR.",
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
    ],
)
def test_pickles_run_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.pkl").write_bytes(content)
    with pytest.raises(WorkbenchError, match="neither an array nor a table"):
        read_pickle(tmp_path / "labels.pkl")
    assert not (tmp_path / "attacked").exists()


def test_a_broken_pickle_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(labels())[:100])
    with pytest.raises(WorkbenchError, match="not read as a label table"):
        read_pickle(tmp_path / "a.pkl")
