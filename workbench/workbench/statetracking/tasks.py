"""Word problems of finite groups: read a word letter by letter, name its product at each letter.

A letter is an element of the group; the state after letter t is the product of the letters so far.
Parity is the word problem of Z_2, addition modulo n that of Z_n, both solvable groups; S_5, the
permutations of five things, is the smallest symmetric group that is not solvable, and its word
problem is complete for NC^1 (Barrington 1989): constant-depth Transformers, in TC^0, are believed
unable to solve it (Merrill and Sabharwal 2023).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """A group and the letters that words are written in.

    Attributes
    ----------
    name, title
        Of the command line, and for people.
    product
        (G, G): `product[a, b]` is the element "first a, then b"; element 0 changes nothing.
    letters
        The elements that occur in words, which generate the group.
    """

    name: str
    title: str
    product: Integers = field(repr=False, compare=False)
    letters: tuple[int, ...] = field(repr=False)

    @property
    def states(self) -> int:
        """G, the number of elements, each one a state."""
        return len(self.product)

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        return 1 / self.states

    def track(self, elements: Integers) -> Integers:
        """Return the state after each element of (B, T) words, by doubling the spans multiplied."""
        found, span = elements, 1
        while span < found.shape[1]:
            longer = self.product[found[:, :-span], found[:, span:]]
            found = np.concatenate([found[:, :span], longer], axis=1)
            span *= 2
        return found

    def words(self, number: int, length: int, *key: int) -> tuple[Integers, Integers]:
        """Return letters' indices (B, T) and states (B, T), the same for the same key everywhere.

        Letters are drawn uniformly; the index is the one in `letters`.
        """
        rng = np.random.default_rng([*key, length])
        drawn = rng.integers(len(self.letters), size=(number, length))
        return drawn, self.track(np.asarray(self.letters)[drawn])


def cyclic(order: int) -> Integers:
    """Return the product table of Z_n, addition modulo n."""
    table: Integers = np.add.outer(np.arange(order), np.arange(order)) % order
    return table


def symmetric(degree: int) -> tuple[Integers, tuple[int, ...]]:
    """Return the product table of S_n and the elements that leave all or swap two things.

    Elements are in lexicographic order. Any permutation is a product of at most n - 1 swaps.
    """
    elements = np.array(list(itertools.permutations(range(degree))))
    place = {tuple(row): k for k, row in enumerate(elements.tolist())}
    table = np.array([[place[tuple(a[b].tolist())] for b in elements] for a in elements])
    moved = (elements != np.arange(degree)).sum(axis=1)
    return table, tuple(np.flatnonzero(moved <= 2).tolist())


def _symmetric_task() -> Task:
    table, letters = symmetric(5)
    return Task("s5", "word problem of S5", table, letters)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("parity", "parity", cyclic(2), (0, 1)),
        Task("modular", "addition modulo 7", cyclic(7), tuple(range(7))),
        _symmetric_task(),
    )
}


def find_task(name: str) -> Task:
    """Return the task of this name.

    Raises
    ------
    WorkbenchError
        There is none.
    """
    if name not in TASKS:
        raise WorkbenchError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    return TASKS[name]
