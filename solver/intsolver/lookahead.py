"""What a constraint already forbids while some of its variables are open.

Two necessary conditions: intervals (the least that one side can still be against the most that the
other can), and divisors (a part of a divisor has to divide, a factor of a product divides it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from intsolver.intervals import of_product, of_sum

if TYPE_CHECKING:
    from intsolver.lower import Low, Pool
    from intsolver.vector import Compiler, Env, Function

# A long constraint with more open variables than this forbids little, and takes long to look at.
_LONG, _OPEN = 30, 1

Interval = Callable[["Env"], tuple[Any, Any]]


def relaxed(
    pool: Pool, compiler: Compiler, node: Low, assigned: set[str], *, eager: bool = False
) -> Function | None:
    """Return a check that holds wherever the constraint can still hold, or None for no idea.

    `eager`: of a long one too.
    """
    make = _CHECKS.get(node.kind)
    long = not eager and node.size > _LONG and len(node.names - assigned) > _OPEN
    if make is None or long:
        return None
    return make(pool, compiler, node, assigned)


def _ordered(strict: bool) -> Callable[..., Function | None]:
    def check(_pool: Pool, compiler: Compiler, node: Low, assigned: set[str]) -> Function | None:
        left, right = (interval(compiler, x, assigned) for x in node.of)
        if strict:
            return lambda env: left(env)[0] < right(env)[1]
        return lambda env: left(env)[0] <= right(env)[1]

    return check


def _equal(pool: Pool, compiler: Compiler, node: Low, assigned: set[str]) -> Function | None:
    a, b = node.of
    left, right = interval(compiler, a, assigned), interval(compiler, b, assigned)

    def meet(env: Env) -> Any:
        (low, high), (low_b, high_b) = left(env), right(env)
        return (low <= high_b) & (low_b <= high)

    if a.kind == "product" and not b.names and not b.partial:
        known = [x for x in a.of if x.names <= assigned and not x.partial and not _has_zero(x)]
        if any(x.names for x in known):
            part, whole = compiler(pool.product(known)), compiler(b)
            return lambda env: meet(env) & (whole(env) % part(env) == 0)
    return meet


def _divides(pool: Pool, compiler: Compiler, node: Low, assigned: set[str]) -> Function | None:
    divisor, of = node.of
    if not of.names <= assigned or of.partial:
        return None
    factors = divisor.of if divisor.kind == "product" else (divisor,)
    known = [x for x in factors if x.names <= assigned and not x.partial and not _has_zero(x)]
    if not known or (not of.names and not any(x.names for x in known)):
        return None
    part, whole = compiler(pool.product(known)), compiler(of)
    return lambda env: whole(env) % part(env) == 0


def _has_zero(node: Low) -> bool:
    return node.low <= 0 <= node.high


def _different(pool: Pool, compiler: Compiler, node: Low, assigned: set[str]) -> Function | None:
    known = [x for x in node.of if x.names <= assigned and not x.partial]
    return compiler(pool.make("different", tuple(known))) if len(known) > 1 else None


def _any(pool: Pool, compiler: Compiler, node: Low, assigned: set[str]) -> Function | None:
    if node.partial:
        return None
    checks = []
    for part in node.of:
        if part.names <= assigned:
            checks.append(compiler(part))
            continue
        check = relaxed(pool, compiler, part, assigned)
        if check is None:
            return None
        checks.append(check)

    def possible(env: Env) -> Any:
        verdict = checks[0](env)
        for check in checks[1:]:
            verdict = verdict | check(env)
        return verdict

    return possible


def _all(pool: Pool, compiler: Compiler, node: Low, assigned: set[str]) -> Function | None:
    if node.partial:
        return None
    checks = []
    for part in node.of:
        if part.names <= assigned:
            checks.append(compiler(part))
        elif (check := relaxed(pool, compiler, part, assigned)) is not None:
            checks.append(check)
    if not checks:
        return None

    def possible(env: Env) -> Any:
        verdict = checks[0](env)
        for check in checks[1:]:
            verdict = verdict & check(env)
        return verdict

    return possible


_CHECKS: dict[str, Callable[..., Function | None]] = {
    "le": _ordered(strict=False),
    "lt": _ordered(strict=True),
    "eq": _equal,
    "divides": _divides,
    "different": _different,
    "any": _any,
    "all": _all,
}


# -- intervals ------------------------------------------------------------------------------


def interval(compiler: Compiler, node: Low, assigned: set[str]) -> Interval:
    """Return the function of the least and greatest value with the open variables anywhere."""
    made: Interval | None = compiler.intervals.get(id(node))
    if made is None:
        made = compiler.intervals[id(node)] = _interval(compiler, node, assigned)
    return made


def _interval(compiler: Compiler, node: Low, assigned: set[str]) -> Interval:
    if node.names <= assigned and (not node.partial or id(node) in compiler.slots):
        f = compiler(node)

        def exact(env: Env) -> tuple[Any, Any]:
            value = f(env)
            return value, value

        return exact
    make = _INTERVALS.get(node.kind)
    if make is None or (node.names.isdisjoint(assigned) and not node.parameters):
        low, high = node.low, node.high
        return lambda _env: (low, high)
    return make(compiler, node, assigned)


def _sum(compiler: Compiler, node: Low, assigned: set[str]) -> Interval:
    return of_sum([interval(compiler, x, assigned) for x in compiler.split(node)])


def _product(compiler: Compiler, node: Low, assigned: set[str]) -> Interval:
    factors = compiler.split(node)
    return of_product(factors, [interval(compiler, x, assigned) for x in factors])


def _quotient(compiler: Compiler, node: Low, assigned: set[str]) -> Interval:
    top, bottom = node.of
    if bottom.low <= 0 or top.low < 0:
        low, high = node.low, node.high
        return lambda _env: (low, high)
    a, b = interval(compiler, top, assigned), interval(compiler, bottom, assigned)

    def quotient(env: Env) -> tuple[Any, Any]:
        (low, high), (low_b, high_b) = a(env), b(env)
        return low // high_b, high // low_b

    return quotient


_INTERVALS: dict[str, Callable[[Compiler, Low, set[str]], Interval]] = {
    "sum": _sum,
    "product": _product,
    "quotient": _quotient,
}
