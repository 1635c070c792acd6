"""``workbench clumps``: the commands end to end on the simulated default, without network."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from astropy.io import fits
from clump_cases import disk_galaxy, real_data
from workbench.clumps import cli, report, weights
from workbench.clumps.detecting import COLUMNS, read_detections, run_detector
from workbench.clumps.detector import build
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.evaluate import NOTHING_FOUND, Aim, choose_threshold, match_all
from workbench.clumps.matching import detections
from workbench.clumps.pictures import Report, write_picture
from workbench.clumps.request import Request
from workbench.clumps.simulate import simulate
from workbench.clumps.sources import galaxies
from workbench.clumps.tables import read_table
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


def main(argv: list[str]) -> int:
    """Run a command as `workbench` does: its mistakes are one line and exit code 2."""
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except WorkbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sample")
    assert main(["clumps", "data", "--number", "3", "--workers", "1", "--out", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights: what these tests ask of it is its plumbing."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    config = DetectorConfig()
    card = {"threshold": 0.0, "licence": "Apache-2.0", "training": "none: random weights"}
    weights.save_detector(path, build(config), config, card)
    return path


def test_the_command_line_loads_neither_torch_nor_pillow() -> None:
    code = (
        "import sys, argparse, workbench.clumps.cli as cli; "
        "cli.add_parser(argparse.ArgumentParser().add_subparsers()); "
        "print(sorted({'torch', 'PIL', 'pandas', 'scipy', 'astropy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_data_writes_the_pictures_and_labels_of_the_source(sample_folder: Path) -> None:
    names = sorted(path.name for path in (sample_folder / "images").iterdir())
    assert names == ["sim-0-0.png", "sim-0-1.png", "sim-0-2.png"]
    read = list(galaxies(Request("folder", place=str(sample_folder / "images"),
                                 labels=str(sample_folder / "annotations_coco.json"))))  # fmt: skip
    for index, galaxy in enumerate(read):
        expected = simulate(0, index)
        np.testing.assert_array_equal(galaxy.image, expected.image)
        np.testing.assert_array_equal(galaxy.truth.labels, expected.truth.labels)
        np.testing.assert_allclose(galaxy.truth.boxes, expected.truth.boxes, atol=1e-9)


def test_detect_writes_a_table_with_sky_positions(
    sample_folder: Path, detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = tmp_path / "scales.csv"
    (sample_folder / "images" / "broken.png").write_bytes(b"no picture")
    catalog.write_text(
        "file,arcsec_per_px,psf_fwhm_r_arcsec,ra,dec\n"
        "sim-0-0.png,0.2,1.3,150,2\nsim-0-1.png,0.2,1.3,150,2\n"
    )
    out = tmp_path / "found.parquet"
    arguments = [str(sample_folder / "images"), "--catalog", str(catalog)]
    assert (
        main(["clumps", "detect", *arguments, "--weights", str(detector), "--out", str(out)]) == 0
    )
    (sample_folder / "images" / "broken.png").unlink()
    told = capsys.readouterr()
    assert "in 2 pictures" in told.out
    assert "broken.png: not a PNG or JPEG" in told.err
    assert "sim-0-2.png: the PSF FWHM is unknown" in told.err
    frame = pd.read_parquet(out)
    assert tuple(frame.columns) == COLUMNS
    assert set(frame["file"]) == {"sim-0-0.png", "sim-0-1.png"}
    # North up, east left, the middle pixel at the catalogue's position.
    east = (150 - frame["ra"]) * np.cos(np.radians(2)) * 3600 / 0.2
    np.testing.assert_allclose(east, (frame["x1"] + frame["x2"]) / 2 - 99.5, atol=0.01)
    north = (frame["dec"] - 2) * 3600 / 0.2
    np.testing.assert_allclose(north, 99.5 - (frame["y1"] + frame["y2"]) / 2, atol=0.01)


def test_what_is_off_the_galaxy_can_be_left_out(
    sample_folder: Path, detector: Path, tmp_path: Path
) -> None:
    found = {}
    for name, more in (("all", []), ("outline", ["--host-only"]),
                       ("segment", ["--host-only", "--host", "segment"])):  # fmt: skip
        out = tmp_path / f"{name}.csv"
        arguments = [str(sample_folder / "images"), "--psf-px", "6", "--threshold", "0", *more]
        main(["clumps", "detect", *arguments, "--weights", str(detector), "--out", str(out)])
        found[name] = {tuple(row) for row in pd.read_csv(out)[["file", "x1", "y1"]].to_numpy()}
    assert found["outline"] < found["all"]
    assert found["segment"] < found["all"]
    assert found["outline"] != found["segment"]


def test_detect_down_to_a_flux_ratio_gives_the_scores_of_clumps_so_bright(
    sample_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, found = tmp_path / "found.csv", {}
    shown = [str(sample_folder / "images"), "--psf-px", "7", "--out", str(out)]
    given = ["clumps", "detect", *shown, "--weights", str(weights.simulated())]
    for cut in ("0", "0.03"):
        assert main([*given, "--threshold", "0", "--min-flux-ratio", cut]) == 0
        found[cut] = pd.read_csv(out)
    every, bright = found["0"], found["0.03"]
    assert every[["file", "x1", "y1"]].equals(bright[["file", "x1", "y1"]])
    assert (bright["score"] <= every["score"] + 1e-9).all()
    assert (bright["score"] < 0.5 * every["score"]).any()  # a faint one
    assert main([*given, "--min-flux-ratio", "0.03"]) == 0
    assert pd.read_csv(out)["score"].min() >= weights.card_threshold(weights.simulated(), 0.03)
    capsys.readouterr()
    for cut, told in (("0.05", "no threshold for flux ratio 0.05; known for 0.01, 0.03, 0.08"),
                      ("1.5", "--min-flux-ratio 1.5; expected 0 to 1")):  # fmt: skip
        assert main([*given, "--min-flux-ratio", cut]) == 2
        assert told in capsys.readouterr().err


def test_an_older_detector_cannot_tell_a_flux_ratio(tmp_path: Path) -> None:
    config = replace(DetectorConfig(), brightness=False)
    path = tmp_path / "old.safetensors"
    weights.save_detector(path, build(config), config, {"threshold": 0.5})
    assert weights.card_threshold(path) == 0.5
    with pytest.raises(WorkbenchError, match="an older detector that does not tell"):
        next(run_detector(path, [disk_galaxy()], min_flux_ratio=0.03))


def test_a_detector_of_five_bands_goes_from_fits_to_detections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    for part, seed in (("train", "1"), ("valid", "2")):
        place = tmp_path / part
        main(["clumps", "data", "--number", "3", "--seed", seed, "--workers", "1", "--form", "fits",
              "--out", str(place)])  # fmt: skip
        for path in sorted((place / "images").iterdir()):
            with fits.open(path) as units:
                planes, header = units[0].data, units[0].header
            five = np.concatenate([planes, planes[:2]])
            fits.PrimaryHDU(five, header).writeto(path, overwrite=True)
    made = {part: [str(tmp_path / part / "images"), str(tmp_path / part / "labels.parquet")]
            for part in ("train", "valid")}  # fmt: skip
    arguments = [
        "clumps", "train", "--source", "folder", "--folder", made["train"][0], "--labels",
        made["train"][1], "--valid-folder", made["valid"][0], "--valid-labels", made["valid"][1],
        "--epochs", "1", "--batch", "2", "--no-progress",
    ]  # fmt: skip
    assert main([*arguments, "--bands", "5", "--out", str(tmp_path / "run")]) == 0
    weights = tmp_path / "run" / "detector.safetensors"
    assert json.loads(weights.with_suffix(".json").read_text())["config"]["bands"] == 5
    out = tmp_path / "found.csv"
    detect = ["--psf-px", "6", "--threshold", "0", "--weights", str(weights), "--out", str(out)]
    assert main(["clumps", "detect", made["valid"][0], *detect]) == 0
    assert len(pd.read_csv(out))
    write_picture(tmp_path / "valid" / "images" / "a.png", np.full((40, 40, 3), 0.5, np.float32))
    capsys.readouterr()
    assert main(["clumps", "detect", str(tmp_path / "valid" / "images"), *detect]) == 0
    assert "a.png: 3 bands; expected FITS with 5" in capsys.readouterr().err
    assert main(["clumps", "train", "--bands", "5", "--out", str(tmp_path / "other")]) == 2
    assert "source simulated has pictures of 3 bands" in capsys.readouterr().err


def test_evaluate_of_the_truth_itself_is_perfect(
    sample_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truths = read_table(sample_folder / "labels.parquet")
    rows = [(truth.name, *box, 0.9, label) for truth in truths
            for box, label in zip(truth.boxes, truth.labels, strict=True)]  # fmt: skip
    found = tmp_path / "found.parquet"
    pd.DataFrame(rows, columns=list(COLUMNS[:7])).to_parquet(found)
    source = ["--source", "folder", "--folder", str(sample_folder / "images"), "--labels",
              str(sample_folder / "labels.parquet")]  # fmt: skip
    out = tmp_path / "report"
    command = ["clumps", "evaluate", *source, "--detections", str(found), "--out", str(out)]
    assert main(command) == 2
    assert "needs --threshold" in capsys.readouterr().err
    assert main([*command, "--threshold", "0.5"]) == 0
    result = json.loads((out / "report.json").read_text())
    for row in result["methods"][0]["rates"]:
        if row["true"]:
            assert (row["completeness"], row["purity"], row["f1"]) == (1, 1, 1)
    assert result["methods"][0]["coco"]["ap"] == pytest.approx(1.0)
    assert "1.000 (1.00-1.00)" in (out / "report.md").read_text()
    page = (out / "report.html").read_text()
    assert "Completeness by flux ratio" in page
    assert 'src="http' not in page, "the page needs no network"


def test_evaluate_runs_detector_and_classical_methods(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert main([
        "clumps", "evaluate", "--number", "3", "--seed", "4", "--workers", "1", "--weights",
        str(detector), "--classical", "--tune-number", "4", "--out", str(out),
    ]) == 0  # fmt: skip
    result = json.loads((out / "report.json").read_text())
    names = [method["name"] for method in result["methods"]]
    assert names == ["detector", "dog", "sep", "dao", "dao_segment"]
    assert "| dog | within_fwhm | >= 3% |" in capsys.readouterr().out


def test_train_goes_on_from_a_detector_with_its_own_network(tmp_path: Path) -> None:
    start = weights.simulated()
    assert main([
        "clumps", "train", "--from", str(start), "--number", "4", "--valid-number", "2", "--seed",
        "6", "--epochs", "1", "--workers", "1", "--no-progress", "--out", str(tmp_path),
    ]) == 0  # fmt: skip
    card, before = weights.read_card(tmp_path / "detector.json"), weights.read_card(start)
    assert card["config"] == {"context": 0, "brightness": False} | before["config"]
    assert card["training"]["before"] == before["training"]


def test_evaluate_chooses_thresholds_on_other_galaxies_for_what_is_asked(tmp_path: Path) -> None:
    chosen = {}
    for aim in ("f1", "balance"):
        out = tmp_path / aim
        assert main([
            "clumps", "evaluate", "--number", "4", "--seed", "4", "--workers", "1", "--weights",
            str(weights.simulated()), "--choose", "12", "--aim", aim, "--out", str(out),
        ]) == 0  # fmt: skip
        rates = json.loads((out / "report.json").read_text())["methods"][0]["rates"]
        chosen[aim] = [row["threshold"] for row in rates]
    others = [simulate(600_004, index) for index in range(12)]
    found = [one for _, one in run_detector(weights.simulated(), others)]
    for aim, thresholds in chosen.items():
        matches = match_all(found, [galaxy.truth for galaxy in others])
        assert thresholds[0] == choose_threshold(matches, Aim(aim))


def test_where_no_threshold_can_be_chosen_it_is_that_of_nothing_found(detector: Path) -> None:
    bare = [disk_galaxy()]
    method = report.of_detector(detector, [simulate(4, 0)], valid=bare, aim=Aim.BALANCE)
    assert (method.threshold, method.by_cut) == (NOTHING_FOUND, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--out", "x"], "nothing to evaluate"),
        (["evaluate", "--classical", "--aim", "balance", "--out", "x"], "give --weights, --choose"),
        (["detect", "nowhere", "--weights", "a.safetensors"], "a.safetensors: no such file"),
        (["detect", "nowhere", "--weights", "a.safetensors", "--psf-px", "0"], "--psf-px 0.0"),
        (["data", "--source", "folder", "--out", "x"], "needs a folder"),
        (["data", "--source", "s82", "--folder", "nowhere", "--out", "x"], "no clumps.csv"),
        (["train", "--source", "folder", "--folder", "a", "--out", "x"], "needs --valid-folder"),
        (["train", "--source", "s82", "--out", "x"], "give --fold"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["clumps", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_nothing_readable_is_exit_code_1(tmp_path: Path, detector: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    out = str(tmp_path / "d.csv")
    command = ["clumps", "detect", str(tmp_path), "--weights", str(detector), "--out", out]
    assert main(command) == 1


def test_comparators_are_tuned_on_other_galaxies_than_they_score() -> None:
    train = [disk_galaxy(((62.0, 44.0), (38.0, 58.0)))]
    with pytest.raises(WorkbenchError, match="disk would be tuned on and scored"):
        report.comparators(train, train)


def test_injected_hosts_default_to_simulated_galaxies() -> None:
    first, second = (list(galaxies(Request("injected", number=2, seed=3))) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
    assert [galaxy.truth.name for galaxy in first] == ["inj-3-0", "inj-3-1"]


@real_data
def test_folds_of_stripe_82_part_the_galaxies() -> None:
    kept = {g.truth.name for g in galaxies(Request("s82", fold=2), Report())}
    out = {g.truth.name for g in galaxies(Request("s82", fold=2, held_out=True), Report())}
    assert (len(kept | out), len(kept & out)) == (53, 0)
    assert len(out) in {10, 11}
    valid = {g.truth.name for g in galaxies(Request("s82", fold=3, held_out=True))}
    train = {g.truth.name for g in galaxies(Request("s82", fold=2, skip=3))}
    assert train == kept - valid


def test_detections_of_pictures_not_in_the_table_are_none(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("file,x1,y1,x2,y2,score,label\nother.png,1,1,5,5,0.5,1\n")
    (found,) = read_detections(path, [disk_galaxy().truth])
    assert len(found) == 0
    path.write_text("file,x1\na,1\n")
    with pytest.raises(WorkbenchError, match="no column y1"):
        read_detections(path, [])


def test_a_report_without_clumps_is_an_error() -> None:
    empty = disk_galaxy().truth
    with pytest.raises(WorkbenchError, match="nothing to score"):
        report.report([report.Method("m", [detections([], [])], 0.5)], [empty], {})


def test_speed_prints_both_rates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clumps", "speed", "--number", "4", "--reference", "1", "--repeats", "1"]) == 0
    rates = json.loads(capsys.readouterr().out)["pictures_per_second"]
    # A picture of 200 pixels against one of 800, a network of 4.5 million weights against 41.
    assert rates["detector"] > 3 * rates["torchvision_resnet50_fpn_800"] > 0


def test_a_study_goes_from_pretraining_to_a_learning_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, curve = str(tmp_path / "encoder"), tmp_path / "curve"
    assert main(["clumps", "pretrain", "--number", "5", "--epochs", "1", "--workers", "1",
                 "--out", encoder]) == 0  # fmt: skip
    assert main(["clumps", "learning-curve", "--sizes", "4", "--epochs", "1", "--batch", "4",
                 "--valid-number", "2", "--test-number", "2", "--workers", "1",
                 "--pretrained", encoder, "--out", str(curve)]) == 0  # fmt: skip
    told = capsys.readouterr().out
    assert "pretrained, frozen" in told
    rows = json.loads((curve / "learning_curve.json").read_text())["rows"]
    assert [row["start"] for row in rows] == ["random", "pretrained, frozen", "pretrained"]
    frozen = json.loads((curve / "pretrained-frozen-4-0" / "detector.json").read_text())
    assert frozen["training"]["options"]["trainable_stages"] == 0
    assert "F1 against labelled galaxies" in (curve / "learning_curve.html").read_text()
