"""Lens models: off-axis angle to image radius and back, and their settings in Cycles. No bpy.

Every model is radially symmetric. The pipeline computes distances with these models, so this module is the
only one besides ``blender.contract`` that it imports. It needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SENSOR = 36.0
"""Width of Blender's sensor, millimetres: it only sets the unit of Blender's focal lengths."""

WIDE = (1.0, 0.0, -0.0915, 0.019)
"""Coefficients of the wide lens: off-axis angle as a polynomial (powers 1 to 4) of the image radius in focal
lengths.

They are a rounded least-squares fit of the stereographic projection, 2 atan(r / 2), which Cycles supports
only as a polynomial.
"""


@dataclass(frozen=True)
class Lens:
    """A radially symmetric projection."""

    radius: Callable[[Floats], Floats]
    """Maps the off-axis angle of rays, radians below pi / 2, to the image radius in focal lengths."""
    angle: Callable[[Floats], Floats]
    """The inverse of ``radius``."""
    set_up: Callable[[Any, float], None]
    """Configures Blender's camera data: (camera data, focal length in millimetres)."""
    polynomial: tuple[float, ...] = ()
    """Coefficients of ``angle`` for powers 1, 2, ... of the radius; empty for other functions."""


def _wide_angle(radius: Floats) -> Floats:
    a, b, c, d = WIDE
    angle: Floats = radius * (a + radius * (b + radius * (c + radius * d)))
    return angle


def _wide_radius(angle: Floats) -> Floats:
    """Invert the polynomial by Newton's method, started at the stereographic projection."""
    radius: Floats = 2 * np.tan(np.minimum(angle, 1.6) / 2)
    a, b, c, d = WIDE
    for _ in range(3):
        slope = a + radius * (2 * b + radius * (3 * c + radius * 4 * d))
        radius = radius - (_wide_angle(radius) - angle) / slope
    return radius


def _perspective(data: Any, focal: float) -> None:
    data.type, data.lens = "PERSP", focal


def _panorama(data: Any, kind: str) -> None:
    data.type, data.panorama_type, data.fisheye_fov = "PANO", kind, 2 * np.pi


def _equisolid(data: Any, focal: float) -> None:
    _panorama(data, "FISHEYE_EQUISOLID")
    data.fisheye_lens = focal


def _polynomial(data: Any, focal: float, powers: tuple[float, ...]) -> None:
    """Configure a polynomial lens. Blender's polynomial maps millimetres to the negative angle."""
    _panorama(data, "FISHEYE_LENS_POLYNOMIAL")
    for power in range(5):
        share = powers[power - 1] if 1 <= power <= len(powers) else 0.0
        setattr(data, f"fisheye_polynomial_k{power}", -share / focal**power)


LENSES = {
    "perspective": Lens(np.tan, np.arctan, _perspective),
    "wide": Lens(_wide_radius, _wide_angle, lambda data, focal: _polynomial(data, focal, WIDE), WIDE),
    "equisolid": Lens(
        lambda angle: 2 * np.sin(angle / 2),
        lambda radius: 2 * np.arcsin(np.minimum(radius / 2, 1)),
        _equisolid,
    ),
    # Blender's own equidistant panorama is stretched to the image's shape; the polynomial is not.
    "equidistant": Lens(
        lambda angle: angle,
        lambda radius: radius,
        lambda data, focal: _polynomial(data, focal, (1.0,)),
        (1.0,),
    ),
}
"""Lens name -> projection: a straight lens, a wide lens with barrel distortion, two fisheyes."""


def focal_length(lens: str, fov: float) -> float:
    """Return the focal length, in image widths, for a horizontal field of view in radians."""
    return 0.5 / float(LENSES[lens].radius(np.asarray(fov / 2)))


def covers(lens: str, fov: float, width: int, height: int) -> bool:
    """Return whether the image's corners are less than 90 degrees off the axis, as ``project`` requires."""
    corner = np.hypot(width, height) / 2 / (focal_length(lens, fov) * width)
    return bool(corner < LENSES[lens].radius(np.asarray(np.pi / 2)))


def widest_fov(lens: str, width: int, height: int) -> int:
    """Return the widest horizontal field of view, in whole degrees up to 150, that ``covers`` allows."""
    return next((fov for fov in range(150, 0, -1) if covers(lens, np.radians(fov), width, height)), 0)
