"""Lowered expressions: n-ary, constants folded, every distinct one made once.

`lower` turns the tree of `expr` into `Low` nodes of a `Pool`. Equal nodes are the same object, so
that they serve as keys; a node knows the variables that it reads and bounds of its value. Sums and
products are flat, like terms are collected, and comparisons of sums are brought to one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.bounds import BOUNDS, DECIDED, DIVISIONS, peak_of
from intsolver.residues import reduced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intsolver.bounds import Box
    from intsolver.expr import Node

Lowering = Callable[..., "Low"]
NOTHING: frozenset[str] = frozenset()
PARAMETER = 1 << 31  # a parameter is taken to lie within this, unless its value says otherwise


@dataclass(eq=False, slots=True)
class Low:
    """A lowered node: what it does, to what, which variables it reads and its bounds."""

    kind: str
    of: tuple[Low, ...]
    value: int
    label: str
    names: frozenset[str]
    parameters: frozenset[str]
    low: int
    high: int
    peak: int  # the largest magnitude of its value and of what it is computed from
    partial: bool  # may be undefined somewhere
    logical: bool  # holds and, or, not, if: what stops where Python stops
    size: int = 1  # nodes in it

    @property
    def constant(self) -> bool:
        """Whether it is a number."""
        return self.kind == "constant"


TRUTHS = frozenset({"le", "lt", "eq", "ne", "divides", "different", "all", "any", "not", "nonzero"})
_LOGIC = frozenset({"all", "any", "not", "if", "count"})


@dataclass(slots=True)
class Pool:
    """Makes nodes, each distinct one once.

    `box` has the least and greatest value of each variable, `parameters` the same for parameters.
    """

    box: Mapping[str, Box]
    fixed: Mapping[str, int]
    parameters: Mapping[str, Box]
    _made: dict[object, Low] = field(default_factory=dict)

    # -- making -----------------------------------------------------------------------------

    def constant(self, value: int) -> Low:
        """Return a number."""
        node = self._made.get(value)
        if node is None:
            node = Low(
                "constant", (), value, "", NOTHING, NOTHING, value, value, abs(value), False, False
            )
            self._made[value] = node
        return node

    def name(self, label: str) -> Low:
        """Return a variable, a parameter, or the number that a variable always is."""
        node = self._made.get(label)
        if node is not None:
            return node
        if label in self.fixed:
            return self.constant(self.fixed[label])
        if label in self.parameters:
            low, high = self.parameters[label]
            names, parameters = NOTHING, frozenset((label,))
        else:
            low, high = self.box[label]
            names, parameters = frozenset((label,)), NOTHING
        peak = max(-low, high)
        node = Low("name", (), 0, label, names, parameters, low, high, peak, False, False)
        self._made[label] = node
        return node

    def make(self, kind: str, of: tuple[Low, ...], value: int = 0) -> Low:
        """Return the node of this kind over `of`."""
        key = kind, value, of
        node = self._made.get(key)
        if node is not None:
            return node
        bounds = BOUNDS.get(kind)
        if bounds is None:
            low, high, peak = 0, 1, 1
        else:
            low, high = bounds(of, value)
            peak = peak_of(kind, of, low, high)
        first = of[0]
        names, parameters, partial, size = first.names, first.parameters, first.partial, 1
        logical = first.logical or kind in _LOGIC
        for x in of:
            if x.names is not names and x.names:
                names = names | x.names if names else x.names
            if x.parameters:
                parameters |= x.parameters
            if x.partial:
                partial = True
            if x.logical:
                logical = True
            peak = max(peak, x.peak)
            size += x.size
        if not partial and kind in DIVISIONS:
            divisor = of[DIVISIONS[kind]]
            partial = kind == "exact" or divisor.low <= 0 <= divisor.high
        node = Low(kind, of, value, "", names, parameters, low, high, peak, partial, logical, size)
        self._made[key] = node
        return node

    def sum(self, terms: Iterable[Low]) -> Low:
        """Return a sum, like terms collected."""
        return self.combination([(1, term) for term in terms])

    def combination(self, terms: list[tuple[int, Low]]) -> Low:
        """Return a sum of multiples, like terms collected."""
        if any(term.kind == "ratio" for _, term in terms):
            return self._ratio_sum([self.scale(term, times) for times, term in terms])
        kept, constant = self._collected(terms)
        if constant or not kept:
            kept.append(self.constant(constant))
        return kept[0] if len(kept) == 1 else self.make("sum", tuple(kept))

    def _collected(self, terms: Iterable[tuple[int, Low]]) -> tuple[list[Low], int]:
        """Return the terms of a sum of multiples, like ones collected, and its constant."""
        constant = 0
        found: dict[int, tuple[int, Low, Low]] = {}  # factor, base, and their product as it came
        for times, term in terms:
            for part in term.of if term.kind == "sum" else (term,):
                if part.kind == "constant":
                    constant += times * part.value
                    continue
                factor, base = self._scaled(part)
                if id(base) in found:
                    factor = found[id(base)][0] + times * factor
                    found[id(base)] = factor, base, self.scale(base, factor)
                else:
                    scaled = part if times == 1 else self.scale(base, times * factor)
                    found[id(base)] = times * factor, base, scaled
        return [node for f, base, node in found.values() if f or base.partial], constant

    def product(self, factors: Iterable[Low]) -> Low:
        """Return a product, its constant factors collected."""
        factors = tuple(factors)
        constant = 1
        kept: list[Low] = []
        for factor in factors:
            if factor.kind == "constant":
                constant *= factor.value
            elif factor.kind == "product":
                times, rest = self._unscaled(factor)
                constant *= times
                kept += rest
            elif factor.kind == "ratio":
                pairs = [self.fraction(x) for x in factors]
                tops, bottoms = [n for n, _ in pairs], [d for _, d in pairs]
                return self.ratio(self.product(tops), self.product(bottoms))
            else:
                kept.append(factor)
        if constant == 1 and len(kept) > 1:
            return self.make("product", tuple(kept))
        if not kept or (constant == 0 and not any(x.partial for x in kept)):
            return self.constant(constant)
        if constant == 1:
            return kept[0]
        if len(kept) == 1 and kept[0].kind == "sum":
            return self.combination([(constant, term) for term in kept[0].of])
        return self.make("product", (self.constant(constant), *kept))

    def _ratio_sum(self, terms: list[Low]) -> Low:
        top, bottom = self.fraction(terms[0])
        for term in terms[1:]:
            n, d = self.fraction(term)
            top = self.sum((self.product((top, d)), self.product((n, bottom))))
            bottom = self.product((bottom, d))
        return self.ratio(top, bottom)

    def ratio(self, top: Low, bottom: Low) -> Low:
        """Return the exact quotient of two integers, undefined where the second is 0.

        Its bounds are those of the numerator: it is taken apart wherever it is used.
        """
        if bottom.constant and bottom.value:
            if top.constant and top.value % bottom.value == 0:
                return self.constant(top.value // bottom.value)
            if bottom.value == 1:
                return top
        if bottom.low <= 0 <= bottom.high:
            top = self.make("guard", (top, bottom))
        return self.make("ratio", (top, bottom))

    def fraction(self, node: Low) -> tuple[Low, Low]:
        """Return numerator and denominator, the denominator positive or of one sign at least."""
        if node.kind != "ratio":
            return node, self.constant(1)
        top, bottom = node.of
        if bottom.low < 0:  # times itself: no longer negative
            return self.product((top, bottom)), self.product((bottom, bottom))
        return top, bottom

    def scale(self, node: Low, factor: int) -> Low:
        """Return `factor * node`."""
        return node if factor == 1 else self.product((self.constant(factor), node))

    def _scaled(self, node: Low) -> tuple[int, Low]:
        """Return a node as a number times another."""
        if node.kind != "product" or node.of[0].kind != "constant":
            return 1, node
        times, rest = self._unscaled(node)
        return times, rest[0] if len(rest) == 1 else self.make("product", rest)

    @staticmethod
    def _unscaled(product: Low) -> tuple[int, tuple[Low, ...]]:
        """Return the constant factor of a product, and the other factors."""
        first = product.of[0]
        return (first.value, product.of[1:]) if first.kind == "constant" else (1, product.of)

    # -- lowering ---------------------------------------------------------------------------

    def lower(self, node: Node) -> Low:
        """Return the lowered form of an expression or constraint."""
        return _LOWER[type(node)](self, node)

    def compare(self, relation: str, left: Low, right: Low) -> Low:
        """Return a comparison with everything that can be on one side there."""
        if relation in (">=", ">"):
            relation, left, right = ("<=", right, left) if relation == ">=" else ("<", right, left)
        kind = {"<=": "le", "<": "lt", "==": "eq", "!=": "ne"}[relation]
        if left.kind == "ratio" or right.kind == "ratio":
            (n, d), (m, c) = self.fraction(left), self.fraction(right)
            left, right = self.product((n, c)), self.product((m, d))
        if left.kind == "product" and right.kind in ("product", "name"):
            left, right = self._cancelled(left, right)
        if (left.kind == "sum" or right.kind == "sum") and not (left.logical or right.logical):
            kept, constant = self._collected([(1, left), (-1, right)])
            left = self.make("sum", tuple(kept)) if len(kept) > 1 else self.sum(kept)
            right = self.constant(-constant)
        if kind == "eq" and left.kind == "mod" and right.constant and not right.value:
            return self.make("divides", left.of[::-1])
        return self.truth(self.make(kind, (left, right)))

    def _cancelled(self, left: Low, right: Low) -> tuple[Low, Low]:
        """Return two products without the positive factors that they have in common."""
        kept: list[Low] = []
        others = list(right.of) if right.kind == "product" else [right]
        for factor in left.of:
            if factor.low > 0 and not factor.partial and factor in others:
                others.remove(factor)
            else:
                kept.append(factor)
        if len(kept) == len(left.of):
            return left, right
        return self.product(kept), self.product(others)

    def truth(self, node: Low) -> Low:
        """Return True or False for a comparison that its bounds decide."""
        if node.partial or node.kind not in DECIDED:
            return node
        verdict = DECIDED[node.kind](*node.of)
        return node if verdict is None else self.constant(int(verdict))


def conjuncts(node: e.Constraint) -> list[e.Constraint]:
    """Return the constraints that a conjunction is of."""
    if isinstance(node, e.All):
        return [part for of in node.of for part in conjuncts(of)]
    return [node]


# -- one function for each node of the tree -----------------------------------------------------


def _lower_sum(pool: Pool, node: Node) -> Low:
    terms: list[tuple[int, Low]] = []
    _terms(pool, node, 1, terms)
    return pool.combination(terms)


def _terms(pool: Pool, node: Node, times: int, found: list[tuple[int, Low]]) -> None:
    """Collect what is added and taken away in a sum of sums."""
    match node:
        case e.Sum(left, right):
            _terms(pool, left, times, found)
            _terms(pool, right, times, found)
        case e.Difference(left, right):
            _terms(pool, left, times, found)
            _terms(pool, right, -times, found)
        case e.Negative(of):
            _terms(pool, of, -times, found)
        case _:
            found.append((times, pool.lower(node)))


def _lower_product(pool: Pool, node: Node) -> Low:
    factors: list[Low] = []
    _factors(pool, node, factors)
    return pool.product(factors)


def _factors(pool: Pool, node: Node, found: list[Low]) -> None:
    """Collect the factors of a product of products."""
    if isinstance(node, e.Product):
        _factors(pool, node.left, found)
        _factors(pool, node.right, found)
    else:
        found.append(pool.lower(node))


def _binary(kind: str) -> Lowering:
    def lowered(pool: Pool, node: e.FloorDivision | e.Modulo) -> Low:
        a, b = pool.lower(node.left), pool.lower(node.right)
        if a.kind == "ratio" or b.kind == "ratio":
            (n, d), (m, c) = pool.fraction(a), pool.fraction(b)
            over = pool.make(kind, (pool.product((n, c)), pool.product((m, d))))
            return over if kind == "quotient" else pool.ratio(over, pool.product((d, c)))
        if a.constant and b.constant and b.value:
            return pool.constant(a.value // b.value if kind == "quotient" else a.value % b.value)
        return pool.make(kind, (reduced(pool, a, b) if kind == "mod" else a, b))

    return lowered


def _lower_ratio(pool: Pool, node: e.ExactDivision) -> Low:
    (n, d), (m, c) = pool.fraction(pool.lower(node.left)), pool.fraction(pool.lower(node.right))
    return pool.ratio(pool.product((n, c)), pool.product((d, m)))


def _lower_power(pool: Pool, node: e.Power) -> Low:
    base = pool.lower(node.base)
    if base.kind == "ratio":
        top, bottom = (_power(pool, x, node.exponent) for x in base.of)
        return pool.ratio(top, bottom)
    return _power(pool, base, node.exponent)


def _power(pool: Pool, base: Low, exponent: int) -> Low:
    if base.constant:
        return pool.constant(base.value**exponent)
    if exponent == 1:
        return base
    return pool.make("power", (base,), exponent)


def _lower_many(kind: str) -> Lowering:
    def lowered(pool: Pool, node: e.Minimum | e.Maximum | e.AllDifferent) -> Low:
        of = tuple(pool.lower(x) for x in node.of)
        if any(x.kind == "ratio" for x in of):
            return _ratio_many(pool, kind, of)
        if kind in ("min", "max") and all(x.constant for x in of):
            return pool.constant((min if kind == "min" else max)(x.value for x in of))
        return of[0] if len(of) == 1 and kind in ("min", "max") else pool.make(kind, of)

    return lowered


def _ratio_many(pool: Pool, kind: str, of: tuple[Low, ...]) -> Low:
    pairs = [pool.fraction(x) for x in of]
    common = pool.product(d for _, d in pairs)
    tops = []
    for i, (n, _) in enumerate(pairs):
        others = [d for j, (_, d) in enumerate(pairs) if j != i]
        tops.append(pool.product((n, *others)))
    joined = pool.make(kind, tuple(tops))
    return joined if kind == "different" else pool.ratio(joined, common)


def _lower_logic(kind: str) -> Lowering:
    absorbing, neutral = (0, 1) if kind == "all" else (1, 0)

    def lowered(pool: Pool, node: e.All | e.Any) -> Low:
        kept: list[Low] = []
        for part in node.of:
            low = pool.lower(part)
            if low.constant:
                if low.value == neutral:
                    continue
                if not any(x.partial for x in kept):
                    return pool.constant(absorbing)
                kept.append(low)
                break
            kept.append(low)
        if not kept:
            return pool.constant(neutral)
        return kept[0] if len(kept) == 1 else pool.make(kind, tuple(kept))

    return lowered


def _lower_not(pool: Pool, node: e.Not) -> Low:
    of = pool.lower(node.of)
    return pool.constant(1 - of.value) if of.constant else pool.make("not", (of,))


def _lower_nonzero(pool: Pool, node: e.NonZero) -> Low:
    return pool.compare("!=", pool.lower(node.of), pool.constant(0))


def _lower_count(pool: Pool, node: e.Indicator) -> Low:
    of = pool.lower(node.of)
    return of if of.constant else pool.make("count", (of,))


def _lower_absolute(pool: Pool, node: e.Absolute) -> Low:
    of = pool.lower(node.of)
    if of.kind == "ratio":
        return pool.ratio(*(pool.make("absolute", (x,)) for x in of.of))
    return pool.constant(abs(of.value)) if of.constant else pool.make("absolute", (of,))


def _lower_choice(pool: Pool, node: e.Choice) -> Low:
    condition = pool.lower(node.condition)
    if condition.constant:
        return pool.lower(node.then if condition.value else node.otherwise)
    yes, no = pool.lower(node.then), pool.lower(node.otherwise)
    if yes.kind == "ratio" or no.kind == "ratio":
        (n, d), (m, c) = pool.fraction(yes), pool.fraction(no)
        top = pool.make("if", (condition, n, m))
        return pool.ratio(top, pool.make("if", (condition, d, c)))
    return pool.make("if", (condition, yes, no))


def _lower_compare(pool: Pool, node: e.Compare) -> Low:
    match node:
        case e.Compare("==", e.Modulo(of, divisor), e.Constant(0)):
            return _divides(pool, pool.lower(divisor), pool.lower(of))
    return pool.compare(node.relation, pool.lower(node.left), pool.lower(node.right))


def _lower_divides(pool: Pool, node: e.Divides) -> Low:
    return _divides(pool, pool.lower(node.divisor), pool.lower(node.of))


def _divides(pool: Pool, divisor: Low, of: Low) -> Low:
    if divisor.kind == "ratio" or of.kind == "ratio":
        (n, d), (m, c) = pool.fraction(divisor), pool.fraction(of)
        divisor, of = pool.product((n, c)), pool.product((m, d))
    if divisor.constant and of.constant and divisor.value:
        return pool.constant(int(of.value % divisor.value == 0))
    return pool.make("divides", (divisor, reduced(pool, of, divisor)))


_LOWER: dict[type[Node], Lowering] = {
    e.Constant: lambda pool, node: pool.constant(node.value),
    e.Name: lambda pool, node: pool.name(node.name),
    e.Sum: _lower_sum,
    e.Difference: _lower_sum,
    e.Product: _lower_product,
    e.Negative: _lower_sum,
    e.FloorDivision: _binary("quotient"),
    e.Modulo: _binary("mod"),
    e.ExactDivision: _lower_ratio,
    e.Power: _lower_power,
    e.Absolute: _lower_absolute,
    e.Minimum: _lower_many("min"),
    e.Maximum: _lower_many("max"),
    e.Indicator: _lower_count,
    e.Choice: _lower_choice,
    e.Truth: lambda pool, node: pool.constant(int(node.value)),
    e.Compare: _lower_compare,
    e.NonZero: _lower_nonzero,
    e.Divides: _lower_divides,
    e.AllDifferent: _lower_many("different"),
    e.All: _lower_logic("all"),
    e.Any: _lower_logic("any"),
    e.Not: _lower_not,
}
