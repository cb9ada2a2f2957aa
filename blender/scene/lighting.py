"""Which lamps hang under a hall's roof, and which of them are on. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.capture import LightConfig
from blender.sampling import chance, pick, uniform
from blender.spec import LampSpec


def sample_lamps(
    config: LightConfig, room: tuple[float, float, float, float], roof: float, rng: np.random.Generator
) -> tuple[tuple[LampSpec, ...], float, float, str]:
    """Lamps in rows along a room, (x from, x to, y from, y to) in metres, under a roof at ``roof`` metres.

    Returns:
        The lamps, at least one of them on and the others without power; their mean temperature in kelvin,
        the ambient light in W/m2/sr and the environment that colours it.
    """
    _, length, low, high = room
    step, between = uniform(config.spacing, rng), uniform(config.spacing, rng)
    rows = max(1, round((high - low) / between / 1.5))
    power, lit = uniform(config.power, rng), uniform(config.lit, rng)
    temperature, ambient = uniform(config.temperature, rng), uniform(config.ambient, rng)
    if chance(config.dark, rng):
        lit, ambient = uniform(config.dark_lit, rng), ambient * config.dark_ambient
    size = (1.4, 0.18) if chance(config.tubes, rng) else (0.5, 0.5)
    unlit = _unlit_end(room, rng) if chance(config.unlit_end, rng) else None
    lamps: list[LampSpec] = []
    height = roof - 0.45
    for y in np.linspace(low, high, rows + 2)[1:-1]:
        kelvin = round(temperature + uniform(config.row_temperature, rng), 1)
        for x in np.arange(step / 2, length, step):
            off = unlit is not None and unlit[0] * x + unlit[1] * y > unlit[2]
            on = (chance(lit, rng) and not off) or not lamps
            at = (round(float(x), 3), round(float(y), 3), round(height, 4))
            lamps.append(LampSpec(at, size, power * height / 5 if on else 0.0, kelvin))
    return tuple(lamps), temperature, round(ambient, 4), pick(config.environments, rng)


def _unlit_end(
    room: tuple[float, float, float, float], rng: np.random.Generator
) -> tuple[float, float, float]:
    """A straight border over the floor, (a, b, c): beyond it, where a x + b y > c, no lamp is on."""
    x0, x1, y0, y1 = room
    angle = rng.uniform(-np.pi / 2, np.pi / 2)  # the dark lies ahead or beside, where the camera looks
    a, b = float(np.cos(angle)), float(np.sin(angle))
    x, y = x0 + rng.uniform(0.4, 0.7) * (x1 - x0), rng.uniform(0.3, 0.7) * (y1 - y0) + y0
    return a, b, float(a * x + b * y)
