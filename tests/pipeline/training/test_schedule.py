"""The learning-rate schedule."""

from __future__ import annotations

import pytest

from pipeline.config import TrainConfig
from pipeline.training.schedule import learning_rate_factor


def test_cosine_schedule_warms_up_and_falls_to_one_percent() -> None:
    config = TrainConfig(warmup_iterations=10)
    factors = [learning_rate_factor(step, 100, config) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11) and max(factors) == factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(0.01, abs=1e-3)


def test_warm_up_takes_at_most_a_quarter_of_a_short_run() -> None:
    config = TrainConfig(warmup_iterations=1000)
    factors = [learning_rate_factor(step, 8, config) for step in range(8)]
    assert factors.index(max(factors)) == 2 and max(factors) == 1


def test_step_schedule_falls_to_a_tenth_at_each_step() -> None:
    config = TrainConfig(schedule="step", lr_steps=(0.5, 0.75), warmup_iterations=10)
    factors = [learning_rate_factor(step, 100, config) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11) and factors[10:50] == [1.0] * 40
    assert factors[50:75] == pytest.approx([0.1] * 25) and factors[75:] == pytest.approx([0.01] * 25)
