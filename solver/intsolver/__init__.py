"""Exact integer constraint satisfaction over finite domains.

    from intsolver import Infeasible, Problem

    p = Problem("tile")
    bm = p.var("bm", [16, 32, 64, 128])
    warps = p.var("warps", 1, 16)
    p.add(bm * warps * 4 <= 2_048, name="tile fits")
    p.solve().count

`Problem` is the entry; its methods tell the rest.
"""

from intsolver.binding import Binding
from intsolver.errors import (
    ExpressionError,
    FormatError,
    Infeasible,
    IntsolverError,
    ProblemError,
    TooManySolutions,
)
from intsolver.explain import Explanation
from intsolver.problem import Optimum, Problem
from intsolver.relaxing import Relaxation
from intsolver.rule import least
from intsolver.solutions import Solutions
from intsolver.terms import (
    Condition,
    Term,
    Variable,
    all_different,
    divides,
    maximum,
    minimum,
)

__all__ = [
    "Binding",
    "Condition",
    "Explanation",
    "ExpressionError",
    "FormatError",
    "Infeasible",
    "IntsolverError",
    "Optimum",
    "Problem",
    "ProblemError",
    "Relaxation",
    "Solutions",
    "Term",
    "TooManySolutions",
    "Variable",
    "all_different",
    "divides",
    "least",
    "maximum",
    "minimum",
]
