"""The camera of a picture: camera.toml, rays of pixels, pixels of points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from blender.contract import UserError, from_table, read_toml
from blender.contract.limits import Ge, Gt, Le, OneOf
from blender.lenses import LENSES, covers, focal_length

Floats = npt.NDArray[np.float64]
_INTRINSICS = ("fx", "fy", "cx", "cy", "image_size")
_SHAPE_TOLERANCE = 0.01
"""Largest relative difference of the shapes of a picture and of ``image_size``."""


@dataclass(frozen=True)
class Camera:
    """The pose and the lens of a camera: the keys of camera.toml. It has ``fov``, or intrinsics."""

    height: Annotated[float, Gt(0), Le(100)]
    """Metres above the floor."""
    pitch: Annotated[float, Gt(-90), Le(60)]
    """Degrees above the horizon: negative if the camera looks down."""
    roll: Annotated[float, Ge(-180), Le(180)] = 0.0
    """Degrees about the viewing direction, counterclockwise as seen from behind the camera."""
    lens: Annotated[str, OneOf(LENSES)] = "perspective"
    """Lens model, by the renderer's names: "perspective", "wide", "equisolid" or "equidistant"."""
    fov: Annotated[float, Gt(1), Le(150)] | None = None
    """Horizontal field of view in degrees. Pixels are square, and the axis meets the picture's centre."""
    fx: Annotated[float, Gt(0)] | None = None
    """Focal length along the width of the picture in pixels, in place of ``fov``."""
    fy: Annotated[float, Gt(0)] | None = None
    """Focal length along the height of the picture in pixels."""
    cx: float | None = None
    """Where the axis meets the picture: pixels from the left edge."""
    cy: float | None = None
    """Where the axis meets the picture: pixels from the top edge."""
    image_size: Annotated[tuple[int, int], Ge(1)] | None = None
    """Width and height in pixels of the pictures that fx, fy, cx and cy are of; smaller copies are scaled."""

    def __post_init__(self) -> None:
        given = [name for name in _INTRINSICS if getattr(self, name) is not None]
        if self.fov is not None and given:
            raise ValueError(f"give fov or {given[0]}, not both")
        if self.fov is None and len(given) < len(_INTRINSICS):
            missing = [name for name in _INTRINSICS if name not in given]
            raise ValueError(f"give fov, or all of {', '.join(_INTRINSICS)}; missing: {', '.join(missing)}")

    def intrinsics(self, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """Return the focal lengths (2,) and the axis' pixel (2,) for a picture of ``size`` (width, height).

        Raises:
            UserError: the picture has another shape than ``image_size``, or corners that the lens cannot see.
        """
        width, height = size
        if self.fov is not None:
            fov = float(np.radians(self.fov))
            if not covers(self.lens, fov, width, height):
                raise UserError(
                    f"a picture of {width} x {height} pixels with the lens '{self.lens}' and a fov of "
                    f"{self.fov:g} has corners 90 degrees or more off the axis; use a smaller fov"
                )
            return np.full(2, focal_length(self.lens, fov) * width), np.array([width / 2, height / 2])
        assert self.image_size is not None
        scale = np.array(size) / self.image_size
        if abs(scale[0] / scale[1] - 1) > _SHAPE_TOLERANCE:
            own = " x ".join(map(str, self.image_size))
            raise UserError(f"a picture of {width} x {height} pixels, but the camera's image_size is {own}")
        fx, fy, cx, cy = (float(getattr(self, name)) for name in _INTRINSICS[:4])
        return np.array([fx, fy]) * scale, np.array([cx, cy]) * scale

    @property
    def axes(self) -> Floats:
        """The camera's right, up and forward directions: columns of (3, 3), in the frame of ``rays``."""
        pitch, roll = np.radians([self.pitch, self.roll])
        forward = np.array([0.0, np.sin(pitch), np.cos(pitch)])
        up = np.array([0.0, np.cos(pitch), -np.sin(pitch)])
        right = np.array([1.0, 0.0, 0.0])
        c, s = np.cos(roll), np.sin(roll)
        return np.stack([c * right + s * up, c * up - s * right, forward], 1)

    def rays(self, pixels: Floats, size: tuple[int, int]) -> Floats:
        """Return the unit vectors (N, 3) that pixels (N, 2) show: x right, y up, z ahead along the floor."""
        focal, centre = self.intrinsics(size)
        plane = (pixels - centre) / focal * [1, -1]
        radius = np.hypot(plane[:, 0], plane[:, 1])
        angle = np.minimum(LENSES[self.lens].angle(radius), np.pi / 2)
        sine = np.sin(angle) / np.maximum(radius, 1e-12)
        return np.column_stack([plane * sine[:, None], np.cos(angle)]) @ self.axes.T

    def project(self, points: Floats, size: tuple[int, int]) -> Floats:
        """Return the pixels (N, 2) of points (N, 3): x right, y above the floor, z ahead, in metres.

        A point behind the camera is projected as if it were 89 degrees off the axis.
        """
        focal, centre = self.intrinsics(size)
        local = (points - [0, self.height, 0]) @ self.axes
        off_axis = np.hypot(local[:, 0], local[:, 1])
        angle = np.minimum(np.arctan2(off_axis, local[:, 2]), np.radians(89))
        scale = LENSES[self.lens].radius(angle) / np.maximum(off_axis, 1e-12)
        return centre + scale[:, None] * local[:, :2] * [1, -1] * focal


def read_camera(path: Path) -> Camera:
    """Read camera.toml.

    Raises:
        UserError: the file is missing or not TOML; or a line for each unknown key and wrong value.
    """
    try:
        table = read_toml(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such camera file; write it with `transpalette calibrate`") from None
    return from_table(Camera, table, str(path))


def recorded_camera(record: dict[str, Any]) -> Camera:
    """Return the camera of a rendered frame, from the field ``camera`` of its record or of its COCO image."""
    pitch, roll, fov = (float(np.degrees(record[name])) for name in ("pitch", "roll", "fov"))
    return Camera(record["position"][2], pitch, roll, record["lens"], fov)
