"""Colours that colour-blind eyes tell apart (Okabe and Ito 2008, Color Universal Design)."""

from __future__ import annotations

BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
SKY, PURPLE, YELLOW, GREY = "#56b4e9", "#cc79a7", "#f0e442", "#999999"

# Of lines and bars side by side, seen on light and dark pages.
SERIES = (BLUE, VERMILION, GREEN, PURPLE, GREY)
