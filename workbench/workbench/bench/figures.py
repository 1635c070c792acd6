"""Figures of a sweep. What was measured here has solid lines, what was recorded dashed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from workbench.bench.case import BACKENDS, DIRECTIONS
from workbench.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, YELLOW
from workbench.plotting import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.bench.record import Row
    from workbench.bench.sweep import Sweep

NAMES = {
    "auto": "rnnkernels, fused",
    "cuda": "rnnkernels, fused CUDA",
    "triton": "rnnkernels, fused Triton",
    "alternating": "rnnkernels, a step at a time",
    "reference": "rnnkernels, loop of the reference",
    "module": "rnnkernels.LSTM, one head, with W x",
    "nn": "torch.nn.LSTM, one head, with W x",
    "gemm": "W x alone",
    "compiled": "compiled step in a CUDA graph",
    "vanilla": "plain PyTorch",
    "attention": "attention of equal width",
}
COLOURS = {
    "auto": BLUE,
    "cuda": BLUE,
    "triton": GREEN,
    "alternating": SKY,
    "reference": BLUE,
    "module": "#004c7a",
    "nn": VERMILION,
    "gemm": GREY,
    "compiled": PURPLE,
    "vanilla": ORANGE,
    "attention": YELLOW,
}
_PUBLISHED_COLOURS = ("#777777", "#999999", "#bbbbbb")
AXES = {"head_dim": "head size", "batch": "batch", "steps": "time steps"}
_FLOOR_COLOURS = {"steps": BLUE, "bytes": GREEN, "products": VERMILION}
_FLOOR_NAMES = {
    "steps": "steps one after another",
    "bytes": "bytes through memory",
    "products": "products",
}


def empty(over: str, direction: str, source: str, title: str) -> go.Figure:
    """Return a figure of ms against `over` without lines, both axes logarithmic."""
    figure = go.Figure()
    figure.update_layout(
        template=TEMPLATE,
        height=480,
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        title={"text": f"{title}<br><sup>{source}</sup>"},
        legend={"font": {"size": 11}},
    )
    figure.update_xaxes(title=AXES[over], type="log", dtick=0.30103, tickformat="d")
    figure.update_yaxes(title=f"ms, {DIRECTIONS[direction]}", type="log")
    return figure


def scaling(
    sweep: Sweep,
    over: str,
    direction: str = "forward",
    others: Sequence[Sweep] = (),
    **problem: Any,
) -> go.Figure:
    """Return ms against "head_dim", "batch" or "steps", a line a backend, the rest of it fixed.

    Parameters
    ----------
    others
        Published figures to show as well, dotted.
    problem
        Values of cell, batch, steps, heads, head_dim; what is not given is the sweep's most usual.
        Heads are free over head sizes, as layers of equal width have several.
    """
    fixed = _fixed(sweep.rows, over, problem)
    words = ", ".join(f"{AXES.get(name, name)} {value}" for name, value in fixed.items())
    words = f"{words}: {DIRECTIONS[direction]}"
    figure = empty(over, direction, sweep.source, words)
    usual = _usual(sweep.where(direction=direction, **fixed))
    for backend, dtype in _series(sweep.where(direction=direction, **fixed)):
        rows = sweep.where(direction=direction, backend=backend, dtype=dtype, **fixed)
        name, colour = f"{NAMES[backend]}, {dtype}", COLOURS[backend]
        _line(figure, rows, over, name, colour=colour, dash="solid" if sweep.here else "dash")
        if backend in usual and dtype != usual[backend]:
            figure.data[-1].update(visible="legendonly")  # a click on its name shows it
    for other in others:
        names = dict.fromkeys(row["backend"] for row in other.rows)
        for name, colour in zip(names, _PUBLISHED_COLOURS, strict=False):
            wanted = {k: v for k, v in fixed.items() if k != "heads"}
            rows = other.where(direction=direction, backend=name, dtype="bfloat16", **wanted)
            _line(figure, rows, over, f"{name} (published)", colour=colour, dash="dot")
    return figure


def _fixed(rows: Sequence[Row], over: str, problem: dict[str, Any]) -> dict[str, Any]:
    """Return what all points of a figure share."""
    fixed: dict[str, Any] = {"cell": "lstm", **problem}
    left = [row for row in rows if all(row.get(k) == v for k, v in fixed.items())]
    for name in ("batch", "steps", "head_dim"):
        if name != over and name not in fixed and left:
            values = [row[name] for row in left]
            fixed[name] = max(dict.fromkeys(values), key=values.count)
            left = [row for row in left if row[name] == fixed[name]]
    return fixed


def _series(rows: Sequence[Row]) -> list[tuple[str, str]]:
    found = dict.fromkeys((row["backend"], row["dtype"]) for row in rows)
    return sorted(found, key=lambda pair: list(BACKENDS).index(pair[0]))


def _usual(rows: Sequence[Row]) -> dict[str, str]:
    """Return each backend's most frequent type; torch.nn differs so much by type that all show."""
    types: dict[str, list[str]] = {}
    for row in rows:
        types.setdefault(row["backend"], []).append(row["dtype"])
    return {name: max(found, key=found.count) for name, found in types.items() if name != "nn"}


def _line(
    figure: go.Figure, rows: Sequence[Row], over: str, name: str, *, colour: str, dash: str
) -> None:
    """Add a line with its quartiles; of one head size twice, that with most heads."""
    best: dict[int, Row] = {}
    for row in sorted(rows, key=lambda row: (row[over], row["heads"])):
        best[row[over]] = row
    if not best:
        return
    points = list(best.values())
    figure.add_scatter(
        name=name,
        x=[row[over] for row in points],
        y=[row["ms"] for row in points],
        error_y={
            "array": [row["ms_p75"] - row["ms"] for row in points],
            "arrayminus": [row["ms"] - row["ms_p25"] for row in points],
            "thickness": 1,
        },
        text=[_problem(row) for row in points],
        hovertemplate="%{text}<br>%{y:.3f} ms<extra>" + name + "</extra>",
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 6, "symbol": "circle" if dash == "solid" else "circle-open"},
    )


def _problem(row: Row) -> str:
    return f"{row['cell']} {row['heads']}x{row['head_dim']} B{row['batch']} T{row['steps']}"


def speed_up(
    sweep: Sweep, ours: str, theirs: str, published: Sweep | None = None, direction: str = "forward"
) -> go.Figure:
    """Return how many times faster `ours` is than `theirs`, a bar a problem that both have.

    With `published`, `theirs` is a name in it. Only problems of equal cell, sizes and type are
    compared.
    """
    bars = speed_ups(sweep, ours, theirs, published, direction)
    figure = go.Figure()
    title = f"{NAMES.get(ours, ours)} against {NAMES.get(theirs, theirs)}, {DIRECTIONS[direction]}"
    source = sweep.source if published is None else f"{sweep.source}; {published.source}"
    figure.add_bar(
        orientation="h",
        y=[name for name, _ in bars],
        x=[ratio for _, ratio in bars],
        text=[f"{ratio:.1f}" for _, ratio in bars],
        textposition="outside",
        cliponaxis=False,
        marker={"color": COLOURS[ours], "opacity": 1.0 if sweep.here else 0.6},
        hovertemplate="%{y}: %{x:.2f} times as fast<extra></extra>",
    )
    figure.add_vline(1, line={"dash": "dot", "color": "#666"})
    figure.update_layout(
        template=TEMPLATE,
        height=130 + 24 * len(bars),
        margin={"l": 170, "r": 40, "t": 60, "b": 50},
        title={"text": f"{title}<br><sup>{source}</sup>"},
    )
    figure.update_xaxes(title="times as fast", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    if not bars:
        figure.add_annotation(
            text="no problem that both have", xref="paper", yref="paper", x=0.5, y=0.5,
            showarrow=False,
        )  # fmt: skip
    return figure


def speed_ups(
    sweep: Sweep, ours: str, theirs: str, published: Sweep | None = None, direction: str = "forward"
) -> list[tuple[str, float]]:
    """Return (problem, ratio) of each problem that both have; see `speed_up`."""
    same = ("cell", "batch", "steps", "heads", "head_dim")
    other = {
        (*(row[name] for name in same), row["dtype"]): row["ms"]
        for row in (published or sweep).where(backend=theirs, direction=direction)
    }
    found: dict[str, float] = {}
    for row in sweep.where(backend=ours, direction=direction):
        key = (*(row[name] for name in same), row["dtype"])
        if key in other:
            short = "" if row["steps"] == 1024 else f" T{row['steps']}"
            name = f"{row['cell']} {row['heads']}x{row['head_dim']} B{row['batch']}{short}"
            found[f"{name} {_SHORT[row['dtype']]}"] = other[key] / row["ms"]
    return list(found.items())


_SHORT = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def roofline(sweep: Sweep, direction: str = "forward") -> go.Figure:
    """Return measured ms against the highest floor: on the diagonal nothing could be faster.

    Colours say which floor it is; rows without floors (a CPU, other kinds of work) are left out.
    """
    rows = [row for row in sweep.where(direction=direction) if row.get("floor_ms")]
    figure = go.Figure()
    symbol = "circle" if sweep.here else "circle-open"
    for floor, colour in _FLOOR_COLOURS.items():
        bound = [row for row in rows if max(row["floor_ms"], key=row["floor_ms"].get) == floor]
        figure.add_scatter(
            name=f"bound by {_FLOOR_NAMES[floor]}",
            x=[row["floor_ms"][floor] for row in bound],
            y=[row["ms"] for row in bound],
            text=[f"{_problem(row)} {row['dtype']} {row['backend']}" for row in bound],
            customdata=[row["floor_ms"][floor] / row["ms"] for row in bound],
            hovertemplate="%{text}<br>%{y:.3f} ms, %{customdata:.0%} of the floor's speed"
            "<extra></extra>",
            mode="markers",
            marker={"color": colour, "size": 8, "symbol": symbol},
        )
    figure.update_layout(
        template=TEMPLATE, height=460, margin={"l": 60, "r": 20, "t": 60, "b": 50},
        title={"text": f"measured against the floor<br><sup>{sweep.source}</sup>"},
    )  # fmt: skip
    figure.update_xaxes(title="highest floor, ms", type="log")
    figure.update_yaxes(title=f"measured ms, {DIRECTIONS[direction]}", type="log")
    if rows:
        _diagonal(figure, [max(row["floor_ms"].values()) for row in rows])
    return figure


def _diagonal(figure: go.Figure, floors: Sequence[float]) -> None:
    ends = [min(floors) / 1.3, max(floors) * 1.3]
    for times, dash in ((1, "solid"), (2, "dash"), (4, "dot")):
        figure.add_scatter(
            x=ends, y=[times * end for end in ends], mode="lines", hoverinfo="skip",
            name="the floor" if times == 1 else f"{times} times the floor",
            line={"color": "#999", "dash": dash, "width": 1},
        )  # fmt: skip
