"""Which galaxies a command works on: settings alone, light to import."""

from __future__ import annotations

from dataclasses import dataclass

# Galaxies made on the spot, as many as wanted; "mixed" takes the three others in turn.
MADE = ("simulated", "injected", "deep", "mixed")
SOURCES = (*MADE, "s82", "clump_scout", "folder")
FOLDS = 5


@dataclass(frozen=True)
class Request:
    """Which galaxies.

    Attributes
    ----------
    source
        One of `SOURCES`.
    number
        Of simulated and injected galaxies; at most so many of the others, None for all.
    seed, start
        Of simulated and injected galaxies; the first is `start`.
    place, labels, catalog
        Folder (or file) of pictures, their labels and scales, where the source takes some; for
        ``injected`` the folder of hosts, or ``"s82"``.
    fold, held_out
        Of Stripe 82 in five folds: all but `fold`, or with `held_out` that fold alone.
    skip
        A second fold to leave out: that of validation.
    bands
        5 for FITS pictures of a folder with five planes; None for 3 colours.
    workers, cache
        Processes and folder of finished blocks, for simulated and injected galaxies.
    """

    source: str = "simulated"
    number: int | None = None
    seed: int = 0
    start: int = 0
    place: str | None = None
    labels: str | None = None
    catalog: str | None = None
    fold: int | None = None
    held_out: bool = False
    skip: int | None = None
    bands: int | None = None
    workers: int | None = 1
    cache: str | None = None

    def describe(self) -> dict[str, object]:
        """Return what a card or a report says about the data."""
        known = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("workers", "cache"):
            known.pop(name)
        return {name: value for name, value in known.items() if value not in (None, False)}
