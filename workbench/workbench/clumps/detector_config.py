"""Every setting of the detector, with the reason for each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from workbench.clumps.backbones import DEFAULT
from workbench.clumps.galaxy import BOX_SIDE_FWHM
from workbench.clumps.scaling import PIXELS_PER_FWHM
from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class DetectorConfig:
    """Settings of `detector.Detector`; together with the weights they are the detector.

    Attributes
    ----------
    backbone
        A row of `backbones.BACKBONES`. Default: what fits a laptop.
    bands
        Channels of the picture: 3 colours, or 5 for u g r i z.
    pixels_per_fwhm
        Pictures are brought to this scale, so that every clump's box has one size.
    context
        Blocks that see the whole galaxy on the coarsest map, 0 for none. Without them a detector
        finds clumps in the dark sky (`workbench.clumps.context`).
    brightness
        Whether it tells how bright a clump is (`matching.BRIGHTER`). A score says how likely a
        clump is; a catalogue down to a flux ratio wants to know that of one so bright.
    fpn_channels, head_channels
        A quarter of the ImageNet detectors' 256 and 1024: two classes of one size need no more,
        and the head would else hold most of the weights.
    rpn_foreground, rpn_background
        An anchor on the 4-pixel grid overlaps a box of 15 pixels by at least 0.6, so 0.5 gives
        each clump several; below 0.3 it is another place.
    proposals
        Kept of each picture: the deepest catalogue has 25 clumps a galaxy.
    nms
        Class-agnostic: boxes overlapping by 0.2 are 0.67 sides, 1.7 FWHM apart (Popp et al. 2024).
    min_score
        Lowest score reported; a threshold is chosen on validation galaxies afterwards.
    detections
        At most so many in a picture.
    """

    backbone: str = DEFAULT
    bands: int = 3
    pixels_per_fwhm: float = PIXELS_PER_FWHM
    context: int = 3
    brightness: bool = True
    fpn_channels: int = 64
    head_channels: int = 256
    rpn_foreground: float = 0.5
    rpn_background: float = 0.3
    proposals: int = 200
    nms: float = 0.2
    min_score: float = 0.02
    detections: int = 60

    def __post_init__(self) -> None:
        if self.bands not in {3, 5}:
            raise WorkbenchError(f"{self.bands} bands; expected 3 or 5")
        if self.context < 0:
            raise WorkbenchError(f"{self.context} blocks of context; expected 0 or more")

    @property
    def box_side(self) -> float:
        """Side of every clump's box in network pixels: 2.5 PSF FWHM."""
        return BOX_SIDE_FWHM * self.pixels_per_fwhm

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON keeps."""
        return asdict(self)


def config_from_dict(content: dict[str, Any], source: str) -> DetectorConfig:
    """Return the config of `DetectorConfig.to_dict`.

    Raises
    ------
    WorkbenchError
        A setting is unknown; `source` names the file.
    """
    known = {field.name for field in fields(DetectorConfig)}
    unknown = sorted(set(content) - known)
    if unknown:
        raise WorkbenchError(
            f"{source}: unknown settings {', '.join(unknown)}; made by a newer version?"
        )
    first = {"context": 0, "brightness": False}  # the first detectors had none
    return DetectorConfig(**{**first, **content})
