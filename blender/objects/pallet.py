"""EUR pallet (EN 13698-1: 1200 x 800 x 144 mm), empty, stacked, or with a load of cartons.

Origin: on the floor below the pallet's middle; its long side lies along x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Material, Part, box, boxes
from blender.objects import Assets
from blender.ranges import chance, check_names, integer, pick, uniform

LENGTH, WIDTH, HEIGHT = 1.2, 0.8, 0.144
_BOARD = 0.022
_CARD = ((0.42, 0.27, 0.14), (0.38, 0.25, 0.14), (0.48, 0.34, 0.20), (0.33, 0.22, 0.13))
_GOODS = (
    (0.5, 0.5, 0.48),
    (0.05, 0.12, 0.3),
    (0.35, 0.05, 0.04),
    (0.1, 0.22, 0.1),
    (0.03, 0.03, 0.035),
    (0.55, 0.45, 0.1),
)


@dataclass(frozen=True)
class Ranges:
    """What varies from pallet to pallet."""

    load: dict[str, float]
    """Weight of each load: "none", "stack" (of empty pallets), "cartons", "crate", "goods"."""
    stack: tuple[int, int] = (2, 12)
    """Empty pallets in a stack."""
    load_height: tuple[float, float] = (0.3, 1.5)
    """Metres above the pallet."""
    wrapped: float = 0.3
    """Share of carton and goods loads in shrink wrap."""
    wear: tuple[float, float] = (0.2, 0.9)

    def __post_init__(self) -> None:
        check_names("load", self.load, ("none", "stack", "cartons", "crate", "goods"))


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one pallet's parameters (JSON values)."""
    load = pick(ranges.load, rng)
    return {
        "load": load,
        "stack": integer(ranges.stack, rng) if load == "stack" else 1,
        "load_height": uniform(ranges.load_height, rng),
        "wrapped": load in ("cartons", "goods") and chance(ranges.wrapped, rng),
        "wear": uniform(ranges.wear, rng),
        "seed": integer((0, 2**31 - 1), rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres."""
    return (-LENGTH / 2, LENGTH / 2, -WIDTH / 2, WIDTH / 2)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The pallet's and its load's meshes."""
    rng = np.random.default_rng(params["seed"])
    parts: list[Part] = []
    for level in range(params["stack"]):
        shift = rng.normal(0, 0.008, 2) if level else np.zeros(2)
        parts.append(
            pallet(rng, params["wear"]).moved((shift[0], shift[1], level * HEIGHT), rng.normal(0, 0.008))
        )
    if params["load"] in ("cartons", "goods"):
        parts += carton_stack(rng, params["load_height"], params["load"] == "goods", params["wear"])
    if params["load"] == "crate":
        parts += crate(rng, params["load_height"], params["wear"])
    if params["wrapped"]:
        low, high = (
            np.array([-0.61, -0.41, 0.13]),
            np.array([0.61, 0.41, HEIGHT + params["load_height"] + 0.01]),
        )
        parts.append(box(low.tolist(), high.tolist(), Material("film", (0.75, 0.77, 0.8), 0.0)))
    return parts


def pallet(rng: np.random.Generator, wear: float) -> Part:
    """One EUR pallet: 5 top boards, 3 stringer boards, 9 blocks, 3 bottom boards."""
    centres: list[tuple[float, float, float]] = []
    sizes: list[tuple[float, float, float]] = []
    widths = (0.145, 0.10, 0.145, 0.10, 0.145)
    rows = np.array([-0.3275, -0.18, 0.0, 0.18, 0.3275])
    for y, w in zip(rows, widths, strict=True):
        centres.append((0, y, HEIGHT - _BOARD / 2))
        sizes.append((LENGTH, w, _BOARD))
    for x in (-0.5275, 0, 0.5275):
        centres.append((x, 0, HEIGHT - 1.5 * _BOARD))
        sizes.append((0.145, WIDTH, _BOARD))
        for y, w in zip((-0.35, 0, 0.35), (0.1, 0.145, 0.1), strict=True):
            centres.append((x, y, 0.061))
            sizes.append((0.145, w, 0.078))
    for y, w in zip((-0.35, 0, 0.35), (0.1, 0.145, 0.1), strict=True):
        centres.append((0, y, 0.011))
        sizes.append((LENGTH, w, _BOARD))
    tone = rng.uniform(0.55, 1.25) * np.array([1.0, 1.0 - 0.1 * rng.random(), 1.0 - 0.15 * rng.random()])
    tint = tone * rng.uniform(0.8, 1.15, (len(centres), 1))
    return boxes(centres, sizes, Material("wood", (0.42, 0.29, 0.17), round(wear, 2)), tint)


def carton_stack(rng: np.random.Generator, height: float, goods: bool, wear: float) -> list[Part]:
    """Layers of equal cartons, some missing on top, with tape and labels."""
    nx, ny = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    size = np.array([1.18 / nx, 0.78 / ny, 0.0])
    layers = max(1, round(height / rng.uniform(0.16, 0.42)))
    size[2] = height / layers
    x, y, z = np.meshgrid(np.arange(nx), np.arange(ny), np.arange(layers), indexing="ij")
    grid = np.stack([x.ravel(), y.ravel(), z.ravel()], 1)
    keep = (grid[:, 2] < layers - 1) | (rng.random(len(grid)) < 0.75) | (layers == 1)
    grid = grid[keep]
    centres = (grid + 0.5) * size - [0.59, 0.39, 0] + [0, 0, HEIGHT]
    centres[:, :2] += rng.normal(0, 0.006, (len(grid), 2))
    palette = _GOODS if goods else _CARD
    base = np.array(palette[int(rng.integers(len(palette)))])
    tint = base * rng.uniform(0.85, 1.12, (len(grid), 1)) / 0.5
    kind = "plastic" if goods and rng.random() < 0.5 else "cardboard"
    body = boxes(
        centres,
        size - 0.004,
        Material(kind, (0.5, 0.5, 0.5), round(wear * 0.6, 2)),
        tint,
        rng.normal(0, 0.012, len(grid)),
    )
    return [body, *_tape_and_labels(rng, centres, size)]


def _tape_and_labels(rng: np.random.Generator, centres: np.ndarray, size: np.ndarray) -> list[Part]:
    parts = []
    if rng.random() < 0.6:
        tape = size * [1.0, 0.0, 1.0] + [0.002, 0.05, 0.002]
        parts.append(boxes(centres, tape, Material("plastic", (0.36, 0.25, 0.13), 0.1)))
    labelled = rng.random(len(centres)) < 0.5
    if labelled.any():
        for axis in (0, 1):
            plate = np.array([0.10, 0.10, 0.07])
            plate[axis] = size[axis] + 0.004
            plate = np.minimum(plate, np.where(np.arange(3) == axis, 9.0, size * 0.6))
            spot = centres[labelled] + [0.0, 0.0, -0.1 * size[2]]
            parts.append(boxes(spot, plate, Material("paper", (0.75, 0.75, 0.73), 0.1)))
    return parts


def crate(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Wooden pallet collars stacked on the pallet."""
    rings = max(1, round(height / 0.2))
    centres: list[tuple[float, float, float]] = []
    sizes: list[tuple[float, float, float]] = []
    for ring in range(rings):
        z = HEIGHT + 0.2 * ring + 0.1
        for y in (-0.39, 0.39):
            centres.append((0, y, z))
            sizes.append((1.2, 0.02, 0.19))
        for x in (-0.59, 0.59):
            centres.append((x, 0, z))
            sizes.append((0.02, 0.76, 0.19))
    tint = rng.uniform(0.75, 1.15, (len(centres), 1)) * np.ones(3)
    wood = Material("wood", (0.45, 0.32, 0.19), round(wear, 2))
    steel = Material("galvanised", (0.5, 0.5, 0.5), 0.3)
    hinges = [
        (x, y, HEIGHT + 0.2 * r + 0.1) for r in range(rings) for x in (-0.58, 0.58) for y in (-0.395, 0.395)
    ]
    lid = HEIGHT + 0.2 * rings
    parts = [boxes(centres, sizes, wood, tint), boxes(hinges, (0.06, 0.02, 0.14), steel)]
    if rng.random() < 0.5:
        parts.append(box((-0.6, -0.4, lid), (0.6, 0.4, lid + 0.015), wood))
    return parts
