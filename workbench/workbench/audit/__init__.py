"""Looking at detections over galaxies and correcting them; no label is ever lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.audit.results import Audit

__all__ = ["Audit"]


def __getattr__(name: str) -> Any:
    """Import `Audit` when it is first asked for: the journal alone needs no other package."""
    if name == "Audit":
        from workbench.audit.results import Audit  # noqa: PLC0415 - see above

        return Audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
