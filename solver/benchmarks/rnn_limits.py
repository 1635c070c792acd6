"""The recurrent kernel problems with the GPU's limits as parameters: ``smem``, ``regs``, ``sms``.

The files ``rnn_*`` have the numbers filled in and say in ``params`` which they are, so each limit
is found at its place in the text.
"""

from __future__ import annotations

import re
from typing import Any

_FRACTIONS = (0.95, 0.9, 0.85, 0.75, 0.65, 0.5, 0.35, 0.2)  # of a limit, as a slider goes down


def parametrised(space: dict[str, Any]) -> dict[str, Any] | None:
    """Return a problem file with its limits as parameters, None where it is no such problem."""
    given = space.get("params") or {}
    limits = {name: given.get(name) for name in ("smem", "regs", "sms")}
    if not all(isinstance(value, int) for value in limits.values()):
        return None
    texts = [_with_names(text, limits) for text in space["constraints"]]
    stated = {**space, "constraints": texts, "params": limits}
    return stated if all(any(name in text for text in texts) for name in limits) else None


def slider_moves(stated: dict[str, Any]) -> list[dict[str, int]]:
    """Return changes of one limit each, the way sliders are dragged."""
    return [
        {name: int(value * fraction)}
        for name, value in stated["params"].items()
        for fraction in _FRACTIONS
    ]


def infeasible(stated: dict[str, Any]) -> list[dict[str, int]]:
    """Return changes that leave nothing, each of one limit or of variables pinned to tiles."""
    domains = {v["name"]: v["domain"] for v in stated["variables"]}
    pins = {"ln": 5, "bn": max(domains["bn"]), "bc": 2}  # 5 divides no head; 2 * sms blocks
    within = {name: value for name, value in pins.items() if value in domains[name]}
    return [
        {"smem": 1},
        {"regs": 1},
        {"sms": 0},
        *([{"ln": 5}] if "ln" in within else []),
        *([{"bn": within["bn"], "bc": 2}] if "bc" in within else []),
    ]


def _with_names(text: str, limits: dict[str, int]) -> str:
    text = re.sub(rf"<= {limits['sms']}$", "<= sms", text)
    text = re.sub(rf"<= {limits['smem']}( \* .*)$", r"<= smem\1", text)
    for elements in (1, 2, 4):  # of a 32 bit register
        text = re.sub(rf"<= {limits['regs'] * elements}$", f"<= regs * {elements}", text)
    return text
