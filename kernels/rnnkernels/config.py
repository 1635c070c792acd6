"""A configuration: a strategy and the values of its knobs; what is planned, forced and cached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Configuration:
    """A strategy's name and its knobs in the order of its launch problem."""

    strategy: str
    knobs: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, strategy: str, **knobs: int) -> Configuration:
        """Return a configuration of named values: `Configuration.of("grid", tile=8, ...)`."""
        return cls(strategy, tuple(knobs.items()))

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in self.knobs)
        return f"{self.strategy}({values})"
