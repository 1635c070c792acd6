"""What auditing twenty galaxies is worth: measured on real ones, in halves that never mix."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit import comparison, examples, retraining
from workbench.audit.results import Audit
from workbench.clumps import s82
from workbench.clumps.evaluate import folds
from workbench.clumps.extras import need
from workbench.clumps.request import Request
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.galaxy import Galaxy

AUDITOR = "the catalogue"


def study(
    weights: Path | str,
    folder: Path | str,
    *,
    galaxies: int = 20,
    epochs: int = 40,
    place: Path | str | None = None,
) -> dict[str, Any]:
    """Audit, fine-tune and compare on both halves of Stripe 82; return what was measured.

    In each half the detector's boxes on the first `galaxies` are decided by the catalogue, as
    actions of a journal; the detector fine-tuned on them is scored on the other half, so that
    every galaxy is scored once, by weights that never saw it. Journals and runs are kept in
    `folder`; a study that was killed goes on there.

    Parameters
    ----------
    place
        Folder of converted Stripe 82 data; by default that of ``FLASHCLUMP_DATA``, else a download.

    Raises
    ------
    WorkbenchError
        A half has fewer than `galaxies`, or the weights cannot be read.
    """
    need("workbench.clumps.weights").refuse_known(weights, Request(source="s82"))
    read_card = need("workbench.clumps.weights").read_card
    every = list(s82.load(place))
    half = folds([one.truth.name for one in every], 2)
    parts = [[one for one, k in zip(every, half, strict=True) if k == mine] for mine in (0, 1)]
    if min(map(len, parts)) < galaxies:
        raise WorkbenchError(f"halves of {len(parts[0])} and {len(parts[1])}; asked for {galaxies}")
    rounds, compared = [], []
    for mine in (0, 1):
        named = Path(folder) / f"half{mine}"
        made, did = _audited(weights, parts[mine][:galaxies], named, epochs)
        untouched = parts[1 - mine]
        one = comparison.compare(retraining.methods(made, untouched), untouched)
        compared.append(one)
        rounds.append({
            "audited": galaxies, "learnt": made.learnt, "chose": made.chose,
            "actions": did, "rates": one.rows(), "gains": one.gains(),
        })  # fmt: skip
    both = comparison.together(compared)
    return {
        "data": "s82", "epochs": epochs, "start_from": Path(weights).name,
        "start_sha256": read_card(weights)["sha256"],
        "auditor": "the catalogue's boxes, applied as an auditor's actions",
        "rates": both.rows(), "gains": both.gains(), "halves": rounds,
    }  # fmt: skip


def _audited(
    weights: Path | str, among: Sequence[Galaxy], folder: Path, epochs: int
) -> tuple[retraining.Retrained, dict[str, int]]:
    folder.mkdir(parents=True, exist_ok=True)
    found = examples.detected(among, weights)
    with Audit(
        among, found, journal=folder / "audit.sqlite", auditor=AUDITOR, show_truth=False
    ) as audit:
        examples.decide_by_catalogue(audit, audit.queue)
        did = Counter(row.entry.kind for row in audit.history("*"))
        made = retraining.fine_tune(weights, audit.dataset(), folder / "run", epochs=epochs)
    return made, {str(kind): number for kind, number in sorted(did.items())}


def as_text(result: dict[str, Any]) -> str:
    """Return rates and gains as lines to print."""
    lines = [f"{row['method']:18} {_rates(row, row['interval_95'])}" for row in result["rates"]]
    gains = result["gains"]
    values = {name: one["gain"] for name, one in gains.items()}
    intervals = {name: one["interval_95"] for name, one in gains.items()}
    gain = "fine-tuned over threshold chosen"
    return "\n".join([*lines, f"gain of {gain}: {_rates(values, intervals)}"])


def _rates(values: dict[str, Any], intervals: dict[str, tuple[float, float]]) -> str:
    return "  ".join(
        f"{name} {values[name]:.3f} ({low:.3f} to {high:.3f})"
        for name, (low, high) in intervals.items()
    )
