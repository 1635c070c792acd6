"""The word problems against products taken one letter at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from workbench.errors import WorkbenchError
from workbench.statetracking.tasks import TASKS, find_task, symmetric

EVERY = pytest.mark.parametrize("name", TASKS)
ELEMENTS = list(itertools.permutations(range(5)))


@EVERY
# One letter, lengths beside a power of two, the longest that is used.
@pytest.mark.parametrize("length", [1, 7, 8, 9, 256])
def test_states_are_the_products_letter_by_letter(name: str, length: int) -> None:
    task = TASKS[name]
    letters, states = task.words(5, length, 3)
    for word, found in zip(letters, states, strict=True):
        state = 0
        for letter, value in zip(word, found, strict=True):
            state = task.product[state, task.letters[letter]]
            assert value == state


@EVERY
def test_the_table_is_a_group_that_the_letters_generate(name: str) -> None:
    task = TASKS[name]
    table, every = task.product, np.arange(task.states)
    assert (table[0] == every).all()
    assert (table[:, 0] == every).all()
    assert (np.sort(table, axis=0) == every[:, None]).all()  # each element has an inverse
    assert (table[table] == table[:, table]).all()  # (a b) c = a (b c)
    reached = {0}
    for _ in every:
        reached |= {int(table[a, b]) for a in reached for b in task.letters}
    assert reached == set(every.tolist())


def test_parity_counts_ones_and_modular_adds() -> None:
    letters, states = TASKS["parity"].words(4, 33, 0)
    assert (states == letters.cumsum(1) % 2).all()
    letters, states = TASKS["modular"].words(4, 33, 0)
    assert (states == letters.cumsum(1) % 7).all()


def test_s5_moves_cups() -> None:
    task = TASKS["s5"]
    letters, states = task.words(3, 20, 1)
    for word, found in zip(letters, states, strict=True):
        cups = list(range(5))
        for letter, state in zip(word, found, strict=True):
            cups = [cups[place] for place in ELEMENTS[task.letters[letter]]]
            assert tuple(cups) == ELEMENTS[state]
    assert [sum(a != b for a, b in enumerate(ELEMENTS[k])) for k in task.letters] == [0] + 10 * [2]


def test_the_smallest_symmetric_groups() -> None:
    assert symmetric(1)[0].tolist() == [[0]]
    assert symmetric(2)[0].tolist() == [[0, 1], [1, 0]]
    table, letters = symmetric(3)
    assert table.shape == (6, 6)
    assert len(letters) == 4
    assert (table != table.T).any()  # the order of swaps matters


def test_words_are_fixed_by_their_key() -> None:
    task = TASKS["s5"]
    first, again, other = (task.words(8, 32, *key)[0] for key in ((0, 1), (0, 1), (0, 2)))
    assert (first == again).all()
    assert (first != other).any()
    # The same words on every machine: these were drawn when this was written.
    assert TASKS["modular"].words(1, 8, 0)[0].tolist() == [[2, 5, 6, 5, 0, 1, 6, 0]]


def test_letters_and_late_states_are_drawn_evenly() -> None:
    task = TASKS["modular"]
    letters, states = task.words(7000, 16, 5)
    for counts in (np.bincount(letters[:, 3]), np.bincount(states[:, -1])):
        assert len(counts) == 7
        assert abs(counts - 1000).max() < 6 * np.sqrt(1000 * 6 / 7)  # six standard deviations


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="unknown task 's4'; known: parity, modular, s5"):
        find_task("s4")
