"""What intsolver raises on purpose.

::

    IntsolverError(Exception)
    ├── ExpressionError(ValueError)     text or operands outside the language; points at the place
    ├── ProblemError(ValueError)        a name, a domain or a value that does not fit the problem
    ├── FormatError(ValueError)         a file or a dictionary that states no problem
    ├── Infeasible                      a solution was asked for where there is none
    └── TooManySolutions(MemoryError)   more rows than `max_rows`

`TypeError` and `KeyError` keep Python's meaning: an operator used on the wrong kind of object, a
column that is not there.
"""

from __future__ import annotations

_SHOWN = 120  # characters of a text that an error quotes
_LONG = 60  # characters of a value in a message


class IntsolverError(Exception):
    """The base of everything that intsolver raises on purpose."""


class ExpressionError(IntsolverError, ValueError):
    """Not an expression of the language.

    `message` says what is wrong and what would work; `text` is what was given and `column` the
    place in it, counted in characters from 0 (both None where there is no text).
    """

    def __init__(self, message: str, text: str | None = None, column: int | None = None) -> None:
        self.message, self.text, self.column = message, text, column
        super().__init__(message if text is None else f"{message}\n{_pointed(text, column)}")


class ProblemError(IntsolverError, ValueError):
    """A name, a domain or a value that does not fit the problem."""


class FormatError(IntsolverError, ValueError):
    """A file or a dictionary that states no problem; the message names the place in it."""


class Infeasible(IntsolverError):  # noqa: N818 - the field's word for the verdict
    """There is no solution; `Problem.explain` says why and what to relax."""


class TooManySolutions(IntsolverError, MemoryError):  # noqa: N818 - reads as what happened
    """More rows than `max_rows`; `count` says how many there were when the solver stopped."""

    def __init__(self, message: str, count: int) -> None:
        self.count = count
        super().__init__(message)


def _pointed(text: str, column: int | None) -> str:
    """Return one line of `text` around `column` and, below it, a caret."""
    line = "".join(c if c.isprintable() else " " for c in text)
    if column is None:
        return f"  {line[:_SHOWN]}"
    start = max(0, min(column - _SHOWN // 2, len(line) - _SHOWN))
    return f"  {line[start : start + _SHOWN]}\n  {' ' * (column - start)}^"


def shown(value: object) -> str:
    """Return a value as Python writes it, cut where that is long."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python writes
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
