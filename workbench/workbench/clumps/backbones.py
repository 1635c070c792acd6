"""Feature extractors of the detector: one row each, weights from Zoobot, timm or a folder.

Zoobot encoders (Walmsley et al. 2023, JOSS 8, 5312) are trained on Galaxy Zoo morphologies; timm's
ImageNet weights are there for comparison. Nothing is ever started at random unless asked for.
"""

from __future__ import annotations

import json
import os
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from workbench.clumps.extras import need
from workbench.errors import WorkbenchError

RANDOM, ZOOBOT, IMAGENET = "random", "zoobot", "imagenet"
# Fits a laptop and a file of 16 MB, and learns from few galaxies: from random weights the ConvNeXt
# encoders need several times the steps.
DEFAULT = "resnet18"
FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class Backbone:
    """One encoder architecture.

    Attributes
    ----------
    name
        timm's.
    zoobot
        Repository of Zoobot's weights on the Hugging Face hub; None where none is published.
    stages
        timm's indices of the feature maps that are used.
    strides, channels
        Of these feature maps.
    licence
        Of the published weights.
    """

    name: str
    zoobot: str | None
    stages: tuple[int, ...]
    strides: tuple[int, ...]
    channels: tuple[int, ...]
    licence: str


_HUB = "mwalmsley/zoobot-encoder-"
_LICENCE = "Apache-2.0 (timm, ImageNet); GPL-3.0 (Zoobot)"
_STRIDES = (4, 8, 16, 32)
_FOUR, _FIVE = (0, 1, 2, 3), (1, 2, 3, 4)  # five-stage encoders start at stride 2, left out here

BACKBONES = {
    row.name: row
    for row in (
        # Small enough for a laptop and for a file of 16 MB; Zoobot has no encoder of this size.
        Backbone("convnext_atto", None, _FOUR, _STRIDES, (40, 80, 160, 320), "Apache-2.0 (timm)"),
        Backbone(
            "convnext_pico", _HUB + "convnext_pico", _FOUR, _STRIDES, (64, 128, 256, 512), _LICENCE
        ),
        Backbone(
            "convnext_nano", _HUB + "convnext_nano", _FOUR, _STRIDES, (80, 160, 320, 640), _LICENCE
        ),
        # Without its last stage: 3 of 11 million weights, and a context of 7 clumps.
        Backbone("resnet18", _HUB + "resnet18", _FIVE[:3], _STRIDES[:3], (64, 128, 256), _LICENCE),
        Backbone("resnet50", _HUB + "resnet50", _FIVE, _STRIDES, (256, 512, 1024, 2048), _LICENCE),
        Backbone(
            "efficientnet_b0", _HUB + "efficientnet_b0", _FIVE, _STRIDES, (24, 40, 112, 320),
            _LICENCE,
        ),
    )
}  # fmt: skip


def backbone(name: str) -> Backbone:
    """Return the row called `name`.

    Raises
    ------
    WorkbenchError
        There is none; names the known ones.
    """
    if name not in BACKBONES:
        raise WorkbenchError(f"unknown backbone {name!r}; known: {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]


def encoder(name: str, weights: str = RANDOM, bands: int = 3) -> Any:
    """Return timm's feature extractor, maps of `Backbone.strides` from images (B, bands, H, W).

    Parameters
    ----------
    weights
        ``"zoobot"`` or ``"imagenet"`` (from the Hugging Face hub or its cache), a folder with
        timm's ``config.json`` and ``model.safetensors``, or ``"random"``.

    Raises
    ------
    WorkbenchError
        The name is unknown, the weights cannot be had, or are for another architecture.
    """
    row = backbone(name)
    wanted = {"features_only": True, "out_indices": row.stages, "in_chans": bands}
    create = need("timm").create_model
    if weights == RANDOM:
        return create(row.name, pretrained=False, **wanted)
    folder = _from_hub(row, weights) if weights in {ZOOBOT, IMAGENET} else Path(weights)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise WorkbenchError(
            f"weights {weights!r}: no {' and no '.join(missing)} there; expected 'zoobot', "
            "'imagenet', 'random' or a folder with config.json and model.safetensors"
        )
    _check_architecture(row, folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # weights of a head that is not used
            return create(f"local-dir:{folder}", pretrained=True, **wanted)
    except Exception as error:  # damaged files raise many kinds
        raise WorkbenchError(f"weights {weights!r}: not those of {row.name} ({error})") from error


def _check_architecture(row: Backbone, folder: Path) -> None:
    try:
        content: Any = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
        found = str(content["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(f"{folder / FILES[0]}: not timm's config ({error!r})") from error
    if found != row.name:
        raise WorkbenchError(f"{folder}: weights of {found}, expected those of {row.name}")


def repository(row: Backbone, weights: str) -> str:
    """Return the hub's repository of published weights, ``"zoobot"`` or ``"imagenet"``.

    Raises
    ------
    WorkbenchError
        Zoobot publishes no such encoder.
    """
    if weights == IMAGENET:
        return str(need("timm").models.get_pretrained_cfg(row.name).hf_hub_id)
    if row.zoobot is None:
        having = ", ".join(sorted(n for n, r in BACKBONES.items() if r.zoobot))
        raise WorkbenchError(
            f"Zoobot publishes no {row.name}; it has {having}; or use weights 'random'"
        )
    return row.zoobot


def _from_hub(row: Backbone, weights: str) -> Path:
    """Return the cached folder of the two files; only safetensors are ever fetched."""
    hub, name = need("huggingface_hub"), repository(row, weights)
    try:
        try:
            paths = [hub.hf_hub_download(name, file, local_files_only=True) for file in FILES]
        except hub.errors.LocalEntryNotFoundError:
            _reachable(hub.constants.ENDPOINT)
            paths = [hub.hf_hub_download(name, file) for file in FILES]
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WorkbenchError(
            f"{weights} weights of {row.name} are not in the cache and cannot be fetched "
            f"({reason}). On a machine with network, download {' and '.join(FILES)} of "
            f"huggingface.co/{name} into a folder and give that folder; or start at random on "
            "purpose with weights 'random'"
        ) from error
    return Path(paths[0]).parent


def _reachable(endpoint: str) -> None:
    """Raise OSError at once without network: the hub's own client tries for half a minute."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return
    host = urlparse(endpoint).hostname or endpoint
    socket.create_connection((host, 443), timeout=5).close()


def freeze(model: Any, trainable_stages: int) -> int:
    """Freeze all but the last `trainable_stages` stages of an encoder; return what can be trained.

    Stages follow the feature maps; the stem counts to the first. The number returned is that of
    parameters.
    """
    names = [info["module"] for info in model.feature_info.get_dicts()]
    keep = tuple(name.replace(".", "_") for name in names[len(names) - trainable_stages :])
    everything = trainable_stages >= len(names)
    for name, parameter in model.named_parameters():
        flat = name.replace(".", "_") + "_"
        parameter.requires_grad_(everything or flat.startswith(tuple(f"{k}_" for k in keep)))
    for module in model.modules():  # what does not learn keeps its statistics too
        if not any(parameter.requires_grad for parameter in module.parameters()):
            module.eval()
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
