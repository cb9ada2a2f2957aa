"""The tables [scene.camera], [scene.light] and [scene.sensor] of a profile."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from blender.contract.limits import Ge, Gt, Le, OneOf, Ordered, Share, ShareRange, Weights
from blender.lenses import LENSES, covers, widest_fov


@dataclass(frozen=True)
class LensConfig:
    """[scene.camera.lenses.NAME]: one lens; NAME is a key of ``blender.lenses.LENSES``."""

    weight: Annotated[float, Ge(0)]
    """How often the lens is drawn, relative to the other lenses."""
    fov: Annotated[tuple[float, float], Gt(1), Le(150), Ordered()]
    """Horizontal field of view in degrees."""


@dataclass(frozen=True)
class MountConfig:
    """[scene.camera.mounts.NAME]: where a camera is mounted and where it points."""

    weight: Annotated[float, Ge(0)]
    """How often the mount is drawn, relative to the other mounts."""
    height: Annotated[tuple[float, float], Ge(0.1), Ordered()]
    """Metres above the floor. The hall is made higher if its roof would be too low."""
    behind: Annotated[tuple[float, float], Ge(0.1), Ordered()] = (0.4, 1.6)
    """Metres of floor between the camera and the wall behind it."""
    floor: Annotated[tuple[float, float] | None, Gt(0), Ordered()] = None
    """Metres of floor, counted from below the camera, on which the view is centred. Without this key the view
    is centred on the horizon."""
    pitch: Annotated[tuple[float, float], Ge(-60), Le(60), Ordered()] = (-12.0, 4.0)
    """Degrees above the centre of the view that ``floor`` gives."""
    yaw: Annotated[tuple[float, float], Ge(-180), Le(180), Ordered()] = (-18.0, 18.0)
    """Degrees to the side of the hall's long axis."""
    roll: Annotated[tuple[float, float], Ge(-180), Le(180), Ordered()] = (-2.0, 2.0)
    """Degrees of rotation about the viewing direction."""


def _lenses() -> dict[str, LensConfig]:
    return {
        "perspective": LensConfig(6.0, (55.0, 95.0)),
        "wide": LensConfig(1.0, (80.0, 110.0)),
        "equisolid": LensConfig(0.5, (90.0, 120.0)),
        "equidistant": LensConfig(0.5, (90.0, 120.0)),
    }


def _mounts() -> dict[str, MountConfig]:
    return {
        "vehicle": MountConfig(7.0, (0.3, 1.7)),
        "hand": MountConfig(2.0, (1.3, 1.8), pitch=(-15.0, 5.0), roll=(-6.0, 6.0)),
        "overhead": MountConfig(
            1.0, (3.0, 7.0), behind=(0.15, 0.6), floor=(3.0, 12.0), pitch=(-4.0, 4.0), yaw=(-25.0, 25.0)
        ),
    }


@dataclass(frozen=True)
class CameraConfig:
    """[scene.camera]: lenses and mounts, drawn by weight.

    A table [scene.camera.lenses] in a profile replaces all default lenses; likewise for mounts.
    """

    lenses: Annotated[dict[str, LensConfig], OneOf(LENSES)] = field(default_factory=_lenses)
    """Lenses to draw from."""
    mounts: dict[str, MountConfig] = field(default_factory=_mounts)
    """Mounts to draw from, with any names; a frame's record names its mount."""

    def __post_init__(self) -> None:
        for key, tables in (("lenses", self.lenses), ("mounts", self.mounts)):
            if not any(table.weight > 0 for table in tables.values()):
                raise ValueError(f"{key}: at least one weight must be above 0")


def fit_lenses(
    lenses: Mapping[str, LensConfig], named: Collection[str], width: int, height: int
) -> tuple[dict[str, LensConfig], list[str], str]:
    """Fit the lenses to the image's shape, whose corners must be less than 90 degrees off the axis.

    The range of a lens that the profile does not name is cut. If no part of the range fits, the lens is left
    out.

    Args:
        lenses: [scene.camera.lenses], or the defaults.
        named: names of the lenses whose ``fov`` is in the profile itself.
        width: width of the images in pixels.
        height: height of the images in pixels.

    Returns:
        The lenses that fit; a problem for each lens that does not and is named; and a note about
        the others, or "".
    """
    fitted, problems, changes, size = dict(lenses), [], [], f"{width} x {height} pixels"
    for name, lens in lenses.items():
        low, high = lens.fov
        if not lens.weight or covers(name, math.radians(high), width, height):
            continue
        limit = widest_fov(name, width, height)
        if name in named:
            problems.append(
                f"[scene.camera.lenses.{name}]: fov [{low:g}, {high:g}] would put the corners of {size} "
                f"90 degrees off the axis or more; use at most {limit}, or leave the lens out"
            )
        elif low <= limit:
            fitted[name] = replace(lens, fov=(low, float(limit)))
            changes.append(f"{name} up to {limit} degrees instead of {high:g}")
        else:
            del fitted[name]
            changes.append(f"{name} left out, which fits up to {limit} degrees and begins at {low:g}")
    if not any(lens.weight for lens in fitted.values()):
        problems.append(f"[scene.camera.lenses]: no lens fits {size}; name one, such as perspective")
    note = f"[scene.camera.lenses] fitted to {size}: {'; '.join(changes)}" if changes else ""
    return fitted, problems, note


ENVIRONMENTS = ("none", "city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
"""Sources of the ambient light's colour: none, or one of the panoramas (CC0) that Blender includes."""


def _environments() -> dict[str, float]:
    return {"none": 5.0, "interior": 1.0, "studio": 1.0, "city": 0.5, "courtyard": 0.5}


@dataclass(frozen=True)
class LightConfig:
    """[scene.light]: rows of lamps under the roof, and the ambient light."""

    power: Annotated[tuple[float, float], Ge(0), Ordered()] = (60.0, 260.0)
    """Power of a lamp in watts."""
    spacing: Annotated[tuple[float, float], Ge(0.5), Ordered()] = (3.0, 6.0)
    """Metres between the lamps of a row, and between rows."""
    lit: ShareRange = (0.35, 1.0)
    """Share of a hall's lamps that are on."""
    temperature: Annotated[tuple[float, float], Ge(1000), Le(40000), Ordered()] = (3600.0, 6800.0)
    """Colour temperature of a hall's lamps in kelvin."""
    row_temperature: Annotated[tuple[float, float], Ge(-39000), Le(39000), Ordered()] = (-400.0, 400.0)
    """Kelvin by which a row of lamps differs from the hall: tubes of several makes and ages."""
    ambient: Annotated[tuple[float, float], Ge(0), Ordered()] = (0.05, 0.22)
    """Radiance of the ambient light, which stands for light after too many reflections to trace; W/m2/sr."""
    environments: Annotated[dict[str, float], Weights(ENVIRONMENTS)] = field(default_factory=_environments)
    """Weights of the panoramas that colour the ambient light; "none" is an even white."""
    dark: Share = 0.12
    """Share of dark halls, which have few lamps on and little ambient light."""
    dark_lit: ShareRange = (0.08, 0.3)
    """Share of the lamps that are on in a dark hall."""
    dark_ambient: Share = 0.2
    """Factor on the ambient light in a dark hall."""
    tubes: Share = 0.7
    """Share of halls with long lamps; the others have square lamps."""
    unlit_end: Share = 0.2
    """Share of halls with the lamps off at one end or along one side."""

    def __post_init__(self) -> None:
        if self.temperature[0] + self.row_temperature[0] < 1000:
            raise ValueError("temperature plus row_temperature must be at least 1000 kelvin for every row")


@dataclass(frozen=True)
class SensorConfig:
    """[scene.sensor]: effects of lens, sensor and camera on the image; masks do not change.

    The keys are in the order in which ``blender.imaging.sensor.expose`` applies them.
    """

    exposure: Annotated[tuple[float, float], Ge(-10), Le(10), Ordered()] = (-1.0, 0.9)
    """Stops above the metered exposure."""
    neutral: ShareRange = (0.4, 0.95)
    """Share of the image's colour cast that the automatic white balance removes."""
    white_balance: Annotated[tuple[float, float], Ge(-0.5), Le(0.5), Ordered()] = (-0.1, 0.1)
    """Error of the white balance: gain of red over blue, as a share."""
    tint: Annotated[tuple[float, float], Ge(-0.3), Le(0.3), Ordered()] = (-0.05, 0.1)
    """Error of the white balance: gain of green over red and blue, as a share."""
    haze: Annotated[tuple[float, float], Ge(0), Le(0.2), Ordered()] = (0.0, 0.012)
    """Dust in the air: share of the light lost per metre and replaced by grey."""
    vignetting: ShareRange = (0.0, 0.45)
    """Share of the light lost in the corners."""
    glare: ShareRange = (0.0, 0.05)
    """Share of the light above white that the lens scatters to the surrounding pixels."""
    glare_radius: ShareRange = (0.01, 0.04)
    """Standard deviation of the scattered light, as a share of the image's width."""
    flare: ShareRange = (0.0, 0.06)
    """Share of the light that the lens spreads evenly over the image; it lifts the blacks."""
    aberration: Annotated[tuple[float, float], Ge(0), Le(0.05), Ordered()] = (0.0, 0.0015)
    """Lateral chromatic aberration: share by which red is larger and blue is smaller than green."""
    defocus: Share = 0.2
    """Share of frames that are out of focus."""
    defocus_radius: Annotated[tuple[float, float], Ge(0), Le(0.02), Ordered()] = (0.001, 0.0025)
    """Radius of the blur disc of those frames, as a share of the image's width."""
    motion_blur: Share = 0.16
    """Share of frames with motion blur."""
    motion_length: Annotated[tuple[float, float], Ge(0), Le(0.1), Ordered()] = (0.003, 0.025)
    """Length of the motion in those frames, as a share of the image's width."""
    low_resolution: Share = 0.4
    """Share of frames from a camera with fewer pixels, enlarged to the image's size."""
    resolution: Annotated[tuple[float, float], Ge(0.1), Le(1), Ordered()] = (0.55, 0.95)
    """Columns of such a camera, as a share of the image's. The share of lines lies between this and 1, as
    many cameras store squeezed images."""
    noise: ShareRange = (0.002, 0.012)
    """Standard deviation of the noise at mid-grey, as a share of white."""
    headroom: Annotated[tuple[float, float], Ge(0.5), Le(16), Ordered()] = (1.8, 4.0)
    """Stops above mid-grey at which the sensor is saturated and the image is white."""
    contrast: Annotated[tuple[float, float], Gt(0), Le(10), Ordered()] = (0.9, 1.4)
    """Slope of the tone curve at mid-grey."""
    saturation: Annotated[tuple[float, float], Ge(0), Le(10), Ordered()] = (0.5, 1.25)
    """Factor on each colour's distance from grey."""
    sharpening: Annotated[tuple[float, float], Ge(0), Le(10), Ordered()] = (0.3, 1.7)
    """Strength of the camera's unsharp mask."""
    jpeg: Share = 0.95
    """Share of frames with the artefacts of JPEG compression."""
    jpeg_quality: Annotated[tuple[int, int], Ge(1), Le(100), Ordered()] = (45, 94)
    """Quality of that compression, on the Independent JPEG Group's scale."""
