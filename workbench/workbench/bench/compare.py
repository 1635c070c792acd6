"""Two files of results against each other: ratios, and which are more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.bench.record import Row

SLOWER, FASTER, SAME = "slower", "faster", "same"
BROKEN, MENDED = "broken", "mended"
_LEAST = 0.02  # of the time: below this nobody sees a difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """One case in both files: B's median over A's, and what that means."""

    key: str
    before: float | None  # ms, None where it failed
    after: float | None
    verdict: str

    @property
    def ratio(self) -> float | None:
        """B over A; above 1 B is slower."""
        if self.before is None or self.after is None:
            return None
        return self.after / self.before


def compare(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[Comparison]:
    """Return each case that both have, the worst first.

    Slower means: the medians differ by 2 % at least, and the quartiles do not overlap (B's lower
    one lies above A's upper one). Broken means that it failed, or was wrong, in B alone.

    Raises
    ------
    WorkbenchError
        They have no case in common.
    """
    both = [key for key in before if key in after]
    if not both:
        raise WorkbenchError("the two files have no case in common; `workbench bench show` lists")
    found = [_compared(before[key], after[key]) for key in both]
    order = {BROKEN: 0, SLOWER: 1, SAME: 2, FASTER: 3, MENDED: 4}
    return sorted(found, key=lambda one: (order[one.verdict], -(one.ratio or 0.0)))


def _compared(a: Row, b: Row) -> Comparison:
    good_a, good_b = _good(a), _good(b)
    if good_a and good_b:
        verdict = _verdict(a, b)
    elif good_a or good_b:
        verdict = BROKEN if good_a else MENDED
    else:
        verdict = SAME
    return Comparison(a["key"], a.get("ms"), b.get("ms"), verdict)


def _good(row: Row) -> bool:
    return "failure" not in row and bool(row.get("correct", True))


def _verdict(a: Row, b: Row) -> str:
    if abs(b["ms"] / a["ms"] - 1) < _LEAST:
        return SAME
    if b["ms_p25"] > a["ms_p75"]:
        return SLOWER
    return FASTER if b["ms_p75"] < a["ms_p25"] else SAME


def regressions(found: Sequence[Comparison]) -> list[Comparison]:
    """Return what got slower or broke."""
    return [one for one in found if one.verdict in {SLOWER, BROKEN}]


def table(found: Sequence[Comparison]) -> str:
    """Return the comparison as text, a line a case, and how many of each verdict."""
    lines = [f"{'case':58}{'A ms':>11}{'B ms':>11}{'B / A':>8}  verdict"]
    for one in found:
        ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
        lines.append(f"{one.key:58}{_ms(one.before)}{_ms(one.after)}{ratio:>8}  {one.verdict}")
    counts = dict.fromkeys((BROKEN, SLOWER, SAME, FASTER, MENDED), 0)
    for one in found:
        counts[one.verdict] += 1
    lines.append(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return f"{'failed':>11}" if value is None else f"{value:11.4f}"
