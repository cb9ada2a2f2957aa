"""Calibration from a rectangle on the floor and from people of known height."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from blender.contract import UserError
from pipeline.cli import main
from pipeline.metres.calibrate import UNKNOWNS, Calibration, Marks, calibrate
from pipeline.metres.camera import Camera, read_camera

SIZE = (1280, 720)
CAMERA = Camera(1.6, -10.0, 2.0, fov=75.0)
PEOPLE = ((-1.0, 3.0, 1.75), (1.0, 5.0, 1.75), (0.0, 8.0, 1.75), (1.5, 4.0, 1.7))
FLOOR = np.array([[-1.6, 3.9], [-1.0, 5.8], [1.85, 4.9], [1.25, 3.0]])
"""Corners of a rectangle on the floor, x and z: its sides are 1.99 and 2.99 metres."""


def marks(camera: Camera = CAMERA, noise: float = 0.0, seed: int = 0, turned: bool = False) -> Marks:
    """Mark the rectangle, in either order around it, with errors of ``noise`` pixels."""
    floor = FLOOR[::-1] if turned else FLOOR
    pixels = camera.project(np.insert(floor, 1, 0.0, axis=1), SIZE)
    sides = (float(np.hypot(*(floor[1] - floor[0]))), float(np.hypot(*(floor[2] - floor[1]))))
    error = noise * np.random.default_rng(seed).normal(size=(4, 2))
    return Marks(pixels + error, sides, np.zeros((0, 4)), np.zeros(0))


def people_marks(count: int, camera: Camera = CAMERA) -> Marks:
    rows = [camera.project(np.array([[x, 0, z], [x, h, z]]), SIZE).ravel() for x, z, h in PEOPLE[:count]]
    return Marks(np.zeros((0, 2)), (1.0, 1.0), np.array(rows), np.array([h for *_, h in PEOPLE[:count]]))


def values(result: Calibration) -> list[float]:
    return [getattr(result.camera, name) for name in UNKNOWNS]


@pytest.mark.parametrize("turned", [False, True])
def test_a_rectangle_on_the_floor_determines_the_camera(turned: bool) -> None:
    result = calibrate(marks(turned=turned), SIZE, "perspective", {})
    assert values(result) == pytest.approx([1.6, -10, 2, 75], abs=0.01)


def test_people_of_known_height_determine_the_camera() -> None:
    result = calibrate(people_marks(4), SIZE, "perspective", {})
    assert values(result) == pytest.approx([1.6, -10, 2, 75], abs=0.01)


def test_a_steep_fisheye_is_calibrated_with_its_own_lens() -> None:
    camera = Camera(4.0, -35.0, -3.0, "equidistant", fov=100.0)
    result = calibrate(marks(camera), SIZE, "equidistant", {})
    assert values(result) == pytest.approx([4, -35, -3, 100], abs=0.02)


def test_one_person_determines_height_and_pitch_if_the_rest_is_known() -> None:
    result = calibrate(people_marks(1), SIZE, "perspective", {"fov": 75.0, "roll": 2.0})
    assert values(result) == pytest.approx([1.6, -10, 2, 75], abs=0.01)
    assert set(result.errors) == {"height", "pitch"}
    with pytest.raises(UserError, match=r"determine 2 values of height, pitch, roll, fov; .*--height"):
        calibrate(people_marks(1), SIZE, "perspective", {})


def test_standard_errors_are_as_large_as_the_errors() -> None:
    noise = 2.56  # CLICK_ERROR in this picture
    results = [calibrate(marks(noise=noise, seed=seed), SIZE, "perspective", {}) for seed in range(12)]
    z = [
        (v - t) / r.errors[n]
        for r in results
        for v, t, n in zip(values(r), (1.6, -10, 2, 75), UNKNOWNS, strict=True)
    ]
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.6


def test_points_that_no_camera_fits_are_refused() -> None:
    crossed = marks()
    wrong = Marks(crossed.corners[[0, 2, 1, 3]], crossed.sides, crossed.people, crossed.heights)
    with pytest.raises(UserError, match=r"no camera fits these points|leave .* open"):
        calibrate(wrong, SIZE, "perspective", {})


def run(folder: Path, *words: str) -> Result:
    picture = folder / "hall.png"
    Image.new("RGB", SIZE).save(picture)
    return CliRunner().invoke(main, ["calibrate", str(picture), "--out", str(folder / "camera.toml"), *words])


def test_the_command_writes_a_camera_file_and_says_how_sure_it_is(tmp_path: Path) -> None:
    marked = marks()
    corners = ",".join(f"{value:.2f}" for value in marked.corners.ravel())
    width, length = marked.sides
    done = run(tmp_path, "--rectangle", corners, "--size", f"{width:.4f}x{length:.4f}")
    assert done.exit_code == 0, done.output
    assert "height 1.6 +- 0.0" in done.output and "pixels (rms)" in done.output
    camera = read_camera(tmp_path / "camera.toml")
    assert [camera.height, camera.pitch, camera.fov] == pytest.approx([1.6, -10, 75], abs=0.05)
    person = ",".join(f"{value:.2f}" for value in people_marks(1).people[0])
    done = run(tmp_path, "--person", f"{person},1.75", "--fov", "75", "--roll", "2")
    assert done.exit_code == 0 and "fov 75 (given)" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "mark a --rectangle with its --size, or a --person"),
        (["--rectangle", "1,2,3,4,5,6,7,8"], "--rectangle and --size must be given together"),
        (["--rectangle", "1,2,3", "--size", "2x3"], "--rectangle must be 8 numbers separated by ','"),
        (["--rectangle", "1,2,3,4,5,6,7,8", "--size", "2"], "--size must be 2 numbers separated by 'x'"),
        (["--person", "1,2,3,nan"], "--person must be 4 numbers"),
        (["--person", "10,500,10,2000"], "a point is outside the picture, which has 1280 x 720 pixels"),
    ],
)
def test_mistakes_in_the_options_are_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    done = run(tmp_path, *words)
    assert done.exit_code == 2 and message in done.output
    assert not (tmp_path / "camera.toml").exists()
