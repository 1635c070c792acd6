"""What a slider is, without the slider: its values, its steps, its label."""

from __future__ import annotations

from dataclasses import dataclass, replace

_FINE_STEPS = 512  # up to here a slider of single steps is usable by keyboard
_STEPS = 128


@dataclass(frozen=True, slots=True)
class Choice:
    """A control over a few values, numbers in any spacing or names.

    Raises ValueError where `value` is none of `options`, or where there are none.
    """

    name: str
    options: tuple[int, ...] | tuple[str, ...]
    value: int | str
    label: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if self.value not in self.options:
            known = ", ".join(str(option) for option in self.options) or "none given"
            raise ValueError(f"{self.name}: {self.value!r} is not among the options: {known}")

    @property
    def title(self) -> str:
        """The label, with the unit where there is one."""
        return _title(self.label or self.name, self.unit)


@dataclass(frozen=True, slots=True)
class Range:
    """A control over the integers from `low` to `high`, both included, in steps of `step`.

    Raises ValueError where the range is empty or the step is not positive.
    """

    name: str
    low: int
    high: int
    step: int = 1
    label: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"{self.name}: empty range from {self.low} to {self.high}")
        if self.step < 1:
            raise ValueError(f"{self.name}: step {self.step}, expected 1 or more")

    @property
    def title(self) -> str:
        """The label, with the unit where there is one."""
        return _title(self.label or self.name, self.unit)

    def including(self, value: int) -> Range:
        """Return the range widened, and moved within a step, so that `value` is one of its steps.

        A slider rounds to its steps, counted from its low end, and reports what it rounded to.
        """
        low = value if value < self.low else self.low + (value - self.low) % self.step
        return replace(self, low=low, high=max(self.high, value))

    @classmethod
    def around(cls, name: str, value: int) -> Range:
        """Return a range for a parameter of which only a value is known: 0 to twice of it.

        Steps are powers of two, about 128 of them, and single below 512.
        """
        low, high = min(0, 2 * value), max(0, 2 * value)
        if low == high:
            high = 16  # zero says nothing about the scale
        span = high - low
        step = 1 if span <= _FINE_STEPS else 1 << ((span // _STEPS).bit_length() - 1)
        return cls(name, low, high, step)


def _title(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label
