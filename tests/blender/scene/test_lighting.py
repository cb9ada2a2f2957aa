"""Lamps: rows, dark halls, unlit ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from blender.config.capture import LightConfig
from blender.scene.lighting import sample_lamps
from blender.spec import LampSpec


def lit(lamps: tuple[LampSpec, ...]) -> list[LampSpec]:
    return [lamp for lamp in lamps if lamp.power > 0]


def test_rows_of_lamps_differ_and_at_least_one_lamp_is_on() -> None:
    room, rng = (0.0, 24.0, -8.0, 8.0), np.random.default_rng(0)
    dark = replace(LightConfig(), dark=1.0, unlit_end=1.0)
    light = replace(LightConfig(), dark=0.0, unlit_end=0.0)
    counts = {}
    for key, config in (("dark", dark), ("light", light)):
        drawn = [sample_lamps(config, room, 6.0, rng) for _ in range(60)]
        counts[key] = np.mean([len(lit(lamps)) for lamps, *_ in drawn])
        assert min(len(lit(lamps)) for lamps, *_ in drawn) >= 1
        for lamps, temperature, ambient, _ in drawn:
            rows: dict[float, set[float]] = {}
            for lamp in lamps:
                rows.setdefault(lamp.position[1], set()).add(lamp.temperature)
                assert abs(lamp.temperature - temperature) <= 400.1
                assert lamp.position[2] < 6.0
            assert all(len(kelvins) == 1 for kelvins in rows.values())
            assert ambient <= 0.22 * (0.2 if key == "dark" else 1)
    assert counts["dark"] < 0.4 * counts["light"]


def test_unlit_end_has_no_lit_lamp_and_the_camera_end_has() -> None:
    config = replace(LightConfig(), lit=(1.0, 1.0), dark=0.0, unlit_end=1.0, spacing=(3.0, 3.0))
    room = (0.0, 30.0, -6.0, 6.0)
    for seed in range(10):
        lamps, *_ = sample_lamps(config, room, 6.0, np.random.default_rng(seed))
        assert 1 <= len(lit(lamps)) < len(lamps) == 30
        assert min(lamp.position[0] for lamp in lit(lamps)) < 3
