"""Hypothesis: the same examples at every run; HYPOTHESIS_PROFILE=explore draws new ones."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=_SLOW
)
settings.register_profile("explore", deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Keep the collector out of measured times: a full one walks what all tests have left."""
    gc.disable()
    yield
    gc.enable()
