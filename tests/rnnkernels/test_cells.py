"""The four cells: sizes, structure, identity across processes, and the stabilised sLSTM."""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001, F821 - cells are written as in a notebook

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rnn_inputs import ALL_CELLS, peephole_lstm
from rnnkernels import CELLS, CellError, cell, rnn
from rnnkernels.cells import find
from rnnkernels.definition import by_key
from rnnkernels.emit import torch_functions
from rnnkernels.trace import VOCABULARY


def test_what_kernels_read_off_a_cell() -> None:
    found = {
        c.name: (c.gates, c.states, c.biases, c.distinct, c.uses_state) for c in CELLS.values()
    }
    four = (False,) * 4
    assert found == {
        "elman": (("z",), ("h",), 1, (False,), (False,)),
        "gru": (("r", "u", "n"), ("h",), 4, (False, False, True), (True,)),
        "lstm": (("i", "f", "z", "o"), ("h", "c"), 4, four, (False, True)),
        "slstm": (("i", "f", "z", "o"), ("h", "c", "n", "m"), 4, four, (False, True, True, True)),
    }
    assert CELLS["gru"].recurrent_row == (None, None, 3)


def test_unknown_cell_is_named_with_the_known_ones() -> None:
    with pytest.raises(CellError, match=r"unknown cell 'lsmt'; known: elman, gru, lstm, slstm"):
        find("lsmt")
    assert find("lstm") is CELLS["lstm"]
    assert find(peephole_lstm) is peephole_lstm


def test_equal_definitions_are_equal_whatever_their_name() -> None:
    @cell(gates=("z",), states=("h",))
    def renamed(x, r, s):
        return tanh(r.z + x.z)

    assert renamed == CELLS["elman"]
    assert hash(renamed) == hash(CELLS["elman"])
    assert renamed.key == CELLS["elman"].key
    assert len({c.key for c in ALL_CELLS.values()}) == len(ALL_CELLS)


NOTEBOOK = """
from rnnkernels import cell

@cell(gates=("i", "f", "z", "o"), states=("h", "c"))
def lstm(x, r, s):
    i, f, o = sigmoid(x.i + r.i), sigmoid(x.f + r.f), sigmoid(x.o + r.o)
    c = f * s.c + i * tanh(x.z + r.z)
    return o * tanh(c), c
"""


def test_a_notebook_cell_needs_no_file_and_no_imports() -> None:
    scope: dict[str, object] = {}
    exec(NOTEBOOK, scope)  # noqa: S102 - as IPython runs a cell
    assert scope["lstm"] == CELLS["lstm"]


def test_the_guide_to_cells_runs() -> None:
    guide = Path(__file__).parents[2] / "docs" / "cells.md"
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    scope: dict[str, object] = {}
    exec("\n".join(blocks), scope)  # noqa: S102 - our own page
    assert scope["r"].grad.abs().max() > 0
    assert scope["outputs"].shape == (20, 4, 64)
    listed = re.search(r"^    (sigmoid .*)$", guide.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed[1].split()) == set(VOCABULARY)


def test_keys_are_the_same_in_another_process() -> None:
    code = "from rnnkernels import CELLS; print(*(CELLS[n].key for n in sorted(CELLS)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [CELLS[name].key for name in sorted(CELLS)]


def pickled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("name", ALL_CELLS)
def test_cells_pickle_and_copy(name) -> None:
    original = ALL_CELLS[name]
    for other in (pickled(original), copy.deepcopy(original)):
        assert other == original
        assert other.backward == original.backward
        assert by_key(other.kernel_key).forward == original.forward


def test_a_key_that_is_not_defined_here_is_an_error() -> None:
    with pytest.raises(CellError, match="no cell of key 'cell_0' is defined here"):
        by_key("cell_0")


def test_parameters_travel_as_states_that_stay() -> None:
    kernel = by_key(peephole_lstm.kernel_key)
    assert kernel.states == ("h", "c", "p.i", "p.f", "p.o")
    assert kernel.parameters == ()
    assert kernel.biases == peephole_lstm.biases == 4
    assert peephole_lstm.bias_rows == 7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_slstm_stays_finite_forward_and_backward(dtype, scale) -> None:
    generator = torch.Generator().manual_seed(0)
    wx = scale * torch.randn(4, 16, 4, 1, 8, generator=generator)
    r = torch.randn(4, 1, 8, 8, generator=generator)
    leaves = [t.to(dtype).requires_grad_() for t in (wx, r, torch.zeros(4, 1, 8))]
    states, last = rnn(*leaves, cell="slstm")
    assert states.isfinite().all()
    grads = torch.autograd.grad(states[0].sum() + last.sum(), leaves)
    for grad in grads:
        assert grad.isfinite().all()


@pytest.mark.parametrize("i", [-1000.0, -200.0, -80.0, 0.0, 80.0, 1000.0])
def test_slstm_starts_with_the_newest_input_whatever_its_weight(i) -> None:
    # After one step from nothing, c / n is tanh(z) exactly, even where exp(i - m) underflows.
    z, o = torch.tensor([0.3, -2.0]), torch.tensor([0.5, -0.5])
    wx = torch.stack([torch.full((2,), i), torch.zeros(2), z, o]).view(1, 1, 4, 1, 2)
    states, _ = rnn(wx, torch.zeros(4, 1, 2, 2), cell="slstm")
    torch.testing.assert_close(states[0, 0, 0, 0], torch.sigmoid(o) * torch.tanh(z))


def test_slstm_h_does_not_depend_on_the_stabiliser() -> None:
    # (c, n, m) and (c e^a, n e^a, m - a) are the same state; so dh / dm cancels with dc and dn.
    step, _ = torch_functions(CELLS["slstm"])
    generator = torch.Generator().manual_seed(1)
    x = list(torch.randn(4, 100, dtype=torch.float64, generator=generator))
    r = list(torch.randn(4, 100, dtype=torch.float64, generator=generator))
    h, c, m = torch.randn(3, 100, dtype=torch.float64, generator=generator)
    n, shift = c.abs() + 0.1, torch.rand(100, dtype=torch.float64, generator=generator)
    first = step(*x, *r, h, c, n, m)
    second = step(*x, *r, h, c * shift.exp(), n * shift.exp(), m - shift)
    torch.testing.assert_close(first[0], second[0])
