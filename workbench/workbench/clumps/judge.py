"""A second look at what was found: a logistic regression weighs all that is known of a candidate.

It is fitted to candidates in galaxies that the network did not learn from, so that its scores there
are those of new galaxies, and tells how likely the catalogue that it was fitted to has each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.candidates import NAMES, candidates
from workbench.clumps.evaluate import match_all
from workbench.clumps.extras import need
from workbench.clumps.matching import joined
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from workbench.clumps.candidates import Candidates
    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Detections, Match

STRENGTH = 1.0  # inverse of the penalty of the regression


@dataclass(frozen=True)
class Judge:
    """A logistic regression on the properties `NAMES`.

    Attributes
    ----------
    mean, scale
        Of the properties, which are weighed less the mean and over the scale.
    weights, constant
        Of the logarithm of the odds.
    galaxies
        That it was fitted to.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    constant: float
    galaxies: int

    def scores(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,) how likely each candidate is a clump, of its properties `known` (N, 21)."""
        odds = (known - self.mean) / self.scale @ np.array(self.weights) + self.constant
        sure: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
        return sure

    def to_dict(self) -> dict[str, Any]:
        """Return what `judge_from_dict` reads."""
        properties = {
            name: {"mean": mean, "scale": scale, "weight": weight}
            for name, mean, scale, weight in zip(
                NAMES, self.mean, self.scale, self.weights, strict=True
            )
        }
        return {"constant": self.constant, "galaxies": self.galaxies, "properties": properties}


def judge_from_dict(content: Mapping[str, Any], place: object) -> Judge:
    """Return the judge that `to_dict` wrote; `place` is named where it is none.

    Raises
    ------
    WorkbenchError
        A property is missing or unknown, or a value is no finite number.
    """
    try:
        properties = content["properties"]
        if set(properties) != set(NAMES):
            odd = sorted(set(properties) ^ set(NAMES))
            raise WorkbenchError(f"{place}: a judge of other properties ({', '.join(odd)}); "
                "this version knows other ones, fit it again")  # fmt: skip
        rows = np.array([
            [float(properties[name][part]) for part in ("mean", "scale", "weight")]
            for name in NAMES
        ])  # fmt: skip
        constant, number = float(content["constant"]), int(content["galaxies"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkbenchError(
            f"{place}: no judge ({error!r}); expected constant, galaxies and properties, each with "
            "mean, scale and weight"
        ) from error
    if not (np.isfinite(rows).all() and np.isfinite(constant) and (rows[:, 1] > 0).all()):
        raise WorkbenchError(f"{place}: a judge with NaN, infinity or a scale that is not positive")
    mean, scale, weight = (tuple(column.tolist()) for column in rows.T)
    return Judge(mean, scale, weight, constant, number)


def fit(found: Sequence[Candidates], galaxies: Sequence[Galaxy]) -> Judge:
    """Return a judge of candidates `found` in `galaxies` whose clumps are known.

    A candidate is a clump where the network's order, the surest first, matches it to one within
    one PSF FWHM.

    Raises
    ------
    WorkbenchError
        All candidates are clumps, or none.
    """
    known = np.concatenate([one.known for one in found])
    hits = np.concatenate([
        _hits(match, len(one.found))
        for match, one in zip(
            match_all([one.found for one in found], [galaxy.truth for galaxy in galaxies]),
            found, strict=True,
        )
    ])  # fmt: skip
    if hits.all() or not hits.any():
        raise WorkbenchError(
            f"a judge of {len(hits)} candidates in {len(galaxies)} galaxies, {int(hits.sum())} of "
            "them clumps: expected some that are clumps and some that are none"
        )
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = need("sklearn.linear_model").LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit((known - mean) / scale, hits)
    return Judge(
        tuple(mean.tolist()), tuple(scale.tolist()), tuple(model.coef_[0].tolist()),
        float(model.intercept_[0]), len(galaxies),
    )  # fmt: skip


def _hits(match: Match, number: int) -> NDArray[np.bool_]:
    hits = np.zeros(number, np.bool_)
    hits[match.which] = match.hits
    return hits


def judged(judge: Judge, found: Candidates) -> Detections:
    """Return the candidates with the judge's scores, and what is no clump as it was.

    The surest come first.
    """
    scored = replace(found.found, scores=judge.scores(found.known))
    every = joined([scored, found.others])
    return every.keep(np.argsort(-every.scores, kind="stable"))


def judge_one(judge: Judge, looked: tuple[Galaxy, Detections]) -> Detections:
    """Return what the network found in a picture as the judge sees it.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """
    galaxy, found = looked
    return judged(judge, candidates(found, galaxy))
