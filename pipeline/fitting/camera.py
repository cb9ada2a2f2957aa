"""Ranges of a profile that follow from files and lines: size, JPEG quality, lens, pitch and roll."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.fitting.photographs import Photograph
from pipeline.fitting.ranges import QUANTILES, FittedRange, fit_spread

SAME_SHAPE = 0.03
"""Relative difference of the aspect ratio up to which the profile's size stays."""
WIDEST_SHAPE = 2.4
"""Largest aspect ratio of renders; panoramas are not of one camera with one lens."""
QUALITY_MARGIN, QUALITY_WIDTH = 4, 16
"""By how much the range of the JPEG quality is wider than the photographs' at each end; its least width."""
FOV_MARGIN = 4.0
"""Degrees by which the range of the field of view is wider than the photographs', at each end."""
STRAIGHT_FOV = 95.0
"""Field of view up to which a lens with EXIF data counts as straight, degrees."""
OTHER_LENSES = 0.2
"""Share of the renders that lenses of other kinds then keep, at most."""
UPRIGHT_ERROR = {"pitch": 1.5, "roll": 0.9}
"""Standard deviations of one measurement in degrees: of 13 rendered frames with a straight lens, whose pitch
was known. The spread of the photographs has this error, too."""
UPRIGHT_MARGIN = {"pitch": 2.0, "roll": 1.0}
"""Degrees by which a range is wider than the photographs', at each end."""
UPRIGHT_SHARE = 0.3
"""Smallest share of the photographs whose lines must be measurable."""
LEAST = 5
"""Smallest number of photographs that tell a range."""


def fit_size(photographs: Sequence[Photograph], size: tuple[int, int]) -> list[FittedRange]:
    """Fit width and height of the renders to the photographs' most frequent orientation and median shape.

    The number of pixels stays about that of the profile.
    """
    ratios = np.array([photo.width / photo.height for photo in photographs])
    wide = bool((ratios >= 1).sum() * 2 >= len(ratios))
    chosen = ratios[(ratios >= 1) == wide]
    ratio = min(max(float(np.median(chosen)), 1 / WIDEST_SHAPE), WIDEST_SHAPE)
    counts = Counter((photo.width, photo.height) for photo in photographs)
    shown = ", ".join(f"{w}x{h}" for (w, h), _ in counts.most_common(2)) + (
        ", ..." if len(counts) > 2 else ""
    )
    why = f"{len(chosen)} of {len(ratios)} photographs {'are not upright' if wide else 'are upright'}"
    old = size[0] / size[1]
    if abs(ratio / old - 1) <= SAME_SHAPE:
        new: tuple[int | None, int | None] = None, None
        why = "the photographs have the profile's shape"
    else:
        new = _even(math.sqrt(size[0] * size[1] * ratio)), _even(math.sqrt(size[0] * size[1] / ratio))
    renders = f"{size[0]}x{size[1]}"
    return [
        FittedRange("render", key, own, value, shown, renders, why)
        for key, own, value in zip(("width", "height"), size, new, strict=True)
    ]


def _even(value: float) -> int:
    return max(16, 8 * round(value / 8))


def effective_quality(photo: Photograph, area: int) -> float | None:
    """Return the JPEG quality with which a render of ``area`` pixels would have the photograph's artefacts.

    If a photograph is reduced by a factor f, the error of its coefficients falls by about f, as that of
    independent numbers that are averaged. The quality is that of the tables with steps so much smaller.
    None: no JPEG file.
    """
    if photo.quality is None:
        return None
    factor = max(1.0, math.sqrt(photo.width * photo.height / area))
    steps = (200 - 2 * photo.quality if photo.quality >= 50 else 5000 / photo.quality) / factor
    return (200 - steps) / 2 if steps <= 100 else 5000 / steps


def fit_jpeg(photographs: Sequence[Photograph], area: int, own: dict[str, Any]) -> list[FittedRange]:
    """Fit the JPEG quality and the share of frames with JPEG artefacts."""
    effective = [effective_quality(photo, area) for photo in photographs]
    known = [value for value in effective if value is not None]
    old = own["jpeg_quality"]
    if len(known) < LEAST:
        why = f"{len(known)} photographs are JPEG files"
        return [FittedRange("scene.sensor", "jpeg_quality", old, None, "", "", why)]
    low, high = np.quantile(known, QUANTILES)
    middle, half = (low + high) / 2, max((high - low) / 2 + QUALITY_MARGIN, QUALITY_WIDTH / 2)
    ends = [int(np.clip(round(middle + side * half), 1, 100)) for side in (-1, 1)]
    stored = np.quantile([photo.quality for photo in photographs if photo.quality is not None], QUANTILES)
    shown = f"{low:.0f} to {high:.0f} (files: {stored[0]:.0f} to {stored[1]:.0f})"
    why = f"{len(known)} photographs: tables of the files, at the size of the renders"
    return [FittedRange("scene.sensor", "jpeg_quality", old, ends, shown, f"{old[0]} to {old[1]}", why)]


def fit_resolution(photographs: Sequence[Photograph], area: int, own: dict[str, Any]) -> list[FittedRange]:
    """Fit the share of frames from a camera with fewer pixels than a render, and its columns."""
    shares = np.array([math.sqrt(photo.width * photo.height / area) for photo in photographs])
    small = shares[shares < 0.97]
    shown = f"{np.quantile(shares, 0.1):.2f} to {np.quantile(shares, 0.9):.2f} times the renders' width"
    if len(small) < LEAST:
        why = f"{len(small)} photographs have fewer pixels than a render"
        values: tuple[Any, Any] = (None, None)
    else:
        low, high = np.quantile(small, QUANTILES)
        ends = [round(float(np.clip(low - 0.05, 0.1, 1)), 2), round(float(np.clip(high + 0.05, 0.1, 1)), 2)]
        share = round(float(np.clip(len(small) / len(shares), own["low_resolution"] / 2, 0.95)), 2)
        why = f"{len(small)} of {len(shares)} photographs have fewer pixels than a render"
        values = share, ends
    return [
        FittedRange("scene.sensor", key, own[key], new, shown, "", why)
        for key, new in zip(("low_resolution", "resolution"), values, strict=True)
    ]


def fit_lenses(photographs: Sequence[Photograph], lenses: dict[str, Any]) -> list[FittedRange]:
    """Fit the straight lens's field of view to the EXIF data; reduce other lenses if all are straight."""
    fovs = [photo.fov for photo in photographs if photo.fov is not None]
    table = "scene.camera.lenses"
    straight = lenses.get("perspective")
    if len(fovs) < LEAST or straight is None or not straight["weight"]:
        why = f"{len(fovs)} photographs have a focal length for 35 mm film"
        why = why if straight and straight["weight"] else "the profile has no straight lens"
        old = straight["fov"] if straight else None
        return [FittedRange(f"{table}.perspective", "fov", old, None, "", "", why)]
    low, high = np.quantile(fovs, QUANTILES)
    ends = [round(float(np.clip(low - FOV_MARGIN, 5, 120))), round(float(np.clip(high + FOV_MARGIN, 6, 120)))]
    why = f"{len(fovs)} photographs: focal length for 35 mm film in the EXIF data"
    shown = f"{low:.0f} to {high:.0f} degrees"
    rows = [FittedRange(f"{table}.perspective", "fov", straight["fov"], ends, shown, "", why)]
    others = {
        name: lens["weight"] for name, lens in lenses.items() if name != "perspective" and lens["weight"]
    }
    allowed = straight["weight"] * OTHER_LENSES / (1 - OTHER_LENSES)
    if high <= STRAIGHT_FOV and len(fovs) >= 0.8 * len(photographs) and sum(others.values()) > allowed:
        factor = allowed / sum(others.values())
        rows += [
            FittedRange(f"{table}.{name}", "weight", weight, round(weight * factor, 3), shown, "", why)
            for name, weight in others.items()
        ]
    return rows


def fit_mounts(photographs: Sequence[Photograph], camera: dict[str, Any]) -> list[FittedRange]:
    """Fit pitch and roll of all mounts that are centred on the horizon to the photographs' upright lines.

    Without EXIF data the field of view is the middle of the profile's straight lens.
    """
    mounts = {
        name: mount for name, mount in camera["mounts"].items() if mount["floor"] is None and mount["weight"]
    }
    lens = camera["lenses"].get("perspective")
    assumed = float(np.mean(lens["fov"])) if lens else 75.0
    told = [(photo, photo.uprights) for photo in photographs if photo.uprights is not None]
    why = f"{len(told)} photographs have enough upright lines"
    measured = {"pitch": list[float](), "roll": list[float]()}
    for photo, uprights in told:
        focal = 0.5 / math.tan(math.radians(photo.fov or assumed) / 2)
        measured["pitch"].append(math.degrees(math.atan(uprights.convergence * focal)))
        measured["roll"].append(uprights.roll)
    enough = len(told) >= max(LEAST, UPRIGHT_SHARE * len(photographs))
    without = sum(photo.fov is None for photo, _ in told)
    note = f" ({without} with an assumed field of view of {assumed:.0f} degrees)" if without else ""
    rows = []
    for name, mount in mounts.items():
        for key, values in measured.items():
            table, old = f"scene.camera.mounts.{_quote(name)}", mount[key]
            if not enough:
                rows.append(FittedRange(table, key, old, None, "", "", why))
                continue
            low, high = fit_spread(values, UPRIGHT_ERROR[key])
            ends = [round(low - UPRIGHT_MARGIN[key], 1), round(high + UPRIGHT_MARGIN[key], 1)]
            ends = [float(np.clip(end, -60, 60)) for end in ends]
            shown = " to ".join(f"{end:.1f}" for end in np.quantile(values, QUANTILES)) + " degrees"
            rows.append(FittedRange(table, key, old, ends, shown, "", why + (note if key == "pitch" else "")))
    return rows


def _quote(name: str) -> str:
    """Return a key of TOML: bare, or in quotes."""
    bare = name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
    return name if bare else json.dumps(name, ensure_ascii=False)
