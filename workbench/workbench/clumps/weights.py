"""Detectors in files: weights as safetensors, all that is known about them in a JSON card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from workbench import datafiles
from workbench.clumps.detector import build
from workbench.clumps.detector_config import config_from_dict
from workbench.clumps.files import write_atomically
from workbench.clumps.judge import judge_from_dict
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.judge import Judge
    from workbench.clumps.request import Request

FORMAT = "flashclump-detector-1"


def shipped() -> Path:
    """Return the weights of the detector that comes with the project, its card beside it.

    It was fine-tuned on the 53 galaxies of Stripe 82: score it on others.

    Raises
    ------
    WorkbenchError
        The installation lacks it.
    """
    return datafiles.folder("detector") / "clumps.safetensors"


def simulated() -> Path:
    """Return the weights trained on simulated galaxies alone: any real galaxy is new to them.

    `clumps_deep.safetensors` beside them was trained further, on galaxies like a deep survey's.

    Raises
    ------
    WorkbenchError
        The installation lacks them.
    """
    return datafiles.folder("detector") / "clumps_simulated.safetensors"


def card_path(path: Path | str) -> Path:
    """Return where the card of the weights at `path` is: the same name with ``.json``."""
    return Path(path).with_suffix(".json")


def save_detector(
    path: Path | str, model: FasterRCNN, config: DetectorConfig, card: Mapping[str, Any]
) -> None:
    """Write the weights in half precision at `path` and the card beside them, each atomically.

    Half precision changes scores by less than 0.001 and halves the file.

    Raises
    ------
    WorkbenchError
        The name does not end in .safetensors.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WorkbenchError(f"{path}: expected a name ending in .safetensors")
    state = {name: _stored(tensor) for name, tensor in model.state_dict().items()}
    content = save(state, metadata={"format": FORMAT})
    mean, std = model.transform.image_mean, model.transform.image_std
    known = {
        "format": FORMAT,
        "config": config.to_dict(),
        "normalisation": {"mean": list(mean), "std": list(std)},
        "sha256": hashlib.sha256(content).hexdigest(),
        **card,
    }
    write_atomically(path, content)
    write_atomically(card_path(path), (json.dumps(known, indent=2) + "\n").encode())


def _stored(tensor: Tensor) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    # Variances and biases are few and may be tiny: they stay as they are.
    return kept.half() if kept.dtype == torch.float32 and kept.ndim > 1 else kept


def averaged(paths: Sequence[Path]) -> tuple[FasterRCNN, DetectorConfig]:
    """Return a detector whose weights are the means of those at `paths`, in evaluation mode.

    Detectors fine-tuned from the same start lie near enough to each other for their mean to be a
    detector too, at the cost of one (Wortsman et al. 2022, ICML: model soups).

    Raises
    ------
    WorkbenchError
        There is none, they are not of one config, or one cannot be read.
    """
    loaded = load_detectors(paths)
    first, model, config = loaded[0]
    if other := [path for path, _, its in loaded if its != config]:
        raise WorkbenchError(f"{other[0]}: its config is not that of {first}; expected the same")
    states = [one.state_dict() for _, one, _ in loaded]
    model.load_state_dict({
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point() else value for name, value in states[0].items()
    })  # fmt: skip
    return model, config


def read_card(path: Path | str) -> dict[str, Any]:
    """Return the card of the weights at `path`.

    Raises
    ------
    WorkbenchError
        It is missing or no card of a detector.
    """
    place = card_path(path)
    try:
        card: Any = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        if not Path(path).exists():
            raise _not_there(path) from error
        raise WorkbenchError(f"{place}: no card of a detector ({error.strerror})") from error
    except ValueError as error:
        raise WorkbenchError(f"{place}: not JSON ({error})") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT or "config" not in card:
        raise WorkbenchError(f"{place}: not the card of a detector; expected format {FORMAT}")
    return card


def _not_there(path: Path | str) -> WorkbenchError:
    return WorkbenchError(f"{path}: no such file; `workbench clumps train` makes one")


def card_judge(path: Path | str) -> Judge | None:
    """Return the judge on the card of the detector at `path`, None where it has none.

    Raises
    ------
    WorkbenchError
        There is no card, or its judge is none.
    """
    judge = read_card(path).get("judge")
    return None if judge is None else judge_from_dict(judge, card_path(path))


def card_threshold(path: Path | str, min_flux_ratio: float = 0.0, *, judged: bool = False) -> float:
    """Return the score threshold on the card of the detector at `path` for clumps so bright.

    With `judged` that of its judge's scores.

    Raises
    ------
    WorkbenchError
        It knows none for this flux ratio, or there is no card.
    """
    card = read_card(path)
    card = card["judge"] if judged else card
    if min_flux_ratio <= 0:
        return float(card.get("threshold", 0.0))
    known = {float(cut): float(at) for cut, at in card.get("thresholds", {}).items() if float(cut)}
    if min_flux_ratio not in known:
        raise WorkbenchError(
            f"{card_path(path)}: no threshold for flux ratio {min_flux_ratio:g}; known for "
            f"{', '.join(f'{cut:g}' for cut in sorted(known)) or 'none'}; give a threshold"
        )
    return known[min_flux_ratio]


def bands(path: Path | str) -> int:
    """Return how many bands the pictures of the detector at `path` have, by its card."""
    return config_from_dict(read_card(path)["config"], str(card_path(path))).bands


def refuse_known(path: Path | str, request: Request) -> None:
    """Refuse to score a detector on real galaxies that it was trained on.

    Raises
    ------
    WorkbenchError
        It, or what it was started from, was trained on these of Stripe 82.
    """
    training = read_card(path).get("training")
    while training and request.source == "s82":
        learnt = training["train"]
        apart = request.held_out and learnt.get("fold") == request.fold
        if learnt["source"] == "s82" and not apart:
            raise WorkbenchError(
                f"{path} was trained on galaxies of Stripe 82 that would be scored; give "
                f"{simulated().name}, or `workbench clumps cross-validate`"
            )
        training = training.get("before")


def load_detector(path: Path | str) -> tuple[FasterRCNN, DetectorConfig, dict[str, Any]]:
    """Return detector (float32, evaluation mode), config and card; nothing is unpickled.

    Raises
    ------
    WorkbenchError
        A file is missing, damaged, or does not fit its card.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WorkbenchError(
            f"{path}: expected a .safetensors file; pickled weights (.pt, .ckpt) are never loaded"
        )
    if not path.is_file():
        raise _not_there(path)
    card = read_card(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != card.get("sha256"):
        raise WorkbenchError(f"{path}: damaged, or not the file that {card_path(path)} describes")
    config = config_from_dict(card["config"], str(card_path(path)))
    model = build(config)
    try:
        model.load_state_dict({name: value.float() if value.dtype == torch.float16 else value
                               for name, value in load_file(path).items()})  # fmt: skip
    except (RuntimeError, SafetensorError) as error:
        raise WorkbenchError(f"{path}: weights do not fit {config.backbone} ({error})") from error
    scales = card.get("normalisation", {"mean": [0.0] * config.bands, "std": [1.0] * config.bands})
    model.transform.image_mean, model.transform.image_std = scales["mean"], scales["std"]
    return model.eval(), config, card


def load_detectors(
    paths: Sequence[Path | str],
) -> list[tuple[Path | str, FasterRCNN, DetectorConfig]]:
    """Return several detectors, to look at the same pictures together.

    Raises
    ------
    WorkbenchError
        There is none, one cannot be read, or they take pictures of different bands.
    """
    if not paths:
        raise WorkbenchError("no detector; give one .safetensors file or more")
    loaded = [(path, *load_detector(path)[:2]) for path in paths]
    first, _, its = loaded[0]
    for path, _, config in loaded[1:]:
        if config.bands != its.bands:
            raise WorkbenchError(
                f"{path} takes {config.bands} bands, {first} {its.bands}; expected the same"
            )
    return loaded
