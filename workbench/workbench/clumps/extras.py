"""Optional packages of the clump commands: imported when used, one clear line when missing."""

from __future__ import annotations

import importlib
from typing import Any

from workbench.errors import MissingExtraError


def need(module: str, command: str = "workbench clumps") -> Any:
    """Import and return `module`.

    Raises
    ------
    MissingExtraError
        It is not installed; names the command and how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(command, "clumps", module.partition(".")[0]) from error
