"""Draw the lamps below a hall's roof and the ambient light. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.capture import LightConfig
from blender.sampling import chance, pick, uniform
from blender.spec import Footprint, LampSpec

TUBE, SQUARE = (1.4, 0.18), (0.5, 0.5)
"""Size of a long and of a square lamp along x and y, metres."""
ROOF_DISTANCE = 0.45
"""Distance between the roof and the lamps, metres."""
ROW_DENSITY = 1.5
"""Factor on the drawn spacing between rows of lamps. Lamps within a row are closer to each other."""
RATED_HEIGHT = 5.0
"""Height, metres, at which a lamp has the drawn power. Higher lamps have more power, so that they light the
floor as well."""
BORDER_X, BORDER_Y = (0.4, 0.7), (0.3, 0.7)
"""Ranges of a point on the border of an unlit end, as shares of the hall's length and width."""


def sample_lamps(
    config: LightConfig, room: Footprint, roof: float, rng: np.random.Generator
) -> tuple[tuple[LampSpec, ...], float, float, str]:
    """Draw lamps in rows along a room, and the ambient light.

    Args:
        config: [scene.light].
        room: floor of the hall, (x from, x to, y from, y to), metres.
        roof: height of the roof, metres.
        rng: the frame's generator.

    Returns:
        The lamps (at least one is on; lamps that are off have power 0), their mean temperature in kelvin, the
        ambient light in W/m2/sr, and the environment that colours it.
    """
    _, length, low, high = room
    step, between = uniform(config.spacing, rng), uniform(config.spacing, rng)
    rows = max(1, round((high - low) / between / ROW_DENSITY))
    power, lit = uniform(config.power, rng), uniform(config.lit, rng)
    temperature, ambient = uniform(config.temperature, rng), uniform(config.ambient, rng)
    if chance(config.dark, rng):
        lit, ambient = uniform(config.dark_lit, rng), ambient * config.dark_ambient
    size = TUBE if chance(config.tubes, rng) else SQUARE
    border = _unlit_border(room, rng) if chance(config.unlit_end, rng) else None
    lamps: list[LampSpec] = []
    height = roof - ROOF_DISTANCE
    for y in np.linspace(low, high, rows + 2)[1:-1]:
        kelvin = round(temperature + uniform(config.row_temperature, rng), 1)
        for x in np.arange(step / 2, length, step):
            off = border is not None and border[0] * x + border[1] * y > border[2]
            on = (chance(lit, rng) and not off) or not lamps
            at = (round(float(x), 3), round(float(y), 3), round(height, 4))
            lamps.append(LampSpec(at, size, power * height / RATED_HEIGHT if on else 0.0, kelvin))
    return tuple(lamps), temperature, round(ambient, 4), pick(config.environments, rng)


def _unlit_border(room: Footprint, rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a straight border (a, b, c) across the floor: no lamp is on where a x + b y > c."""
    x0, x1, y0, y1 = room
    angle = rng.uniform(-np.pi / 2, np.pi / 2)  # the dark side lies ahead of or beside the camera
    a, b = float(np.cos(angle)), float(np.sin(angle))
    x, y = x0 + rng.uniform(*BORDER_X) * (x1 - x0), rng.uniform(*BORDER_Y) * (y1 - y0) + y0
    return a, b, float(a * x + b * y)
