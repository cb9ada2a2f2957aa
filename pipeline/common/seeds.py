"""Derive seeds for torch's generators."""

from __future__ import annotations

import numpy as np


def derive_seed(*numbers: int) -> int:
    """Derive a 64-bit seed for torch from several numbers, such as the run's seed, an epoch and a step."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
