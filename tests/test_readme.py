"""What the README shows is what happens, and what it points to is there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT)))
MOST_BYTES = 300_000  # of a picture


def test_the_example_gives_the_output_shown() -> None:
    done = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert done.attempted >= 9
    assert done.failed == 0


@pytest.mark.parametrize("link", LINKS)
def test_what_it_points_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < MOST_BYTES, picture.name
