"""Looking at detections over galaxies and correcting them; no label is ever lost."""

from workbench.audit.session import Audit

__all__ = ["Audit"]
