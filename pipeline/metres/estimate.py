"""Distances and floor positions of detections, with the distance model in distances.json.

The model is a network of a thousand weights in numpy. Its input is ``features`` and the class, its output the
5 %, 50 % and 95 % quantile of the logarithm of the distance. ``fit`` makes the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from blender.contract import from_table
from pipeline.metres.camera import Camera, Floats
from pipeline.metres.shapes import Shapes, features, shapes_of

MODEL = Path(__file__).with_name("distances.json")
QUANTILES = (0.05, 0.5, 0.95)
"""The quantiles of the distance that the network returns."""
OTHER = ""
"""Name in the model's tables that stands for all classes that it does not know."""


@dataclass(frozen=True)
class Layer:
    """A linear layer."""

    weight: tuple[tuple[float, ...], ...]
    """(outputs, inputs)."""
    bias: tuple[float, ...]


@dataclass(frozen=True)
class DistanceModel:
    """The contents of distances.json. Tables by class have an entry ``OTHER``."""

    classes: tuple[str, ...]
    """Classes that the network knows: inputs of 0 or 1 after the features."""
    mean: tuple[float, ...]
    """Mean of each feature over the objects of the fit."""
    scale: tuple[float, ...]
    """Standard deviation of each feature."""
    layers: tuple[Layer, ...]
    """Linear layers, with SiLU between them."""
    margins: dict[str, tuple[float, float]]
    """Class -> what conformal calibration adds to each end of the interval of objects that are not cut by the
    picture's edge, and of cut ones, in logarithms."""
    tops: dict[str, float]
    """Class -> median height of the objects, metres."""
    sizes: dict[str, float]
    """Class -> median of log(distance) + log(root of the solid angle), for the analytic estimate that
    ``measure`` compares with."""

    def quantiles(self, inputs: Floats, names: Sequence[str]) -> Floats:
        """Return the logarithms (N, 3) of low end, median and high end of the distance, in metres.

        Args:
            inputs: (N, 14) ``features``.
            names: N class names.
        """
        one_hot = np.array([[name == known for known in self.classes] for name in names], float)
        values = np.column_stack([(inputs - self.mean) / self.scale, one_hot.reshape(len(names), -1)])
        for index, layer in enumerate(self.layers):
            values = values * (1 + np.tanh(values / 2)) / 2 if index else values  # SiLU without overflow
            values = values @ np.array(layer.weight).T + layer.bias
        known = [name if name in self.margins else OTHER for name in names]
        margins = np.array([self.margins[name] for name in known]).reshape(-1, 2)
        is_cut = inputs[:, -4:].any(1)
        margin = np.where(is_cut, margins[:, 1], margins[:, 0])
        low, median, high = np.sort(values, 1).T
        return np.column_stack([np.minimum(low - margin, median), median, np.maximum(high + margin, median)])


@cache
def load_distance_model(path: Path = MODEL) -> DistanceModel:
    """Read a distance model."""
    return from_table(DistanceModel, json.loads(path.read_bytes()), str(path))


def floor_positions(distances: Floats, shapes: Shapes, camera: Camera, tops: Floats) -> Floats:
    """Return the points (N, 2) on the floor, x right and z ahead of the camera, at distances (N,).

    A distance ends at the nearest point of an object. Below a higher camera that is its top.

    Args:
        distances: metres from the camera to the nearest point.
        shapes: the outlines of the objects.
        camera: the camera.
        tops: (N,) heights of the objects, metres.
    """
    middle = shapes.boxes[:, [0, 1]] / 2 + shapes.boxes[:, [2, 3]] / 2
    rays = camera.rays(np.where(shapes.cut[:, 3:] > 0, middle, shapes.foot_points), shapes.size)
    drop = np.minimum(np.maximum(camera.height - tops, 0), 0.95 * distances)
    along = np.sqrt(distances**2 - drop**2) / np.maximum(np.hypot(rays[:, 0], rays[:, 2]), 1e-9)
    return rays[:, [0, 2]] * along[:, None]


def measure_objects(
    results: list[dict[str, Any]], names: Sequence[str], camera: Camera, size: tuple[int, int]
) -> list[dict[str, float]]:
    """Estimate where the detections of one picture are.

    Args:
        results: N COCO results with masks.
        names: their N class names.
        camera: the camera of the picture.
        size: width and height of the picture in pixels.

    Returns:
        N tables, in metres: ``x`` (to the right) and ``z`` (ahead) on the floor, from below the camera;
        ``distance`` from the camera to the nearest point of the object, and ``distance_low`` and
        ``distance_high``, its 90 % interval.

    Raises:
        UserError: the picture does not fit the camera; see ``Camera.intrinsics``.
    """
    if not results:
        return []
    model, shapes = load_distance_model(), shapes_of(results, size)
    low, distance, high = np.exp(model.quantiles(features(shapes, camera), names)).T
    tops = np.array([model.tops.get(name, model.tops[OTHER]) for name in names])
    x, z = floor_positions(distance, shapes, camera, tops).T
    keys = ("x", "z", "distance", "distance_low", "distance_high")
    rows = np.column_stack([x, z, distance, low, high]).round(2).tolist()
    return [dict(zip(keys, row, strict=True)) for row in rows]
