"""The galaxies of an audit as columns to filter and sort by, most useful first among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.audit import query
from workbench.audit.agreement import pairs
from workbench.audit.box import Source, Status
from workbench.audit.found import detected_boxes, score_range, true_boxes
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workbench.audit.session import Session

# Name of the order, what it means, and whether the largest come first.
ORDERS: dict[str, tuple[str, bool]] = {
    "order": ("as given", False),
    "uncertainty": ("most uncertain first", True),
    "disagreement": ("most disagreement first", True),
    "boxes": ("most detections first", True),
    "top": ("highest score first", True),
    "flux_ratio": ("brightest clump first", True),
    "name": ("by name", False),
}


def ranked(audit: Session, condition: str = "", order: str = "order") -> tuple[str, ...]:
    """Return the names of the galaxies that fulfil `condition`, in an order of `ORDERS`.

    Only the columns that are asked for are worked out.

    Raises
    ------
    WorkbenchError
        The condition is wrong or the order unknown.
    """
    if order not in ORDERS:
        raise WorkbenchError(f"unknown order {order!r}; known: {', '.join(ORDERS)}")
    columns = Columns(audit)
    chosen = np.flatnonzero(query.select(condition, columns))
    key = columns[order][chosen]
    if ORDERS[order][1]:
        key = -np.nan_to_num(key.astype(float), nan=-np.inf)
    names = audit.library.names
    return tuple(names[int(k)] for k in chosen[np.argsort(key, kind="stable")])


class Columns(dict[str, "NDArray[Any]"]):
    """The columns by name, each (N,) over the galaxies, worked out when first read."""

    def __init__(self, audit: Session) -> None:
        self._makers: dict[str, Callable[[Session], NDArray[Any]]] = {
            "order": lambda audit: np.arange(len(audit.library.names)),
            "name": lambda audit: np.array(audit.library.names),
            "boxes": lambda audit: np.array([len(s) for s in _scores(audit)]),
            "top": lambda audit: np.array([s.max(initial=-np.inf) for s in _scores(audit)]),
            "uncertainty": uncertainty,
            "disagreement": disagreement,
            "flux_ratio": brightest,
            "true": _catalogued,
            "done": lambda audit: np.array([audit.is_done(name) for name in audit.library.names]),
            "accepted": lambda audit: _decided(audit, Status.ACCEPTED),
            "rejected": lambda audit: _decided(audit, Status.REJECTED),
        }
        super().__init__(dict.fromkeys(self._makers, np.empty(len(audit.library.names))))
        self._made: set[str] = set()
        self._audit = audit

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            self[name] = self._makers[name](self._audit)
            self._made.add(name)
        return super().__getitem__(name)


def _scores(audit: Session) -> list[NDArray[np.float64]]:
    empty = np.empty(0)
    found = (audit.detections.get(name) for name in audit.library.names)
    return [empty if one is None else one.scores for one in found]


def _catalogued(audit: Session) -> NDArray[np.int64]:
    known = (audit.library.known(name) for name in audit.library.names)
    return np.array([0 if truth is None else len(truth) for truth in known], np.int64)


def uncertainty(audit: Session) -> NDArray[np.float64]:
    """Return for each galaxy the sum of the binary entropies of its scores, in bits.

    Scores beyond [0, 1], such as significances, are first mapped by a logistic function to
    probabilities: a half at their median, e / (1 + e) a quartile range above it.
    """
    scores = _scores(audit)
    joined = np.concatenate([*scores, np.empty(0)])
    low, high = score_range(audit.detections)
    if len(joined) and (low < 0 or high > 1):
        quartiles = np.percentile(joined, [25, 50, 75])
        spread = max(float(quartiles[2] - quartiles[0]), 1e-9)
        scores = [1 / (1 + np.exp(-(some - quartiles[1]) / spread)) for some in scores]
    return np.array([_entropy(some) for some in scores])


def _entropy(p: NDArray[np.float64]) -> float:
    inside = p[(p > 0) & (p < 1)]
    bits = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
    return float(bits.sum())


def disagreement(audit: Session) -> NDArray[np.float64]:
    """Return for each galaxy how many boxes are in one set alone.

    The sets are the detections and the other detections, or the catalogue where there are none.
    """
    return np.array([_lone(audit, name) for name in audit.library.names], np.float64)


def _lone(audit: Session, name: str) -> int:
    truth = audit.library.known(name)
    found = detected_boxes(audit.detections.get(name))
    against = detected_boxes(audit.other.get(name)) if audit.other else true_boxes(truth)
    same = len(pairs(found, against, None if truth is None else truth.psf_fwhm))
    return len(found) + len(against) - 2 * same


def brightest(audit: Session) -> NDArray[np.float64]:
    """Return the greatest known flux ratio of each galaxy, NaN where none is known."""
    found = []
    for name in audit.library.names:
        truth = audit.library.known(name)
        ratios = np.empty(0) if truth is None else truth.flux_ratio[np.isfinite(truth.flux_ratio)]
        found.append(float(ratios.max()) if len(ratios) else np.nan)
    return np.array(found)


def _decided(audit: Session, status: Status) -> NDArray[np.int64]:
    counts = dict.fromkeys(audit.library.names, 0)
    for name in audit.journal.galaxies(audit.auditor):
        if name in counts:
            boxes = audit.state(name).boxes.values()
            counts[name] = sum(
                box.status == status and (box.source != Source.TRUTH or status == Status.ACCEPTED)
                for box in boxes
            )
    return np.array(list(counts.values()))
