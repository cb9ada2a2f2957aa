"""The learning-rate schedule: linear warm-up, then a cosine or steps."""

from __future__ import annotations

import math

from pipeline.config import TrainConfig

WARMUP_DIVISOR = 4
"""The warm-up takes at most 1 / ``WARMUP_DIVISOR`` of a run's steps."""
STEP_GAMMA = 0.1
"""Factor on the learning rate at each of ``lr_steps``, as in torchvision's references."""
FINAL_FACTOR = 0.01
"""Factor on the learning rate at the end of the cosine, so that the last steps still change the weights."""


def learning_rate_factor(step: int, total_steps: int, config: TrainConfig) -> float:
    """Return the learning rate of an optimizer step as a share of the peak rate ``config.lr``.

    Args:
        step: number of the step in the complete run, from 0.
        total_steps: number of steps of the complete run.
        config: the recipe.
    """
    warmup = min(config.warmup_iterations, total_steps // WARMUP_DIVISOR)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if config.schedule == "step":
        return STEP_GAMMA ** sum(step >= share * total_steps for share in config.lr_steps)
    progress = math.pi * (step - warmup) / max(1, total_steps - warmup)
    return FINAL_FACTOR + (1 - FINAL_FACTOR) * 0.5 * (1 + math.cos(progress))
