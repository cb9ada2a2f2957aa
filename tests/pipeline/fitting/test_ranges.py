"""Settings from statistics: the linear model, ranges from many estimates, and what files and lines tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from blender.config.capture import CameraConfig, SensorConfig
from blender.config.profile import RenderConfig
from blender.contract import from_table
from pipeline.fitting.blur import fit_blur
from pipeline.fitting.calibration import are_familiar, calibrate
from pipeline.fitting.camera import fit_jpeg, fit_lenses, fit_mounts, fit_resolution, fit_size
from pipeline.fitting.fit import DEFAULT_SIZE
from pipeline.fitting.photographs import Photograph
from pipeline.fitting.ranges import (
    NOISE,
    SETTINGS,
    SHARPNESS,
    STRANGE,
    fit_range,
    fit_settings,
    fit_spread,
    search_ranges,
)
from pipeline.fitting.renders import Exposure
from pipeline.fitting.verticals import Uprights

SENSOR = dataclasses.asdict(SensorConfig())
CAMERA = dataclasses.asdict(CameraConfig())
AREA = 640 * 480


def photograph(**fields: Any) -> Photograph:
    """Return a photograph of 640x480 pixels about which nothing is known but ``fields``."""
    return Photograph(**{"width": 640, "height": 480, "quality": None, "fov": None, "uprights": None,
                         "statistics": {}} | fields)  # fmt: skip


def exposures(count: int) -> tuple[list[dict[str, float]], np.ndarray, np.ndarray]:
    """Return statistics of which "a" follows a setting, with an error of the frame and one of its own."""
    rng = np.random.default_rng(0)
    frames, settings = np.repeat(np.arange(count), 10), rng.uniform(-1, 1, 10 * count)
    scene, own = rng.normal(0, 0.3, count)[frames], rng.normal(0, 0.2, 10 * count)
    rows = [
        {"a": a, "b": b}
        for a, b in zip(2 * (settings + scene + own) + 5, rng.normal(size=len(own)), strict=True)
    ]
    return rows, settings, frames


def test_a_model_knows_its_errors_and_does_not_shrink_distances() -> None:
    rows, settings, frames = exposures(60)
    model = calibrate(rows, settings, frames, ("a", "b"))
    assert model is not None
    assert model.explained == pytest.approx(0.333 / (0.333 + 0.13), abs=0.08)
    assert model.frame_error == pytest.approx(0.3, abs=0.06)
    assert model.error == pytest.approx(0.2, abs=0.04)
    far = settings > 0.8
    estimates = model.estimate([row for row, chosen in zip(rows, far, strict=True) if chosen])
    assert estimates.mean() == pytest.approx(0.9, abs=0.1)
    beyond = model.estimate([{"a": 1000.0, "b": 0.0}])
    assert beyond < 3, "no extrapolation beyond the exposures"


def test_a_statistic_that_does_not_follow_explains_nothing() -> None:
    rows, settings, frames = exposures(60)
    model = calibrate(rows, settings, frames, ("b",))
    assert model is None or model.explained < 0.1
    assert calibrate(rows, np.zeros_like(settings), frames, ("a",)) is None, "the setting does not vary"


def test_pictures_that_no_exposure_resembles_are_not_familiar() -> None:
    rng = np.random.default_rng(4)
    known = [{"a": a, "b": a + 0.1 * e} for a, e in rng.normal(size=(300, 2))]
    assert are_familiar([{"a": a, "b": a} for a in (-0.5, 0.2, 0.9)], known, ("a", "b"))
    assert not are_familiar([{"a": 4.0, "b": 4.0}] * 3, known, ("a", "b"))
    assert not are_familiar([{"a": 1.0, "b": -1.0}] * 3, known, ("a", "b")), "each alone would be usual"


def test_more_photographs_narrow_the_margin_down_to_the_error_of_the_hall() -> None:
    rows, settings, frames = exposures(60)
    model = calibrate(rows, settings, frames, ("a",))
    assert model is not None
    rng = np.random.default_rng(1)
    margins = []
    for count in (5, 50, 5000):
        inner, outer = fit_range(rng.normal(0, 0.4, count), model, 2.0)
        margins.append(inner[0] - outer[0])
        assert outer[1] - inner[1] == pytest.approx(margins[-1])
    assert margins[0] > margins[1] > margins[2] > 0.5 * model.frame_error


def test_a_range_has_the_spread_of_the_quantity() -> None:
    rng = np.random.default_rng(2)
    low, high = fit_spread(rng.normal(1, 0.3, 4000) + rng.normal(0, 0.1, 4000), 0.1)
    assert (low, high) == pytest.approx((1 - 0.385, 1 + 0.385), abs=0.04)
    assert fit_spread(rng.normal(0, 0.1, 400), 0.5) == pytest.approx((0, 0), abs=0.02)


def test_exposures_are_drawn_from_a_wider_range_within_the_limits_of_the_profile() -> None:
    searched = search_ranges(SENSOR)
    for setting in SETTINGS:
        (low, high), (first, last) = SENSOR[setting.key], searched[setting.key]
        assert first <= low and high < last, setting.key
        from_table(SensorConfig, {setting.key: [first, last]}, "limits of the key")
    assert searched["saturation"][0] > 0 == searched["noise"][0]
    far = search_ranges(SENSOR | {"exposure": (8.0, 9.0)})["exposure"]
    assert far[0] <= 8 and far[1] == 9, "a profile's own values stay in the search"


def test_photographs_beyond_all_exposures_keep_the_value() -> None:
    rng = np.random.default_rng(5)
    names = sorted({name for setting in SETTINGS for name in (*setting.statistics, setting.headline)})

    def statistics(noise: float) -> dict[str, float]:
        return {name: 100 * noise + rng.normal(0, 0.05) for name in names}

    shown = []
    for number, noise in enumerate(rng.uniform(0.0, 0.03, 200)):
        drawn = {setting.key: rng.uniform() for setting in SETTINGS} | {"noise": noise}
        shown.append(Exposure(number // 10, drawn, statistics(noise)))
    for noise, told in ((0.02, True), (-0.01, False), (0.06, False)):
        rows = fit_settings(SENSOR, [statistics(noise) for _ in range(30)], [statistics(0.01)] * 5, shown)
        (row,) = (row for row in rows if row.key == "noise")
        assert (row.new is not None) == told, (noise, row)
        assert told or row.why == STRANGE
        assert all(other.new is None for other in rows if other.key != "noise"), "nothing depends on them"


def test_blur_is_told_from_renders_that_show_it() -> None:
    rng = np.random.default_rng(3)

    def statistics(blurred: bool) -> dict[str, float]:
        return {name: rng.normal(2.0 * blurred, 0.5) for name in (*SHARPNESS, *NOISE)}

    settings = [{"defocus_radius": 0.002 * (i % 2), "motion_length": 0.0} for i in range(160)]
    shown = [Exposure(i // 8, table, statistics(i % 2 == 1)) for i, table in enumerate(settings)]
    photographs = [statistics(i % 10 == 0) for i in range(300)]
    defocus, motion = fit_blur(SENSOR, photographs, shown)
    before = 1 - (1 - SENSOR["defocus"]) * (1 - SENSOR["motion_blur"])
    assert (defocus.new + motion.new) / (SENSOR["defocus"] + SENSOR["motion_blur"]) == pytest.approx(
        0.1 / before, abs=0.05
    )
    softer = [statistics(True) for _ in range(300)]
    assert [row.new for row in fit_blur(SENSOR, softer, shown)] == [None, None], "all of them: not blur"
    same = [dataclasses.replace(item, statistics=statistics(False)) for item in shown]
    assert [row.new for row in fit_blur(SENSOR, photographs, same)] == [None, None]


def test_size_follows_the_most_frequent_orientation() -> None:
    upright, wide = photograph(width=3000, height=4000), photograph(width=1920, height=1080)
    rows = fit_size([wide] * 7 + [upright] * 3, (640, 480))
    assert [row.new for row in rows] == [736, 416]
    assert [row.new for row in fit_size([upright] * 7 + [wide] * 3, (640, 480))] == [480, 640]
    assert [row.new for row in fit_size([photograph(width=4000, height=3010)] * 9, (640, 480))] == [
        None,
        None,
    ]
    assert [row.new for row in fit_size([photograph(width=9000, height=900)] * 9, (640, 480))] == [856, 360]


def test_jpeg_quality_and_resolution_follow_from_the_files() -> None:
    files = [photograph(quality=quality) for quality in (60, 60, 60, 62, 64)]
    assert [row.new for row in fit_jpeg(files, AREA, SENSOR)] == [[54, 70]]
    assert [row.new for row in fit_jpeg([photograph()] * 9, AREA, SENSOR)] == [None]
    small = [photograph(width=320, height=240)] * 6 + [photograph(width=1920, height=1440)] * 2
    low_resolution, resolution = fit_resolution(small, AREA, SENSOR)
    assert (low_resolution.new, resolution.new) == (0.75, [0.45, 0.55])
    assert [row.new for row in fit_resolution([photograph()] * 9, AREA, SENSOR)] == [None, None]


def test_lenses_follow_the_focal_length_of_the_files() -> None:
    rows = fit_lenses([photograph(fov=66.0)] * 10, CAMERA["lenses"])
    new = {(row.table.rpartition(".")[2], row.key): row.new for row in rows}
    assert new["perspective", "fov"] == [62, 70]
    others = sum(value for (_, key), value in new.items() if key == "weight")
    assert others == pytest.approx(0.25 * CAMERA["lenses"]["perspective"]["weight"], abs=0.01)
    assert [row.new for row in fit_lenses([photograph()] * 10, CAMERA["lenses"])] == [None]
    mixed = [photograph(fov=66.0)] * 10 + [photograph()] * 10
    assert [row.key for row in fit_lenses(mixed, CAMERA["lenses"])] == ["fov"], "others may have another lens"


def test_mounts_follow_the_upright_lines() -> None:
    focal = 0.5 / np.tan(np.radians(70) / 2)
    pitches = np.linspace(-8, -4, 9)
    photos = [photograph(fov=70.0, uprights=Uprights(np.tan(np.radians(p)) / focal, 0.5)) for p in pitches]
    rows = fit_mounts(photos, CAMERA)
    assert {row.table for row in rows} == {"scene.camera.mounts.vehicle", "scene.camera.mounts.hand"}
    low, high = rows[0].new
    assert rows[0].key == "pitch" and -11 < low < -8 and -4 < high < -1
    assert [row.new for row in fit_mounts([photograph()] * 9, CAMERA)] == [None] * 4


def test_the_default_size_is_the_renderer_s() -> None:
    assert (RenderConfig().width, RenderConfig().height) == DEFAULT_SIZE
