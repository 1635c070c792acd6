"""The table of a run, and which targets it meets."""

from __future__ import annotations

import statistics
from typing import Any

Rows = list[dict[str, Any]]
_RIVALS = ("python-constraint2", "kernel_tuner")
_PUZZLES = ("send_more_money", "pythag_100", "golomb_5_11", "golomb_6_17", "magic_3", "magic_4")
_SMALL = 36_864  # Cartesian points of PRL 2x2


def lines_of(row: dict[str, Any]) -> str:
    """Return one problem as lines of text, milliseconds of CPU."""
    valid = row["expected_valid"]
    head = f"{row['name']}  ({valid:,} of {row['cartesian']:,})" if valid else row["name"]
    lines = [head]
    for task, answers in row["tasks"].items():
        cells = [f"{name} {_cell(task, answer)}" for name, answer in answers.items()]
        lines.append(f"  {task:8s} " + "   ".join(cells))
    return "\n".join(lines)


def _cell(task: str, answer: dict[str, Any]) -> str:
    if "timeout" in answer:
        return f"> {answer['timeout']:.0f} s"
    if "error" in answer:
        return f"({answer['error'][:60]})"
    mark = " WRONG" if answer["right"] is False else ""
    if task == "resolve":
        (median, worst), (listed, most) = _moves(answer), _moves(answer, "listed_cpu")
        return (
            f"median {1e3 * median:.2f}  worst {1e3 * worst:.2f}  "
            f"(all columns too: {1e3 * listed:.2f}, {1e3 * most:.2f}){mark}"
        )
    if task == "explain":
        return f"{1e3 * answer['result']['cpu']:.2f}{mark}"
    memory = f" [{answer['peak_mb']:.0f} MB]" if task in ("count", "all") else ""
    return f"{1e3 * answer['cpu']:.2f}{memory}{mark}"


def _moves(answer: dict[str, Any], clock: str = "cpu") -> tuple[float, float]:
    cpus = [move[clock] for move in answer["result"]["moves"]]
    return statistics.median(cpus), max(cpus)


def _cpu(row: dict[str, Any], task: str, name: str) -> float | None:
    """Return CPU seconds, the limit where it ran out (a lower bound), None where it cannot."""
    answer = row["tasks"].get(task, {}).get(name, {})
    if "timeout" in answer:
        return float(answer["timeout"])
    return answer["cpu"] if answer.get("right") is not False and "cpu" in answer else None


def _ratio(row: dict[str, Any], task: str, rivals: tuple[str, ...]) -> float | None:
    """Return how many times faster than the best of some rivals."""
    own = _cpu(row, task, "intsolver")
    theirs = [t for name in rivals if (t := _cpu(row, task, name)) is not None]
    if "timeout" in row["tasks"].get(task, {}).get("intsolver", {}):
        return 0.0
    return min(theirs) / own if own and theirs else None


def _all_out_of_time(row: dict[str, Any], task: str, rivals: tuple[str, ...]) -> bool:
    answers = [row["tasks"].get(task, {}).get(name, {}) for name in rivals]
    return any("timeout" in a for a in answers) and not any("cpu" in a for a in answers)


def targets(rows: Rows) -> list[dict[str, Any]]:
    """Return every target with whether it is met and what was found."""
    return [
        verdict
        for make in (_right, _enumerate, _small, _count, _resolve, _search, _puzzles)
        for verdict in make(rows)
    ]


def _verdict(target: str, met: bool, found: str) -> dict[str, Any]:
    return {"target": target, "met": met, "found": found}


def _right(rows: Rows) -> list[dict[str, Any]]:
    wrong = [
        f"{row['name']} {task}"
        for row in rows
        for task, answers in row["tasks"].items()
        if "intsolver" in answers
        and (answers["intsolver"].get("right") is False or "result" not in answers["intsolver"])
    ]
    found = f"{len(rows)} problems" + (f", wrong: {', '.join(wrong)}" if wrong else "")
    return [_verdict("every answer right", not wrong, found)]


def _least(
    rows: Rows, task: str, rivals: tuple[str, ...], target: str, least: float
) -> list[dict[str, Any]]:
    ratios = {row["name"]: r for row in rows if (r := _ratio(row, task, rivals)) is not None}
    out_of_time = {row["name"] for row in rows if _all_out_of_time(row, task, rivals)}
    unclear = [name for name in out_of_time if 0 < ratios.get(name, 0) < least]
    open_ended = ", ".join(f"{name} > {ratios.pop(name):.2f}x" for name in sorted(unclear))
    if not ratios:
        return []
    short = sorted((r, name) for name, r in ratios.items() if r < least)
    found = (
        f"{len(ratios) - len(short)} of {len(ratios)}, "
        f"least {min(ratios.values()):.2f}x, median {statistics.median(ratios.values()):.1f}x"
    )
    if short:
        found += "; below: " + ", ".join(f"{name} {r:.2f}x" for r, name in short)
    if open_ended:
        found += f"; not told, the others ran out of time: {open_ended}"
    return [_verdict(target, not short, found)]


def _enumerate(rows: Rows) -> list[dict[str, Any]]:
    large = [
        row
        for row in rows
        if row["family"] in ("autotuning", "synthetic", "rnn") and row["cartesian"] > 100_000
    ]
    fast = [row for row in rows if row["name"] in ("hotspot", "microhh")]
    best = "the better of python-constraint2 and Kernel Tuner"
    return [
        *_least(large, "all", _RIVALS, f"enumerate >= 10x {best}, large spaces", 10),
        *_least(fast, "all", _RIVALS, f"enumerate >= 50x {best}, hotspot and microhh", 50),
        *_least(rows, "all", _RIVALS, f"enumerate >= 1x {best}, every space", 1),
    ]


def _small(rows: Rows) -> list[dict[str, Any]]:
    small = {
        row["name"]: 1e3 * t
        for row in rows
        if (row["cartesian"] or 0) <= _SMALL
        and row["family"] == "autotuning"
        and (t := _cpu(row, "all", "intsolver")) is not None
    }
    if not small:
        return []
    found = ", ".join(f"{name} {ms:.2f} ms" for name, ms in small.items())
    return [_verdict("cold <= 1 ms on spaces as small as PRL 2x2", max(small.values()) <= 1, found)]


def _count(rows: Rows) -> list[dict[str, Any]]:
    verdicts = []
    for row in rows:
        if row["name"] == "atf_gauss_256_p2" and "peak_mb" in row["tasks"]["count"]["intsolver"]:
            answer = row["tasks"]["count"]["intsolver"]
            met = answer["cpu"] < 0.05 and answer["peak_mb"] < 300
            found = f"{1e3 * answer['cpu']:.2f} ms, {answer['peak_mb']:.0f} MB"
            verdicts.append(_verdict("count atf_gauss_256_p2 < 50 ms and < 300 MB", met, found))
    verdicts += _least(rows, "count", ("pyatf",), "count >= 0.5x pyATF's tree, every space", 0.5)
    ratios = [r for row in rows if (r := _ratio(row, "count", ("pyatf",))) is not None]
    if ratios:
        ahead = sum(r > 1 for r in ratios)
        found = f"ahead on {ahead} of {len(ratios)}"
        verdicts.append(
            _verdict("count ahead of pyATF's tree on 2/3", 3 * ahead >= 2 * len(ratios), found)
        )
    return verdicts


def _resolve(rows: Rows) -> list[dict[str, Any]]:
    verdicts = []
    answers = [row["tasks"].get("resolve", {}).get("intsolver", {}) for row in rows]
    moves = [_moves(answer) for answer in answers if "result" in answer]
    if moves:
        median, worst = max(m for m, _ in moves), max(w for _, w in moves)
        typical = statistics.median(m for m, _ in moves)
        found = (
            f"{len(moves)} spaces; typical median {1e3 * typical:.2f} ms, largest median "
            f"{1e3 * median:.2f} ms, worst move {1e3 * worst:.2f} ms"
        )
        target = "warm re-solve of every rnn space: median < 1 ms, worst < 5 ms"
        listed = [_moves(answer, "listed_cpu") for answer in answers if "result" in answer]
        found += (
            f"; with all columns listed largest median {1e3 * max(m for m, _ in listed):.2f} ms, "
            f"worst {1e3 * max(w for _, w in listed):.2f} ms"
        )
        verdicts.append(_verdict(target, median < 1e-3 and worst < 5e-3, found))
    explained = [
        answer["result"]["cpu"]
        for row in rows
        if "result" in (answer := row["tasks"].get("explain", {}).get("intsolver", {}))
    ]
    if explained:
        found = f"{len(explained)} spaces, median {1e3 * statistics.median(explained):.1f} ms, "
        found += f"worst {1e3 * max(explained):.1f} ms"
        verdicts.append(
            _verdict("explain an infeasible rnn space < 50 ms", max(explained) < 0.05, found)
        )
    return verdicts


def _search(rows: Rows) -> list[dict[str, Any]]:
    some = [row for row in rows if row["family"] in ("autotuning", "rnn")]
    where = "autotuning and rnn spaces"
    return [
        *_least(some, "first", ("cp-sat",), f"first >= 1x CP-SAT, {where}", 1),
        *_least(some, "optimum", ("cp-sat",), f"optimum >= 1x CP-SAT, {where}", 1),
    ]


def _puzzles(rows: Rows) -> list[dict[str, Any]]:
    some = [row for row in rows if row["name"] in _PUZZLES]
    return [
        verdict
        for task in ("first", "all", "optimum")
        for verdict in _least(some, task, ("cp-sat",), f"{task} within 3x CP-SAT, puzzles", 1 / 3)
    ]
