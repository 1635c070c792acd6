"""Training: it learns, it is killed and goes on with the same losses, and refuses what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clump_cases import disk_galaxy
from workbench.clumps.detector import infer, to_tensor
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.export import write_data
from workbench.clumps.galaxy import Galaxy
from workbench.clumps.request import Request
from workbench.clumps.run import Plan, read_split, train
from workbench.clumps.training import (
    HISTORY,
    AtomicCheckpoints,
    TrainOptions,
    batches,
    running_mean,
)
from workbench.clumps.weights import load_detector, read_card
from workbench.errors import WorkbenchError

# Lightning's advice on cores and loggers is filtered where it trains, not where it is set up.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning.*")
EPOCHS = 4


def spots(seed: int, side: int = 64) -> Galaxy:
    """A disk with three blue points somewhere on it."""
    rng = np.random.default_rng(seed)
    middle = (side - 1) / 2
    angle = rng.uniform(0, 2 * np.pi) + np.array([0.0, 2.0, 4.1])
    radius = rng.uniform(10, 20, 3)
    points = np.stack([middle + radius * np.cos(angle), middle + radius * np.sin(angle)], axis=-1)
    galaxy = disk_galaxy(tuple((float(x), float(y)) for x, y in points), side)
    return Galaxy(galaxy.image, replace(galaxy.truth, name=f"spots{seed}"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data([spots(k) for k in range(8)], root / "train")
    write_data([spots(100 + k) for k in range(4)], root / "valid")
    return root


def request(place: Path) -> Request:
    return Request("folder", place=str(place), labels=str(place / "labels.parquet"))


def plan_of(data: Path, **options: object) -> Plan:
    settings = {"epochs": EPOCHS, "batch": 4, "learning_rate": 1e-3, **options}
    return Plan(
        request(data / "train"), request(data / "valid"), DetectorConfig(), TrainOptions(**settings)
    )


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    train(plan_of(data), folder, progress=False)
    return folder


def history(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


KILLED = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_clumps_training import plan_of, train
torch.set_num_threads(1)
train(plan_of(Path(sys.argv[2])), sys.argv[3], progress=False)
"""


def test_a_killed_run_goes_on_with_the_same_losses(data: Path, whole: Path, tmp_path: Path) -> None:
    arguments = [str(Path(__file__).parent), str(data), str(tmp_path)]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    last = tmp_path / "checkpoints" / "last.ckpt"
    until = time.monotonic() + 120
    while not last.exists() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert last.exists()
    assert not (tmp_path / "detector.safetensors").exists(), "killed too late to test anything"
    train(plan_of(data), tmp_path, progress=False)
    assert history(tmp_path) == history(whole)
    first, second = (load_detector(f / "detector.safetensors")[0] for f in (whole, tmp_path))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)


def test_losses_fall_and_the_card_says_how_it_was_trained(whole: Path, data: Path) -> None:
    rows = history(whole)
    assert [row["epoch"] for row in rows] == list(range(EPOCHS))
    assert rows[-1]["train_loss"] < 0.8 * rows[0]["train_loss"]
    model, config, card = load_detector(whole / "detector.safetensors")
    assert card["training"]["galaxies"] == 8
    assert card["training"]["options"]["learning_rate"] == 1e-3
    assert card["training"]["epochs_run"] == EPOCHS
    assert card["validation"]["galaxies"] == 4
    assert card["licence"] == "Apache-2.0"
    split = read_split(plan_of(data))
    found = infer(model, config, [to_tensor(one.image) for one in split.valid])
    best = rows[int(card["training"]["best_epoch"])]["val_f1"]
    assert card["validation"]["f1"] == pytest.approx(best, abs=0.1)
    assert all(len(one) for one in found)


def test_a_detector_is_fine_tuned_from_where_it_was(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    start = whole / "detector.safetensors"
    plan = replace(plan_of(data, epochs=1, learning_rate=1e-4), start_from=str(start))
    tuned = train(plan, tmp_path, progress=False)
    before, after = load_detector(start)[0].state_dict(), load_detector(tuned)[0].state_dict()
    name = "roi_heads.box_predictor.cls_score.weight"
    assert 0 < (after[name] - before[name]).abs().max() < 0.01  # 2 steps of 1e-4 and rounding
    kept = [n for n in before if n.endswith(("running_mean", "running_var"))]
    assert kept  # statistics of many galaxies outlast a few
    for name in kept:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    assert read_card(tuned)["training"]["before"] == read_card(start)["training"]
    assert read_card(tuned)["licence"] == read_card(start)["licence"]
    pico = replace(plan, config=DetectorConfig(backbone="convnext_pico"))
    with pytest.raises(WorkbenchError, match="its config is"):
        train(pico, tmp_path / "pico", progress=False)


def test_a_run_of_other_settings_is_not_continued(whole: Path, data: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"options differ"):
        train(plan_of(data, learning_rate=2e-3), whole, progress=False)


def test_training_and_validation_share_no_picture(data: Path, tmp_path: Path) -> None:
    same = replace(plan_of(data), valid=request(data / "train"))
    with pytest.raises(WorkbenchError, match="in training and validation"):
        train(same, tmp_path, progress=False)


def test_a_folder_without_boxes_is_nothing_to_learn_from(data: Path, tmp_path: Path) -> None:
    bare = Request("folder", place=str(data / "train"), catalog=str(data / "train/labels.parquet"))
    with pytest.raises(WorkbenchError, match="8 pictures and no box"):
        train(replace(plan_of(data), train=bare), tmp_path, progress=False)


def test_batches_hold_each_picture_once_and_one_padded_size(data: Path) -> None:
    split = read_split(plan_of(data))
    small = read_split(replace(plan_of(data), config=DetectorConfig(pixels_per_fwhm=4.0)))
    mixed = [*split.train, *small.train]
    rows = batches(mixed, TrainOptions(batch=3), epoch=2)
    assert sorted(index for row in rows for index in row) == list(range(16))
    assert all(len({mixed[k].image.shape for k in row}) == 1 for row in rows)
    assert rows == batches(mixed, TrainOptions(batch=3), epoch=2)
    assert rows != batches(mixed, TrainOptions(batch=3), epoch=3)


def test_the_running_mean_is_young_at_first() -> None:
    mean = running_mean(0.9)
    for step, expected in ((0, 0.9), (10_000, 0.1)):
        average, number = [torch.zeros(2), torch.zeros(3)], [torch.tensor(0)]
        mean(average, [torch.ones(2), torch.ones(3)], torch.tensor(step))
        for one in average:
            torch.testing.assert_close(one, torch.full_like(one, expected))
        mean(number, [torch.tensor(7)], step)
        assert number[0] == 7


class Touch:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("touched"),)


def test_checkpoints_are_written_whole_and_run_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files, path = AtomicCheckpoints(), tmp_path / "a.ckpt"
    files.save_checkpoint({"state_dict": {"w": torch.arange(3.0)}, "epoch": 2}, path)
    before = path.read_bytes()
    with pytest.raises(AttributeError):  # what cannot be written leaves the old file
        files.save_checkpoint({"w": lambda: None}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]
    assert files.load_checkpoint(path)["epoch"] == 2
    torch.save({"w": Touch()}, path)
    with pytest.raises(Exception, match="Weights only load failed"):
        files.load_checkpoint(path)
    assert not (tmp_path / "touched").exists()


def test_training_on_two_devices_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Two processes on this machine's CPU, as Lightning starts one a GPU."""
    command = [sys.executable, "-m", "workbench.cli", "clumps", "train", "--number", "8",
               "--valid-number", "4", "--seed", "9", "--workers", "1", "--batch", "2", "--epochs",
               "2", "--devices", "2", "--no-progress", "--out", str(tmp_path)]  # fmt: skip
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    card = read_card(tmp_path / "detector.safetensors")
    assert card["training"]["options"]["devices"] == 2
    assert card["validation"]["galaxies"] == 4
