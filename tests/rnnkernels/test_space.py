"""The launch model against the compiler, and in the solver's words. NVRTC needs no GPU."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intsolver import Problem
from rnnkernels import cost
from rnnkernels.cells import CELLS
from rnnkernels.cuda.ledger import Terms
from rnnkernels.errors import ArgumentError, CompileError
from rnnkernels.plan import describe, layout_of, predicted, ranked, sampled, values_of
from rnnkernels.space import LAYOUTS, space

pytest.importorskip("rnnkernels.cuda.cluster", reason="needs cuda-core")
triton = pytest.importorskip("triton", reason="brings the tool that reads cubins")

from rnnkernels.cuda.backend import STRATEGIES  # noqa: E402 - after the checks that it is there
from rnnkernels.cuda.compile import architecture, cubin  # noqa: E402

if TYPE_CHECKING:
    from rnnkernels.config import Configuration
    from rnnkernels.plan import Call


def drawn(count: int) -> list[tuple[Call, Configuration]]:
    """Random configurations of random calls, on GPUs of three families."""
    chance = random.Random(4)
    found: list[tuple[Call, Configuration]] = []
    while len(found) < count:
        call = describe(
            chance.choice(list(CELLS)),
            (chance.choice((1, 16, 64)), 1, chance.choice((1, 3)), chance.choice(SIZES)),
            chance.choice(("bfloat16", "bfloat16", "float16", "float32")),
            chance.choice(("H200", "H200", "A100", "B200")),
            chance.choice(("forward", "backward")),
        )
        found += [(call, config) for config in sampled(call, 1, seed=len(found))]
    return found


SIZES = (16, 48, 64, 128, 256, 512, 768, 1024, 2048)
DRAWN = drawn(24)


def usage(code: bytes, folder: Path) -> dict[str, int]:
    path = folder / "kernel.cubin"
    path.write_bytes(code)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    report = subprocess.run([tool, "-res-usage", path], check=True, capture_output=True, text=True)
    return {k: int(n) for k, n in re.findall(r"(REG|STACK|LOCAL|SHARED):(\d+)", report.stdout)}


def source_of(call: Call, config: Configuration) -> str:
    strategy = STRATEGIES[config.strategy]
    layout = layout_of(call, config)
    return strategy.source(call.problem(), layout, backward=call.backward, dstates=call.backward)


@pytest.mark.parametrize(("call", "config"), DRAWN, ids=str)
def test_what_the_model_allows_compiles_within_its_bounds(
    call: Call, config: Configuration, tmp_path: Path
) -> None:
    used = usage(cubin(source_of(call, config), architecture(call.gpu.capability)), tmp_path)
    values = values_of(call, config)
    assert used["STACK"] == used["LOCAL"] == 0, used
    assert used["REG"] <= values.get("registers_equal", values["registers_available"])
    # What is static is the driver's own kilobyte; all else is the model's, exactly: see below.
    assert used.get("SHARED", 0) in {0, 1024}


def test_shared_memory_is_exact_or_the_kernel_does_not_compile() -> None:
    for call, config in DRAWN[:4]:
        shared = values_of(call, config)["shared"]
        text, count = re.subn(
            rf"constexpr int SHARED = {shared};",
            f"constexpr int SHARED = {shared + 16};",
            source_of(call, config),
        )
        assert count == 1
        with pytest.raises(CompileError, match="count"):
            cubin(text, architecture(call.gpu.capability))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("strategy", LAYOUTS)
def test_the_solver_and_the_plan_agree_on_the_cheapest(strategy: str, direction: str) -> None:
    """The objective as the solver works it out, and as numbers, are one formula."""
    call = describe("lstm", (16, 1, 3, 256), gpu="H200", direction=direction)
    problem = space("lstm", batch=16, heads=3, head_dim=256, direction=direction, strategy=strategy)
    cost, best = ranked(call, strategy, top=1)[0]
    found = problem.minimize("picoseconds")
    assert found.value == cost == predicted(call, best)


def test_planning_in_columns_finds_what_the_solver_finds() -> None:
    """All launches worth planning and the cheapest, with first_choice as one more constraint."""
    chance, found = random.Random(7), 0
    for _ in range(16):
        call = describe(
            chance.choice(list(CELLS)),
            (chance.choice((1, 3, 16, 200)), 1, chance.choice((1, 12)), chance.choice(SIZES)),
            chance.choice(("bfloat16", "float16", "float32")),
            chance.choice(("H200", "A100", "B200", "RTX 4090")),
            chance.choice(("forward", "backward")),
        )
        for strategy in LAYOUTS:
            problem = worth_planning(call, strategy)
            launches = ranked(call, strategy)
            assert len(launches) == problem.count()
            if launches:
                cheapest = problem.minimize("picoseconds")
                assert (cheapest.value, tuple(cheapest.items())) == (
                    launches[0][0], launches[0][1].knobs,
                )  # fmt: skip
                found += 1
    assert found >= 16


def worth_planning(call: Call, strategy: str) -> Problem:
    """State what `ranked` looks at as a problem of the solver's."""
    layout, problem = LAYOUTS[strategy], Problem(strategy)
    terms = Terms(problem)
    known = {name: problem.define(name, call.parameters[name]) for name in layout.PARAMETERS}
    for name, domain in layout.knobs(backward=call.backward).items():
        known[name] = problem.var(name, domain)
    layout.formulas(terms, call.sizes, known, backward=call.backward, dstates=call.dstates)
    known |= terms.values
    for condition in layout.limits(call.sizes, known, backward=call.backward).values():
        problem.add(condition)
    problem.add(layout.first_choice(known, terms))
    cost.picoseconds(terms, call.sizes, known, strategy, call.gpu, backward=call.backward)
    return problem


def test_constraints_speak_of_the_gpu() -> None:
    names = [one.name for one in space("gru", gpu="A100").constraints]
    assert {"registers of a thread", "shared memory of a block", "threads of a block"} <= {*names}
    told = str(space("lstm", head_dim=256, heads=1, gpu="A100").explain())
    assert "cluster size of the GPU" in told


def test_clusters_are_for_the_families_that_the_kernels_know() -> None:
    for gpu, largest in (("A100", 1), ("RTX 5090", 1), ("H200", 16), ("B200", 16)):
        assert space("lstm", head_dim=128, gpu=gpu).params["max_cluster"] == largest


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"head_dim": 0}, r"head_dim: expected an integer from 1 on, got 0"),
        ({"dtype": "float8"}, r"unknown data type 'float8'; known: bfloat16"),
        ({"direction": "up"}, r"unknown direction 'up'; known: forward, backward"),
        ({"strategy": "wave"}, r"unknown strategy 'wave'; known: cluster, grid"),
        ({"gpu": "GTX"}, r"unknown GPU 'GTX'"),
    ],
)
def test_mistakes_are_told(given: dict[str, object], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        space("lstm", **given)
