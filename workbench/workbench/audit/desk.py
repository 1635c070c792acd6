"""The gallery above the overlay: what is opened in the one is shown in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from workbench.audit.gallery import AuditGallery
from workbench.audit.overlay import ClumpAudit

if TYPE_CHECKING:
    from workbench.audit.session import Session


class AuditDesk(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets publishes no types
    """A gallery and an overlay on one audit.

    Attributes
    ----------
    gallery, overlay
        The two widgets.
    """

    def __init__(self, audit: Session, *, threshold: float | None = None) -> None:
        self.overlay = ClumpAudit(audit, threshold=threshold)
        self.gallery = AuditGallery(audit, self.overlay.show)
        super().__init__([self.gallery, self.overlay])
