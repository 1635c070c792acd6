"""What can go wrong, as types a caller can catch.

    RnnError
    ├── CellError         a cell's definition is wrong (also a ValueError)
    ├── ArgumentError     a tensor or option does not fit the call (also a ValueError)
    ├── UnsupportedError  this backend cannot run this problem here (also a RuntimeError)
    ├── CompileError      a kernel did not compile (also a RuntimeError)
    └── DerivativeError   a derivative that does not exist was asked for (also a RuntimeError)

Every message says what was given, what was expected and what would work.
"""


class RnnError(Exception):
    """Base of every error that this package raises on purpose."""


class CellError(RnnError, ValueError):
    """A cell's definition is wrong: raised where the cell is defined."""


class ArgumentError(RnnError, ValueError):
    """A tensor or an option does not fit the call."""


class UnsupportedError(RnnError, RuntimeError):
    """The chosen backend cannot run this problem here; the message names what would."""


class CompileError(RnnError, RuntimeError):
    """A generated kernel did not compile or does not fit the GPU."""


class DerivativeError(RnnError, RuntimeError):
    """A derivative that does not exist was asked for, for instance a second one."""
