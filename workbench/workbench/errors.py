"""What the workbench raises on purpose; anything else that escapes is a bug.

::

    WorkbenchError(Exception)      shown by the command line as one line, exit code 2
    └── MissingExtraError          a command needs packages that are not installed
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """A mistake the user can mend: says what was given, what was expected, what would work."""


class MissingExtraError(WorkbenchError):
    """A command needs one of the optional groups of packages."""

    def __init__(self, command: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{command} needs {missing}, which is not installed; "
            f'run `pip install "flashclump[{extra}]"` or `make lab`'
        )
        self._given = (command, extra, missing)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Keep what it was made of, so that it comes whole out of a pool of processes."""
        return type(self), self._given
