"""What the engine is given: variables, parameters and constraints, definitions put in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intsolver.expr import Constraint


@dataclass(frozen=True)
class System:
    """Variables with their domains, the names of parameters, and constraints in the order added."""

    variables: tuple[tuple[str, tuple[int, ...]], ...]
    parameters: tuple[str, ...]
    constraints: tuple[Constraint, ...]
