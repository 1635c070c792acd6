"""Errors come whole out of the processes that make galaxies."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import pytest
from workbench.errors import MissingExtraError


def _missing() -> None:
    raise MissingExtraError("workbench clumps", "clumps", "galsim")


def test_a_missing_package_is_told_through_a_pool_of_processes() -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(MissingExtraError) as told:
        pool.submit(_missing).result(timeout=60)
    assert str(told.value).startswith("workbench clumps needs galsim, which is not installed;")
    assert 'pip install "flashclump[clumps]"' in str(told.value)
