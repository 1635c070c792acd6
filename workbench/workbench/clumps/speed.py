"""Pictures a second: the detector, and torchvision's default at 800 pixels, in one process."""

from __future__ import annotations

import contextlib
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from workbench import provenance
from workbench.clumps.detector import build, infer, to_tensor
from workbench.clumps.simulate import simulate
from workbench.clumps.weights import load_detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workbench.clumps.detector_config import DetectorConfig

SIDE = 200  # pixels, those of the published cutouts
DISTINCT = 16  # simulated galaxies, seen again and again


def measure(
    config: DetectorConfig, number: int, reference: int, *, repeats: int = 3, bf16: bool = False,
    weights: Path | str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return pictures/s of both detectors on the GPU if there is one.

    Parameters
    ----------
    config
        Of a detector with random weights, where `weights` names none.
    number, reference
        Pictures of 200 x 200 for the detector and for torchvision's, in memory as bytes; making
        tensors of them and reading the boxes back is part of the time.
    repeats
        The fastest of so many counts: what else runs on the machine can only add.
    bf16
        Run both in bfloat16 where torch's autocast allows it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distinct = [
        (simulate(0, index, SIDE).image * 255).astype(np.uint8) for index in range(DISTINCT)
    ]
    images = [distinct[k % DISTINCT] for k in range(number)]
    torch.manual_seed(0)
    if weights is None:
        ours = build(config).eval().to(device)
    else:
        ours, config, _ = load_detector(weights)
        ours.to(device)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval().to(device)

    def run_ours(pictures: list[NDArray[np.uint8]]) -> None:
        infer(
            ours, config,
            [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures],
        )  # fmt: skip

    def run_theirs(pictures: list[NDArray[np.uint8]]) -> None:
        for first in range(0, len(pictures), 8):
            batch = [to_tensor(picture).to(device) for picture in pictures[first : first + 8]]
            [{name: value.cpu() for name, value in one.items()} for one in theirs(batch)]

    with torch.inference_mode(), _precision(device, bf16):
        rates = {
            "detector": _rate(run_ours, images, repeats),
            "torchvision_resnet50_fpn_800": _rate(run_theirs, images[:reference], repeats),
        }
    return {
        "pictures_per_second": rates,
        "config": config.to_dict(),
        "weights": "random" if weights is None else Path(weights).name,
        "bf16": bf16,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": provenance.commit(),
    }


def _precision(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()


def _rate(
    run: Callable[[list[NDArray[np.uint8]]], None], pictures: list[NDArray[np.uint8]], repeats: int
) -> float:
    run(pictures[: max(1, len(pictures) // 4)])  # warm-up: algorithms are chosen, memory is taken
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        run(pictures)  # ends with the boxes on the host, so a GPU is done
        best = min(best, time.perf_counter() - began)
    return len(pictures) / best
