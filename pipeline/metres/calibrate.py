"""Find a camera's height, pitch, roll and field of view from points that a user has marked in one picture.

The points are the corners of a rectangle on the floor, or the feet and heads of upright people. The unknowns
of the camera and of the scene minimise the squared distances of the marked and the projected points
(Levenberg-Marquardt); standard errors follow from the Jacobian, as in any nonlinear least squares.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from blender.contract import UserError
from blender.lenses import covers
from pipeline.metres.camera import Camera, Floats

UNKNOWNS = ("height", "pitch", "roll", "fov")
CLICK_ERROR, CLICK_WIDTH = 2.0, 1000
"""Least standard deviation of a marked point, in pixels of a picture of this width."""
_LOW, _HIGH = np.array([0.1, -89.0, -60.0, 15.0]), np.array([50.0, 45.0, 60.0, 140.0])
"""Bounds of the unknowns."""
_STARTS = {"height": (1.0, 2.5, 5.0), "pitch": (-8.0, -25.0, -50.0), "roll": (0.0,), "fov": (60.0, 95.0)}
"""Where the search starts: each combination; the best end counts."""
_STEPS = 60
"""Largest number of steps of a search."""
_WORST, _SINGULAR = 0.02, 1e10
"""Largest residual of a camera that fits, in widths of the picture; condition number of a singular matrix."""
_UNSURE = {"height": 0.15, "pitch": 1.5, "roll": 1.5, "fov": 5.0}
"""Standard errors above which a message says that a value is unsure."""
Residuals = Callable[[Floats], Floats]
"""Maps the unknowns to the differences of projected and marked coordinates, in pixels."""


@dataclass(frozen=True)
class Marks:
    """What the user has marked in a picture; points are pixels from its top left corner."""

    corners: Floats
    """(4, 2) corners of a rectangle on the floor, in order around it; or (0, 2)."""
    sides: tuple[float, float]
    """Lengths of its sides in metres: from the first corner to the second, and from there to the third."""
    people: Floats
    """(P, 4) x, y of the point below a person between the feet, and x, y of the top of the head."""
    heights: Floats
    """(P,) heights of the people in metres."""

    @property
    def pixels(self) -> Floats:
        """All points, (N, 2): the corners, then the foot and the head of each person."""
        return np.concatenate([self.corners, self.people.reshape(-1, 2)])

    def points(self, unknowns: Floats) -> Floats:
        """Return the points (N, 3) in metres, in the frame of ``Camera.project``.

        Args:
            unknowns: x, z and heading of the rectangle if there is one, then x, z of each person.
        """
        floor = []
        if len(self.corners):
            (x, z, heading), (first, second) = unknowns[:3], self.sides
            along = np.array([np.sin(heading), np.cos(heading)])
            across = np.array([along[1], -along[0]]) * self._turn()
            steps = [0 * along, first * along, first * along + second * across, second * across]
            floor = [np.array([x, z]) + step for step in steps]
            unknowns = unknowns[3:]
        feet = unknowns.reshape(-1, 2)
        points = [[x, 0.0, z] for x, z in floor]
        for (x, z), height in zip(feet, self.heights, strict=True):
            points += [[x, 0.0, z], [x, height, z]]
        return np.array(points)

    def start(self, camera: Camera, size: tuple[int, int]) -> Floats:
        """Return the unknowns that put the marked feet and corners on the floor of a camera."""
        rays = camera.rays(np.concatenate([self.corners, self.people[:, :2]]), size)
        floor = rays[:, [0, 2]] * (camera.height / np.maximum(-rays[:, 1], 0.05))[:, None]
        values = []
        if len(self.corners):
            dx, dz = floor[1] - floor[0]
            values = [*floor[0], np.arctan2(dx, dz)]
            floor = floor[4:]
        return np.array([*values, *floor.ravel()])

    def _turn(self) -> float:
        """Return 1 if the corners go around clockwise in the picture, and so on the floor, else -1."""
        x, y = (self.corners - self.corners.mean(0)).T
        return float(np.sign((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()))


@dataclass(frozen=True)
class Calibration:
    """A fitted camera."""

    camera: Camera
    errors: dict[str, float]
    """Standard error of each unknown that was fitted."""
    residual: float
    """Root mean square distance between marked and projected points, pixels."""


def calibrate(marks: Marks, size: tuple[int, int], lens: str, known: dict[str, float]) -> Calibration:
    """Fit a camera to marked points.

    Args:
        marks: the points.
        size: width and height of the picture in pixels.
        lens: the camera's lens.
        known: values of those ``UNKNOWNS`` that are not to be fitted.

    Raises:
        UserError: the points do not determine the unknowns, or no camera fits.
    """
    free = [name for name in UNKNOWNS if name not in known]
    scene = (3 if len(marks.corners) else 0) + 2 * len(marks.people)
    measured, options = marks.pixels.size, ", ".join(f"--{name}" for name in free)
    if measured < len(free) + scene:
        raise UserError(
            f"the points determine {measured - scene} values of {', '.join(free)}; mark more points, or give "
            f"what you know ({options})"
        )
    low = np.array([_LOW[UNKNOWNS.index(name)] for name in free])
    high = np.array([_HIGH[UNKNOWNS.index(name)] for name in free])

    def camera_of(values: Floats) -> Camera:
        table = dict(zip(free, np.clip(values[: len(free)], low, high).tolist(), strict=True)) | known
        return Camera(lens=lens, **table)

    def residuals(values: Floats) -> Floats:
        camera = camera_of(values)
        if not covers(lens, float(np.radians(camera.fov or 0.0)), *size):
            return np.full(measured, 1e4)
        return (camera.project(marks.points(values[len(free) :]), size) - marks.pixels).ravel()

    ends = []
    for start in itertools.product(*(_STARTS[name] for name in free)):
        camera = camera_of(np.array(start))
        if covers(lens, float(np.radians(camera.fov or 0.0)), *size):
            ends.append(_minimise(residuals, np.array([*start, *marks.start(camera, size)])))
    costs = [float((residuals(end) ** 2).sum()) for end in ends]
    cost = min(costs, default=np.inf)
    if cost > measured * (_WORST * size[0]) ** 2:
        raise UserError("no camera fits these points; check their order, the lengths and the lens")
    values = ends[costs.index(cost)]
    spare = measured - len(values)
    pixel_error = max(CLICK_ERROR * size[0] / CLICK_WIDTH, np.sqrt(cost / spare) if spare else 0.0)
    errors = _standard_errors(_jacobian(residuals, values), pixel_error)[: len(free)]
    if not np.isfinite(errors).all():
        names = ", ".join(free)
        raise UserError(f"these points leave {names} open; mark others, or give what you know ({options})")
    camera = camera_of(values)
    rounded = {name: round(getattr(camera, name), 3) for name in UNKNOWNS}
    return Calibration(
        replace(camera, **rounded),
        dict(zip(free, errors.tolist(), strict=True)),
        np.sqrt(2 * cost / measured),
    )


def _minimise(residuals: Residuals, values: Floats) -> Floats:
    """Minimise the sum of squares by Levenberg-Marquardt, with Marquardt's scaling of the unknowns."""
    damping, errors = 1e-2, residuals(values)
    for _ in range(_STEPS):
        jacobian = _jacobian(residuals, values)
        normal = jacobian.T @ jacobian
        normal += damping * np.diag(np.maximum(np.diag(normal), 1e-9))
        step = np.linalg.lstsq(normal, -jacobian.T @ errors, rcond=None)[0]
        moved = residuals(values + step)
        if (moved**2).sum() < (errors**2).sum():
            gain = (errors**2).sum() - (moved**2).sum()
            values, errors, damping = values + step, moved, max(damping / 5, 1e-9)
            if gain < 1e-9 * (errors**2).sum() + 1e-12:
                break
        elif damping > 1e8:
            break
        else:
            damping *= 5
    return values


def _jacobian(residuals: Residuals, values: Floats) -> Floats:
    """Differentiate numerically by central differences."""
    columns = []
    for index in range(len(values)):
        step = np.zeros(len(values))
        step[index] = 1e-5 * max(1.0, abs(values[index]))
        columns.append((residuals(values + step) - residuals(values - step)) / (2 * step[index]))
    return np.stack(columns, 1)


def _standard_errors(jacobian: Floats, pixel_error: float) -> Floats:
    """Return the standard errors of all unknowns; infinite if the points do not determine one of them."""
    scale = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-12)
    normal = (jacobian / scale).T @ (jacobian / scale)
    if np.linalg.cond(normal) > _SINGULAR:
        return np.full(len(scale), np.inf)
    return pixel_error * np.sqrt(np.diag(np.linalg.inv(normal))) / scale


def summarise(result: Calibration) -> str:
    """Describe a calibrated camera in one line, with what is uncertain."""
    units, parts = {"height": "m"}, []
    for name in UNKNOWNS:
        error = result.errors.get(name)
        sure = "(given)" if error is None else f"+- {error:.2g}"
        parts.append(f"{name} {getattr(result.camera, name):.4g} {sure} {units.get(name, 'degrees')}")
    line = f"{', '.join(parts)}; the points fit within {result.residual:.1f} pixels (rms)"
    unsure = [name for name, error in result.errors.items() if error > _UNSURE[name]]
    if unsure:
        line += f"; unsure: {', '.join(unsure)}; mark more points, or give what you know"
    return line


def to_toml(result: Calibration) -> str:
    """Format a calibrated camera as camera.toml, with the standard errors as comments."""
    units = {"height": "metres above the floor", "fov": "degrees, horizontal"}
    lines = []
    for name in UNKNOWNS:
        error = result.errors.get(name)
        note = "given" if error is None else f"standard error {error:.2g}"
        lines.append(f"{name} = {getattr(result.camera, name)}  # {units.get(name, 'degrees')}; {note}")
    return "\n".join([*lines, f'lens = "{result.camera.lens}"', ""])
