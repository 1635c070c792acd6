"""Lowered nodes as functions over columns: numpy arrays, or integers where nothing varies.

A function takes an `Env`: a list of columns by slot, and a mask `bad` of the rows where something
was undefined. Columns broadcast: a state is a column (n, 1), the variable of a level a row (1, d).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from intsolver.lower import Low, Pool

Column = Any  # an integer, or an array of int64, bool or (past 64 bits) Python integers
Function = Callable[["Env"], Column]
Slots = Mapping[int, int]  # from the id of a node to a slot


class Env:
    """Columns by slot, and where something was undefined (None: nowhere so far)."""

    __slots__ = ("bad", "columns")

    def __init__(self, columns: list[Column]) -> None:
        self.columns = columns
        self.bad: Column = None

    def mark(self, where: Column) -> None:
        """Note where something is undefined."""
        self.bad = where if self.bad is None else self.bad | where


class Compiler:
    """Compiles nodes against the slots that hold values; `earlier` are variables folded in those.

    `wide` columns are Python integers throughout, for what may pass 64 bits.
    """

    def __init__(
        self,
        pool: Pool,
        slots: Slots,
        earlier: Collection[str] = (),
        *,
        wide: bool = False,
    ) -> None:
        self.pool, self.slots, self.earlier = pool, slots, frozenset(earlier)
        self.kind: Any = object if wide else np.int64
        self._made: dict[int, Function] = {}
        self.intervals: dict[int, Any] = {}  # kept for `lookahead`

    def __call__(self, node: Low) -> Function:
        """Return the function of a node."""
        slot = self.slots.get(id(node))
        if slot is not None:
            return lambda env: env.columns[slot]
        made = self._made.get(id(node))
        if made is None:
            if node.kind == "constant":
                value = node.value
                made = lambda _env: value  # noqa: E731 - a def would be no clearer
            else:
                made = _COMPILE[node.kind](self, node)
            self._made[id(node)] = made
        return made

    def split(self, node: Low) -> tuple[Low, ...]:
        """Return the operands of a sum or product, those of earlier variables as one."""
        if not self.earlier or len(node.of) < 2:
            return node.of
        done = [x for x in node.of if self._earlier(x)]
        if len(done) < 2:
            return node.of
        part = self.pool.make(node.kind, tuple(done)) if len(done) < len(node.of) else node
        if id(part) not in self.slots:
            return node.of
        return (part, *[x for x in node.of if not self._earlier(x)])

    def _earlier(self, node: Low) -> bool:
        return bool(node.names) and node.names <= self.earlier


def _sum(c: Compiler, node: Low) -> Function:
    functions = [_signed(c, x) for x in c.split(node)]
    functions.sort(key=lambda pair: pair[0])  # additions first
    functions.reverse()
    first_sign, first = functions[0]
    rest = functions[1:]
    if first_sign < 0:

        def negated(env: Env) -> Column:
            total = -first(env)
            for _, f in rest:
                total = total - f(env)
            return total

        return negated
    if len(rest) == 1:
        sign, second = rest[0]
        if sign > 0:
            return lambda env: first(env) + second(env)
        return lambda env: first(env) - second(env)

    def total(env: Env) -> Column:
        value = first(env)
        for sign, f in rest:
            value = value + f(env) if sign > 0 else value - f(env)
        return value

    return total


def _signed(c: Compiler, node: Low) -> tuple[int, Function]:
    if (
        node.kind == "product"
        and id(node) not in c.slots
        and node.of[0].constant
        and node.of[0].value == -1
    ):
        rest = node.of[1:]
        inner = rest[0] if len(rest) == 1 else c.pool.make("product", rest)
        return -1, c(inner)
    return 1, c(node)


def _product(c: Compiler, node: Low) -> Function:
    functions = [c(x) for x in c.split(node)]
    if len(functions) == 2:
        first, second = functions
        return lambda env: first(env) * second(env)

    def product(env: Env) -> Column:
        value = functions[0](env)
        for f in functions[1:]:
            value = value * f(env)
        return value

    return product


def _divisor(f: Function, node: Low) -> Function:
    """Return the function of a divisor: 1, and marked, where it is 0."""
    if not node.low <= 0 <= node.high:
        return f

    def guarded(env: Env) -> Column:
        value = f(env)
        zero = value == 0
        if zero is False or (zero is not True and not zero.any()):
            return value
        env.mark(zero)
        return 1 if zero is True else np.where(zero, 1, value)

    return guarded


def _quotient(c: Compiler, node: Low) -> Function:
    top, bottom = c(node.of[0]), _divisor(c(node.of[1]), node.of[1])
    return lambda env: top(env) // bottom(env)


def _mod(c: Compiler, node: Low) -> Function:
    top, bottom = c(node.of[0]), _divisor(c(node.of[1]), node.of[1])
    return lambda env: top(env) % bottom(env)


def _guard(c: Compiler, node: Low) -> Function:
    of, bottom = c(node.of[0]), _divisor(c(node.of[1]), node.of[1])

    def guarded(env: Env) -> Column:
        bottom(env)
        return of(env)

    return guarded


def _exact(c: Compiler, node: Low) -> Function:
    top, bottom = c(node.of[0]), _divisor(c(node.of[1]), node.of[1])

    def exact(env: Env) -> Column:
        a, b = top(env), bottom(env)
        rest = a % b != 0
        if rest is True or (rest is not False and rest.any()):
            env.mark(rest)
        return a // b

    return exact


def _power(c: Compiler, node: Low) -> Function:
    base, exponent = c(node.of[0]), node.value
    return lambda env: base(env) ** exponent


def _absolute(c: Compiler, node: Low) -> Function:
    of = c(node.of[0])
    return lambda env: abs(of(env))


def _extreme(choose: Callable[[Column, Column], Column]) -> Callable[[Compiler, Low], Function]:
    def compiled(c: Compiler, node: Low) -> Function:
        functions = [c(x) for x in node.of]

        def extreme(env: Env) -> Column:
            value = functions[0](env)
            for f in functions[1:]:
                value = choose(value, f(env))
            return value

        return extreme

    return compiled


def _least(a: Column, b: Column) -> Column:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else np.minimum(a, b)


def _greatest(a: Column, b: Column) -> Column:
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b)


def _relation(op: Callable[[Column, Column], Column]) -> Callable[[Compiler, Low], Function]:
    def compiled(c: Compiler, node: Low) -> Function:
        left, right = c(node.of[0]), c(node.of[1])
        return lambda env: op(left(env), right(env))

    return compiled


def _divides(c: Compiler, node: Low) -> Function:
    bottom, top = _divisor(c(node.of[0]), node.of[0]), c(node.of[1])
    return lambda env: top(env) % bottom(env) == 0


def _different(c: Compiler, node: Low) -> Function:
    functions = [c(x) for x in node.of]

    def different(env: Env) -> Column:
        values = [f(env) for f in functions]
        ok: Column = True
        for i, a in enumerate(values):
            for b in values[i + 1 :]:
                ok = ok & (a != b)
        return ok

    return different


def _count(c: Compiler, node: Low) -> Function:
    of, kind = c(node.of[0]), c.kind

    def count(env: Env) -> Column:
        value = of(env)
        if isinstance(value, bool | np.bool_):
            return int(value)
        return value.astype(np.int64).astype(kind, copy=False)

    return count


def _not(c: Compiler, node: Low) -> Function:
    of = c(node.of[0])
    return lambda env: _inverse(of(env))


def _inverse(value: Column) -> Column:
    return not value if isinstance(value, bool | int) else ~value


def _chain(stop: bool) -> Callable[[Compiler, Low], Function]:
    """Return how `and` (stop: False) and `or` (stop: True) go from left to right."""

    def compiled(c: Compiler, node: Low) -> Function:
        functions = [c(x) for x in node.of]
        if not node.partial:

            def plain(env: Env) -> Column:
                value = _truth(functions[0](env))
                for f in functions[1:]:
                    other = _truth(f(env))
                    value = value | other if stop else value & other
                return value

            return plain

        def chained(env: Env) -> Column:
            outer = env.bad
            decided: Column = False
            bad: Column = False
            for f in functions:
                env.bad = None
                value = _truth(f(env))
                value = value if stop else _inverse(value)
                here = False if env.bad is None else env.bad
                open_ = _inverse(decided | bad)
                bad = bad | (open_ & here)
                decided = decided | (open_ & value & _inverse(here))
            env.bad = outer
            if bad is True or (bad is not False and bad.any()):
                env.mark(bad)
            return decided if stop else _inverse(decided)

        return chained

    return compiled


def _truth(value: Column) -> Column:
    return bool(value) if isinstance(value, int) else value


def _if(c: Compiler, node: Low) -> Function:
    condition, yes, no = (c(x) for x in node.of)
    kind = c.kind

    def choose(env: Env) -> Column:
        chosen = _truth(condition(env))
        outer = env.bad
        env.bad = None
        a = yes(env)
        bad_a, env.bad = env.bad, None
        b = no(env)
        bad_b, env.bad = env.bad, outer
        for bad, where in ((bad_a, chosen), (bad_b, _inverse(chosen))):
            if bad is not None:
                env.mark(bad & where)
        if isinstance(chosen, bool):
            return a if chosen else b
        return np.where(chosen, np.asarray(a, kind), np.asarray(b, kind))

    return choose


_COMPILE: dict[str, Callable[[Compiler, Low], Function]] = {
    "sum": _sum,
    "product": _product,
    "quotient": _quotient,
    "mod": _mod,
    "exact": _exact,
    "guard": _guard,
    "power": _power,
    "absolute": _absolute,
    "min": _extreme(_least),
    "max": _extreme(_greatest),
    "le": _relation(lambda a, b: a <= b),
    "lt": _relation(lambda a, b: a < b),
    "eq": _relation(lambda a, b: a == b),
    "ne": _relation(lambda a, b: a != b),
    "divides": _divides,
    "different": _different,
    "count": _count,
    "not": _not,
    "all": _chain(stop=False),
    "any": _chain(stop=True),
    "if": _if,
}
