"""A launch drawn: which multiprocessors its blocks are on, and what they fill. SVG, no widget."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from rnnkernels.plan import values_of

from workbench.colours import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW

if TYPE_CHECKING:
    from rnnkernels.config import Configuration
    from rnnkernels.plan import Call

_SIDE, _ACROSS = 15, 22  # pixels of a multiprocessor, and how many of them in a row
_WIDTH = 330  # pixels of a bar
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)
_PARTS = {
    "shared_h": "h of all units",
    "shared_inputs": "inputs, prefetched",
    "shared_results": "results",
    "shared_R": "R",
    "shared_sums": "partial sums",
}


@dataclass(frozen=True)
class Residency:
    """How the blocks of a launch share the GPU: `groups` of `blocks`, `at_a_time`, in `turns`."""

    multiprocessors: int
    groups: int
    blocks: int
    at_a_time: int
    turns: int
    threads: int

    @property
    def busy(self) -> int:
        """Multiprocessors that have a block in the first turn."""
        return min(self.multiprocessors, min(self.groups, self.at_a_time) * self.blocks)

    @property
    def words(self) -> str:
        """What there is to run, in words."""
        one = "block" if self.blocks == 1 else f"group of {self.blocks} blocks"
        return f"{self.groups:,} x {one} of {self.threads} threads"

    @property
    def place(self) -> str:
        """Where they run, in words."""
        turns = "in 1 turn" if self.turns == 1 else f"in {self.turns:,} turns"
        return f"{turns}, {self.busy} of {self.multiprocessors} multiprocessors busy"


def residency(call: Call, config: Configuration) -> Residency:
    """Return how the blocks of a launch share the GPU."""
    values = values_of(call, config)
    cluster = config.strategy == "cluster"
    return Residency(
        call.gpu.multiprocessors,
        values["clusters" if cluster else "jobs"],
        values["cluster" if cluster else "blocks"],
        values["resident_clusters" if cluster else "groups_at_a_time"],
        values["turns"],
        values["threads"],
    )


def picture(call: Call, config: Configuration) -> str:
    """Return the launch as SVG: multiprocessors, shared memory, registers of a thread."""
    values = values_of(call, config)
    who = residency(call, config)
    rows = -(-who.multiprocessors // _ACROSS)
    top = rows * _SIDE + 56
    parts = [(text, values[name]) for name, text in _PARTS.items() if values.get(name)]
    if config.strategy == "grid":
        parts.append(("R", values["shared"] - values["shared_sums"]))
    each = values.get("registers_of_a_tile", values.get("registers_of_a_pair", 0))
    held = each * values["resident"]
    registers = [("R", held), ("everything else", values["registers_needed"] - held)]
    body = [
        _text(0, 12, who.words),
        _text(0, 28, who.place),
        *_multiprocessors(who),
        *_bar(top, "shared memory of a block", parts, values["shared_memory"], "B"),
        *_bar(top + 75, "registers of a thread", registers, values["registers_available"], ""),
    ]
    label = escape(f"{call}: {config}. {who.words} {who.place}")
    return (
        f'<svg width="{_WIDTH + 20}" height="{top + 125}" role="img" aria-label="{label}" '
        f'style="font:12px sans-serif;fill:currentColor">{"".join(body)}</svg>'
    )


def _multiprocessors(who: Residency) -> list[str]:
    squares = []
    for place in range(who.multiprocessors):
        x, y = place % _ACROSS * _SIDE, place // _ACROSS * _SIDE + 38
        group = place // who.blocks
        fill = _COLOURS[group % len(_COLOURS)] if place < who.busy else "none"
        size = _SIDE - 3
        squares.append(
            f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="{fill}" '
            f'stroke="currentColor" stroke-opacity="0.35"/>'
        )
    return squares


def _bar(top: int, title: str, parts: list[tuple[str, int]], limit: int, unit: str) -> list[str]:
    """Return a bar of parts against a limit, and under it a legend."""
    total = sum(amount for _, amount in parts)
    unit = f" {unit}".rstrip()
    found = [_text(0, top, f"{title}: {total:,} of {limit:,}{unit}")]
    scale, x = _WIDTH / max(limit, total, 1), 0.0
    for place, (text, amount) in enumerate(parts):
        width = amount * scale
        found.append(
            f'<rect x="{x:.1f}" y="{top + 6}" width="{width:.1f}" height="16" '
            f'fill="{_COLOURS[place]}"><title>{escape(text)}: {amount:,}{unit}</title></rect>'
        )
        x += width
    found.append(
        f'<rect x="0" y="{top + 6}" width="{limit * scale:.1f}" height="16" fill="none" '
        f'stroke="currentColor"/>'
    )
    at = 0
    for place, (text, _) in enumerate(parts):
        found.append(
            f'<rect x="{at}" y="{top + 30}" width="9" height="9" fill="{_COLOURS[place]}"/>'
        )
        found.append(_text(at + 12, top + 39, text))
        at += 20 + 6 * len(text)
    return found


def _text(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(text)}</text>'
