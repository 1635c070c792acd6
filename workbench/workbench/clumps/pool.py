"""Work on many things in several processes, in order, a few of them ahead."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Thing = TypeVar("Thing")
Made = TypeVar("Made")
MOST = 16  # processes, unless more are asked for


def processes(workers: int | None) -> int:
    """Return how many are meant: by default one a core, at most 16."""
    return max(1, min(MOST, os.cpu_count() or 1) if workers is None else workers)


def in_order(
    work: Callable[[Thing], Made],
    things: Iterable[Thing],
    workers: int,
    *,
    name: str,
    least: int = 2,
) -> Iterator[Made]:
    """Yield what `work`, a picklable function, makes of each of `things`, in their order.

    Parameters
    ----------
    workers
        Processes; with one, or fewer than `least` things, all runs in this process.
    name
        What the work is, for the error.
    least
        Things that make it worth while to start processes; so many are read ahead, or two for
        each process.

    Raises
    ------
    WorkbenchError
        The processes died.
    """
    ahead = iter(things)
    first = list(itertools.islice(ahead, least))
    if workers == 1 or len(first) < least:
        yield from map(work, itertools.chain(first, ahead))
        return
    ahead = itertools.chain(first, ahead)
    spawn = multiprocessing.get_context("spawn")  # fork is unsafe beside threads
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            while True:
                for thing in itertools.islice(ahead, max(least, 2 * workers) - len(waiting)):
                    waiting.append(pool.submit(work, thing))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkbenchError(
                f"the {workers} processes that {name} died; a script needs `if __name__ == "
                "'__main__':` around what it runs, and code from standard input workers=1; else "
                "there may be too little memory: give fewer workers"
            ) from error
        finally:  # a reader that stops early
            pool.shutdown(wait=True, cancel_futures=True)
