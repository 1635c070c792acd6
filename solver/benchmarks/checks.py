"""Whether what a contender answered is right."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def check(space: dict[str, Any], measured: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Add ``right`` to every answer: True, False, or None where nothing tells."""
    for task, answers in measured.items():
        best = _optima(answers) if task == "optimum" else set()
        for answer in answers.values():
            if "result" not in answer:
                continue
            result = answer["result"]
            if task in ("all", "count"):
                wanted = space.get("expected_valid")
                answer["right"] = None if wanted is None else result == wanted
            elif task == "first":
                answer["right"] = _satisfies(space, result)
            elif task == "optimum":
                answer["right"] = len(best) == 1 if len(answers) > 1 else None
            elif task == "resolve":
                answer["right"] = all(move["right"] for move in result["moves"])
            else:
                answer["right"] = all(press["right"] for press in result["presses"])


def _optima(answers: dict[str, dict[str, Any]]) -> set[int]:
    return {answer["result"] for answer in answers.values() if "result" in answer}


def _satisfies(space: dict[str, Any], solution: dict[str, int] | None) -> bool:
    if solution is None:
        return space.get("expected_valid") == 0
    inside = all(solution[v["name"]] in v["domain"] for v in space["variables"])
    at = {name: Fraction(value) for name, value in solution.items()}  # so that `/` is exact
    return inside and all(
        eval(text, {"__builtins__": {}, "min": min, "max": max, "abs": abs}, at)  # noqa: S307
        for text in space["constraints"]
    )
