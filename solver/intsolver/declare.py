"""What may be declared: names, domains, and what is said about names that are not known."""

from __future__ import annotations

import difflib
import keyword
import unicodedata
from typing import TYPE_CHECKING

from intsolver.errors import ProblemError, shown
from intsolver.parse import FUNCTIONS
from intsolver.terms import as_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DOMAIN = 10_000_000
_INTEGERS = {int}
_RESERVED = frozenset((*keyword.kwlist, *FUNCTIONS))
_LISTED = 12  # names that an error lists


def check_name(name: object) -> None:
    """Raise ProblemError for what the language could not read as a name."""
    if not isinstance(name, str):
        raise ProblemError(f"a name is text, got {shown(name)} ({type(name).__name__})")
    plain = name.isascii() or unicodedata.normalize("NFKC", name) == name  # as Python reads it
    if not name.isidentifier() or not plain:
        raise ProblemError(f"{shown(name)} cannot be a name; expected letters, digits and _")
    if name in _RESERVED:
        raise ProblemError(f"{shown(name)} cannot be a name, it is a word of the language")


def unknown(name: str, known: Sequence[str], what: str) -> str:
    """Return what to say about a name that is not declared: the known ones, close ones first."""
    close = difflib.get_close_matches(name, known, n=3)
    ordered = [*close, *(other for other in known if other not in close)]
    listed = ", ".join(ordered[:_LISTED]) + (", ..." if len(ordered) > _LISTED else "")
    return f"unknown {what} {shown(name)}; known: {listed or 'none yet'}"


def interval(name: str, low: object, high: object, step: object) -> tuple[int, ...]:
    """Return the integers from `low` to `high`, both included, `step` apart.

    Raises
    ------
    ExpressionError
        One of them is no integer.
    ProblemError
        There are none, or too many, or the step is below 1.
    """
    first = as_integer(low, f"{name!r}, the low end")
    last = as_integer(high, f"{name!r}, the high end")
    by = as_integer(step, f"{name!r}, the step")
    if by < 1:
        raise ProblemError(f"{name!r}: a step of {shown(by)}, expected 1 or more")
    values = range(first, last + 1, by)
    if not 0 < (last - first) // by + 1 <= MAX_DOMAIN:
        count = "no" if last < first else f"more than {MAX_DOMAIN:,}"
        raise ProblemError(f"{name!r}: {count} integers from {shown(first)} to {shown(last)}")
    return tuple(values)


def listed(name: str, domain: Iterable[int]) -> tuple[int, ...]:
    """Return the integers of a list, in its order; of a set, in ascending order.

    Raises
    ------
    ExpressionError
        One of them is no integer.
    ProblemError
        It is no list, is empty, or has a value twice.
    """
    plain = type(domain) is list  # the usual case, and there are many
    if not plain and (isinstance(domain, str | bytes) or not hasattr(domain, "__iter__")):
        raise ProblemError(
            f"{name!r}: expected a list of integers or two ends, got {shown(domain)}"
        )
    values = tuple(domain)
    if set(map(type, values)) != _INTEGERS:
        values = tuple([as_integer(value, f"{name!r}, a value of its domain") for value in values])
    if not values:
        raise ProblemError(f"{name!r}: the domain is empty, expected at least one integer")
    if len(set(values)) < len(values):
        twice = next(value for i, value in enumerate(values) if value in values[:i])
        raise ProblemError(f"{name!r}: the domain has {shown(twice)} twice")
    return values if plain or not isinstance(domain, set | frozenset) else tuple(sorted(values))
