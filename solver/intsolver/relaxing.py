"""The smallest change of one constraint, or of one pin, that makes an infeasible case feasible.

A parameter in which every inequality is linear, ``a + k * parameter <= 0``, is solved for: the
least change is the optimum of an expression over the solutions of the other constraints. Other
parameters are tried as variables, near their present value first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.errors import TooManySolutions
from intsolver.evaluate import evaluate, has_quotient, names_of
from intsolver.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intsolver.conflict import Case
    from intsolver.expr import Constraint, Expr

_MAX_STATES = 10_000  # looked at to tell whether leaving a constraint out helps
_WINDOWS = (8, 64, 512)  # how far from its present value a parameter is tried


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A smallest change of one constraint that alone makes the problem feasible.

    `parameter` and `value` say which parameter, or which pinned variable, to set to what; both are
    None where only the constraint itself can give way. `bound` is then the nearest constant in the
    place of its own that would do, None where leaving the constraint out is all that helps.
    """

    constraint: str
    text: str
    parameter: str | None = None
    value: int | None = None
    bound: int | None = None

    def __str__(self) -> str:
        return f"{self.constraint}: {self.text}"


def relaxations(case: Case, member: int, label: str) -> list[Relaxation]:
    """Return what resolves the conflict by changing `member` of the case alone, smallest first."""
    count = len(case.constraints)
    if member >= count:
        return list(_pin(case, case.pins[member - count], label))
    node = case.constraints[member]
    found = []
    for name in sorted(names_of(node) & set(case.parameters)):
        new = nearest(case, name)
        if new is not None:
            found.append(Relaxation(label, _needs(case, name, new), name, new.value))
    if found:
        return sorted(found, key=lambda r: _distance(case, r))
    rest = [i for i in range(case.size) if i != member]
    try:
        resolves = case.first(rest, _MAX_STATES) is not None
    except TooManySolutions:
        resolves = False
    if not resolves:
        return []
    return [_bound(case, node, rest, label) or Relaxation(label, "leave it out")]


@dataclass(frozen=True, slots=True)
class _New:
    """A value of a parameter, and whether the further ones in that direction do too."""

    value: int
    further: bool


def _needs(case: Case, name: str, new: _New) -> str:
    if not new.further:
        return f"needs {name} = {new.value}"
    return f"needs {name} {'>=' if new.value > case.parameters[name] else '<='} {new.value}"


def _distance(case: Case, relaxation: Relaxation) -> float:
    assert relaxation.parameter is not None
    assert relaxation.value is not None
    now = case.parameters[relaxation.parameter]
    return abs(relaxation.value - now) / max(abs(now), 1)


def _pin(case: Case, name: str, label: str) -> Iterator[Relaxation]:
    """Yield the nearest other value of a pinned variable."""
    members = [i for i in range(case.size) if i != len(case.constraints) + case.pins.index(name)]
    away = e.Absolute(e.Difference(e.Name(name), e.Constant(case.pinned[name])))
    best = case.best(*case.split(members), away, maximize=False)
    if best is not None:
        value = best[1][name]
        yield Relaxation(label, f"needs {name} = {value}", name, value)


# -- parameters ---------------------------------------------------------------------------------


def nearest(case: Case, name: str) -> _New | None:
    """Return the nearest value of a parameter with which everything is feasible."""
    now = case.parameters[name]
    lines: list[tuple[Expr, Expr]] = []
    stated: list[Constraint] = []
    rest: list[Constraint] = []
    for node in case.constraints:
        if name not in names_of(node):
            rest.append(node)
            continue
        for part in node.of if isinstance(node, e.All) else (node,):
            line = inequality(part, name)
            if line is None:
                return _equated(case, name) or _tried(case, name)
            lines.append(line)
            stated.append(part)
    found = []
    known, told, value = case.parts.known, False, None
    for up in (True, False):
        if known is not None and known.answers(rest, case.pinned):
            given = rest, case.pinned, case.parameters
            told, value = known.nearest(name, stated, *given, up=up)
        if not told:
            value = _solved(case, lines, rest, now, up=up)
        if value is not None and value != now:
            found.append(_New(value, further=True))
    return min(found, key=lambda new: abs(new.value - now), default=None)


def _solved(
    case: Case, lines: list[tuple[Expr, Expr]], rest: list[Constraint], now: int, *, up: bool
) -> int | None:
    """Return the least (`up`) or greatest value beyond `now` that ``a + k * value <= 0`` allow.

    Lines with k < 0 are bounds from below, -(a // k); with k > 0 from above, (-a) // k. Those that
    do not bound in the direction looked for, everywhere or somewhere, have to hold at the value
    found.
    """
    zero, present = e.Constant(0), e.Constant(now)
    kept: list[tuple[Expr, Expr]] = []
    bounds: list[Expr] = []
    for a, k in lines:
        sign = sign_of(case, k)
        if sign == 0 or (sign is not None and (sign < 0) != up):
            kept.append((a, k))
            continue
        bound: Expr = e.FloorDivision(a, k) if up else e.FloorDivision(e.Negative(a), k)
        bound = e.Negative(bound) if up else bound
        if sign is None:
            kept.append((a, k))
            bound = e.Choice(e.Compare("<" if up else ">", k, zero), bound, present)
        bounds.append(bound)
    if not bounds:
        return None
    if kept:
        bounds.append(present)
    value: Expr = e.Maximum(tuple(bounds)) if up else e.Minimum(tuple(bounds))
    value = bounds[0] if len(bounds) == 1 else value
    held = [e.Compare("<=", e.Sum(a, e.Product(k, value)), zero) for a, k in kept]
    best = case.best([*rest, *held], case.pinned, value, maximize=not up)
    return best[0] if best is not None and (best[0] > now) == up else None


def sign_of(case: Case, node: Expr) -> int | None:
    """Return the sign that an expression has at every assignment, None where that is not seen."""
    if names_of(node) <= case.parameters.keys():
        value = evaluate(node, case.parameters)
        return None if value is None else (value > 0) - (value < 0)
    signs: list[int | None]
    match node:
        case e.Name(name):
            low, high = min(case.parts.domains[name]), max(case.parts.domains[name])
            return 1 if low > 0 else -1 if high < 0 else 0 if low == high else None
        case e.Negative(of):
            signs = [-1, sign_of(case, of)]
        case e.Product(left, right):
            signs = [sign_of(case, left), sign_of(case, right)]
        case e.Difference(e.Constant(0), right):
            signs = [-1, sign_of(case, right)]
        case e.Sum(part, e.Constant(0)) | e.Sum(e.Constant(0), part):
            signs = [sign_of(case, part)]
        case e.Difference(part, e.Constant(0)):
            signs = [sign_of(case, part)]
        case _:
            return None
    if 0 in signs:
        return 0
    return None if None in signs else math.prod(sign for sign in signs if sign is not None)


def _equated(case: Case, name: str) -> _New | None:
    """Return the nearest value where one equation, ``a + k * value == 0``, is all that has it."""
    nodes = [node for node in case.constraints if name in names_of(node)]
    node = nodes[0]
    if len(nodes) > 1 or not isinstance(node, e.Compare) or node.relation != "==":
        return None
    line = None if has_quotient(node) else _linear(e.Difference(node.left, node.right), name)
    if line is None or not sign_of(case, line[1]):
        return None
    a, k = line
    value = e.FloorDivision(e.Negative(a), k)
    rest = [other for other in case.constraints if other is not node]
    divisible = e.Compare("==", e.Modulo(a, k), e.Constant(0))
    away = e.Absolute(e.Difference(value, e.Constant(case.parameters[name])))
    best = case.best([*rest, divisible], case.pinned, away, maximize=False)
    if best is None:
        return None
    found = evaluate(value, {**case.parameters, **best[1]})
    assert isinstance(found, int)
    return _New(found, further=False)


def _tried(case: Case, name: str) -> _New | None:
    """Return the nearest value at which everything is feasible, if there is one near by."""
    now = case.parameters[name]
    away = e.Absolute(e.Difference(e.Name(name), e.Constant(now)))
    for reach in _WINDOWS:
        near = {name: range(now - reach, now + reach + 1)}
        best = case.best(case.constraints, case.pinned, away, maximize=False, free=near)
        if best is not None:
            return _New(best[1][name], further=False)
    return None


def inequality(node: Constraint, name: str) -> tuple[Expr, Expr] | None:
    """Return (a, k) with the inequality `node` as ``a + k * name <= 0``, None if it is no such."""
    if not isinstance(node, e.Compare) or node.relation in ("==", "!=") or has_quotient(node):
        return None
    small, large = _sides(node)
    line = _linear(e.Difference(small, large), name)
    if line is None or node.relation in ("<=", ">="):
        return line
    return e.Sum(line[0], e.Constant(1)), line[1]


def _linear(node: Expr, name: str) -> tuple[Expr, Expr] | None:
    """Return (a, k) with ``node == a + k * name``, None where it is not of that form."""
    line: tuple[Expr, Expr] | None = None
    if name not in names_of(node):
        return node, e.Constant(0)
    match node:
        case e.Name():
            line = e.Constant(0), e.Constant(1)
        case e.Negative(of):
            inner = _linear(of, name)
            line = inner and (e.Negative(inner[0]), e.Negative(inner[1]))
        case e.Sum(left, right) | e.Difference(left, right):
            one, other, make = _linear(left, name), _linear(right, name), type(node)
            line = one and other and (make(one[0], other[0]), make(one[1], other[1]))
        case e.Product(left, right) if name not in names_of(left) & names_of(right):
            with_it, factor = (left, right) if name in names_of(left) else (right, left)
            inner = _linear(with_it, name)
            line = inner and (e.Product(inner[0], factor), e.Product(inner[1], factor))
    return line


# -- constants ----------------------------------------------------------------------------------


def _bound(case: Case, node: Constraint, rest: list[int], label: str) -> Relaxation | None:
    """Return the nearest bound with which a comparison, or one of a chain, can be met."""
    parts = node.of if isinstance(node, e.All) else (node,)
    constraints, pins = case.split(rest)
    found = []
    for i, part in enumerate(parts):
        if not isinstance(part, e.Compare) or not _is_bound(part):
            continue
        others = [other for j, other in enumerate(parts) if j != i]
        small, large = _sides(part)
        excess: Expr = e.Difference(small, large)
        if part.relation == "==":
            excess = e.Absolute(excess)
        best = case.best(constraints + others, pins, excess, maximize=False)
        if best is not None:
            found.append((best[0], _moved(case, part, best, label)))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _moved(case: Case, part: e.Compare, best: tuple[int, dict[str, int]], label: str) -> Relaxation:
    """Return a comparison with its constant moved to where it is met."""
    excess, at = best
    known = set(case.parameters)
    left, right = (names_of(side) - known for side in (part.left, part.right))
    if left and right:
        if part.relation == "==":
            return Relaxation(label, f"needs to be allowed to miss by {excess}")
        excess += part.relation in ("<", ">")
        small, large = map(to_text, _sides(part))
        return Relaxation(label, f"needs {small} lower or {large} higher by {excess}")
    side = part.left if left else part.right
    value = evaluate(side, {**case.parameters, **at})
    assert isinstance(value, int)
    sign = part.relation if left else _TURNED[part.relation]
    value += {"<": 1, ">": -1}.get(sign, 0)
    return Relaxation(label, f"needs {to_text(side)} {sign} {value}", bound=value)


def _is_bound(part: e.Compare) -> bool:
    """Return whether moving its constant is a sensible change; that of ``a % b == 0`` is not."""
    divides = part.relation == "==" and e.Modulo in (type(part.left), type(part.right))
    return part.relation != "!=" and not divides and not has_quotient(part) and bool(names_of(part))


_TURNED = {"<=": ">=", "<": ">", ">=": "<=", ">": "<", "==": "=="}


def _sides(node: e.Compare) -> tuple[Expr, Expr]:
    """Return the side that is to be the smaller one first."""
    turned = node.relation in (">=", ">")
    return (node.right, node.left) if turned else (node.left, node.right)
