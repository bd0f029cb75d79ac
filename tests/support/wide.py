"""Profiles of more features than one ConfigMap holds."""

from __future__ import annotations

import functools

import numpy as np
from driftline.profile import Profile

from tests.support.profiles import reference

DAY = 86_400.0


@functools.cache
def wide(seed: int = 0, features: int = 300) -> Profile:
    """About a megabyte for 300 features."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 30 * DAY, 1500))
    return reference({f"f{number}": rng.normal(size=1500) for number in range(features)}, times)
