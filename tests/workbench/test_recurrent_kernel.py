"""The recurrent kernel in named terms has exactly the layouts of the problem files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rnnkernels.gpus import GPUS, find_gpu
from workbench.recurrent_kernel import LIMITS, OBJECTIVE, SHAPE, recurrent_kernel

from workbench import datafiles

SPACES = [name for name in datafiles.spaces() if name.startswith("rnn_")]
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
DIRECTIONS = {"fwd": "forward", "bwd": "backward"}
# Our names and those of the files, in the order of the files' variables.
NAMES = {
    "tile_batch": "m",
    "tile_out": "n",
    "blocks_heads": "mh",
    "blocks_out": "bn",
    "blocks_in": "bc",
    "blocks_batch": "bb",
    "loops_batch": "lb",
    "warps_batch": "wb",
    "loops_out": "ln",
    "warps_in": "wc",
    "register_tiles": "rc",
}


def stated(space: dict[str, Any]) -> tuple[Any, dict[str, int]]:
    """Return the problem of a file in named terms, and the limits that the file states."""
    given = space["params"]
    problem = recurrent_kernel(
        given["head_dim"],
        given["heads"],
        batch=given["batch"],
        gates=given["gates"],
        dtype=DTYPES[given["dtype"]],
        direction=DIRECTIONS[given["direction"]],
    )
    limits = {
        "shared_memory": given["smem"],
        "registers": given["regs"],
        "multiprocessors": given["sms"],
        "threads": given["threads_used"],
    }
    return problem, limits


def test_there_are_files_to_compare_with() -> None:
    assert len(SPACES) >= 27


@pytest.mark.parametrize("name", SPACES)
def test_counts_are_those_that_two_methods_confirmed(name: str) -> None:
    space = json.loads(datafiles.space(name).read_text("utf-8"))
    problem, limits = stated(space)
    assert problem.count(**limits) == space["expected_valid"]


@pytest.mark.parametrize("name", ["rnn_fwd_bf16_D256_H3_B16_G4_H100", SPACES[0], SPACES[12]])
def test_each_layout_satisfies_the_constraints_of_the_file(name: str) -> None:
    space = json.loads(datafiles.space(name).read_text("utf-8"))
    problem, limits = stated(space)
    domains = {variable["name"]: set(variable["domain"]) for variable in space["variables"]}
    rules = [compile(text, name, "eval") for text in space["constraints"]]
    for layout in problem.solve(**limits).sample(300, seed=1):
        theirs = {NAMES[variable]: value for variable, value in layout.items()}
        assert all(value in domains[key] for key, value in theirs.items())
        assert all(eval(rule, {}, theirs) for rule in rules)  # noqa: S307 - our own file


def test_more_room_never_loses_a_layout() -> None:
    problem = recurrent_kernel()
    for limit, values in {
        "shared_memory": (0, 100_000, 150_000, 232_448),
        "registers": (0, 30_000, 65_536),
        "multiprocessors": (1, 20, 132),
        "threads": (32, 128, 256, 1024),
    }.items():
        counts = [problem.count(**{limit: value}) for value in values]
        assert counts == sorted(counts), limit
        assert counts[0] < counts[-1], limit


def test_the_best_of_a_file_is_the_best_here() -> None:
    space = json.loads(datafiles.space("rnn_fwd_bf16_D256_H3_B16_G4_H100").read_text("utf-8"))
    problem, limits = stated(space)
    best = problem.maximize(OBJECTIVE[0], **limits)
    blocks = [layout["blocks_out"] * layout["blocks_in"] * layout["blocks_batch"]
              * layout["blocks_heads"] for layout in problem.solve(**limits)]  # fmt: skip
    assert best.value == max(blocks)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head_dim": 0}, "head_dim: expected 1 or more, got 0"),
        ({"dtype": "int8"}, "unknown data type 'int8'; known: bfloat16, float16, float32"),
        ({"direction": "up"}, "unknown direction 'up'; known: forward, backward"),
        ({"gpu": "H300"}, "unknown GPU 'H300'; known: A100, H100, H100 PCIe, H200"),
    ],
)
def test_a_shape_that_cannot_be_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recurrent_kernel(**given)


def test_sizes_that_no_tile_divides_leave_nothing() -> None:
    assert recurrent_kernel(head_dim=20).count() == 0


def test_sliders_cover_what_the_gpus_have() -> None:
    limits = {control.name: control for control in LIMITS}
    for gpu in GPUS.values():
        assert find_gpu(gpu.name) is gpu
        for name in ("multiprocessors", "shared_memory", "registers"):
            assert limits[name].low <= getattr(gpu, name) <= limits[name].high
        problem = recurrent_kernel(gpu=gpu.name)
        assert set(problem.params) == set(limits)
    assert {control.name for control in SHAPE} == set(recurrent_kernel.__annotations__) - {"return"}
