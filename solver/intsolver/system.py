"""What the engine solves: variables with their domains, parameters and constraints, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intsolver.expr import Constraint


@dataclass(frozen=True)
class System:
    """A problem without the user's handles; definitions are already put in their places.

    `variables` are pairs of a name and its domain (distinct integers, in the order that the user
    gave), `parameters` the symbols that may change between solves, `constraints` hold together and
    `names` says which names each of them has.
    """

    variables: tuple[tuple[str, tuple[int, ...]], ...]
    parameters: tuple[str, ...]
    constraints: tuple[Constraint, ...]
    names: tuple[frozenset[str], ...]
