"""Work in several processes: in order, lazily, and what is told when they die."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from workbench.clumps.pool import in_order, processes
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator


def square(number: int) -> int:
    return number * number


def where(_: int) -> int:
    return os.getpid()


def dies(_: int) -> int:
    os._exit(3)


def refuses(number: int) -> int:
    raise WorkbenchError(f"number {number}")


def test_things_come_in_their_order_whatever_the_processes() -> None:
    for workers in (1, 2):
        assert list(in_order(square, range(9), workers, name="square")) == [n * n for n in range(9)]
    assert list(in_order(square, [], 2, name="square")) == []


def test_few_things_start_no_processes() -> None:
    assert set(in_order(where, range(3), 2, name="look", least=4)) == {os.getpid()}
    assert set(in_order(where, range(9), 1, name="look")) == {os.getpid()}
    assert os.getpid() not in set(in_order(where, range(4), 2, name="look", least=4))


def test_things_are_taken_only_as_far_ahead_as_asked_for() -> None:
    taken = []

    def things() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    made = in_order(square, things(), 2, name="square", least=6)
    assert next(made) == 0
    assert len(taken) == 6
    made.close()


def test_deaths_and_errors_are_told() -> None:
    with pytest.raises(WorkbenchError, match="the 2 processes that look died; a script needs"):
        list(in_order(dies, range(4), 2, name="look"))
    with pytest.raises(WorkbenchError, match="number 0"):
        list(in_order(refuses, range(4), 2, name="look"))


def test_processes_are_one_a_core_unless_told() -> None:
    assert processes(None) == min(16, os.cpu_count() or 1)
    assert processes(3) == 3
    assert processes(40) == 40
