"""A training run in one safetensors file: weights, optimizer, step and curve, all or nothing.

Nothing in it is pickled. Tensors are ``model.<name>`` and ``optimizer.<parameter>.<name>``; the
metadata holds settings, step and curve as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from workbench.audit.atomic import whole_file
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer

FORMAT = "flashclump-states-1"


def save(path: Path, model: nn.Module, optimizer: Optimizer, about: dict[str, Any]) -> None:
    """Write a run's state; a reader sees this one or the one before, never a part.

    Raises
    ------
    WorkbenchError
        The disk refuses.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, overwrite=True) as part:
        save_file(kept, part, {"format": FORMAT, "about": json.dumps(about)})


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and what `save` was told about them.

    Raises
    ------
    WorkbenchError
        The file is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"{path}: no checkpoint of a run ({error})") from error
    if metadata.get("format") != FORMAT:
        raise WorkbenchError(f"{path}: not a checkpoint of a run; expected format {FORMAT}")
    return tensors, json.loads(metadata["about"])


def restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: Optimizer) -> None:
    """Put the tensors of a checkpoint back into model and optimizer."""
    model.load_state_dict(_part(tensors, "model."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = value
    # Saved from the optimizer of the same model: only its tensors differ.
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
