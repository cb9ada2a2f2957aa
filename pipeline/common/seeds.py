"""Seeds for torch."""

from __future__ import annotations

import numpy as np


def seed_of(*numbers: int) -> int:
    """One seed for torch from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
