"""Points in the image, and the floor between camera and object."""

from __future__ import annotations

import numpy as np
import pytest

from blender.config.profile import RenderConfig
from blender.scene.visibility import (
    VIEW_START,
    draw_point_in_view,
    horizontal_distance,
    in_image,
    is_cut,
    view_area,
)
from blender.spec import CameraSpec

CAMERA = CameraSpec((1.0, 2.0, 1.5), 0.0, 0.0, 0.0, float(np.radians(90)))
RENDER = RenderConfig(width=200, height=100)


def test_points_ahead_are_in_the_image_and_points_behind_are_not() -> None:
    assert in_image(CAMERA, RENDER, (5.0, 2.0, 1.5))
    assert not in_image(CAMERA, RENDER, (-3.0, 2.0, 1.5))
    assert not in_image(CAMERA, RENDER, (2.0, 9.0, 1.5))


def test_margin_includes_points_just_outside_the_image() -> None:
    beside = (5.0, 2.0 + 4.0 * 1.2, 1.5)  # 0.6 widths off the middle
    assert not in_image(CAMERA, RENDER, beside)
    assert in_image(CAMERA, RENDER, beside, margin=0.2)


def test_drawn_points_have_the_distance_and_are_about_in_view() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = draw_point_in_view(CAMERA, 6.0, rng)
        assert horizontal_distance(CAMERA, point) == pytest.approx(6.0)
        assert in_image(CAMERA, RENDER, (point[0], point[1], 1.5), margin=0.1)


def test_view_area_reaches_from_the_camera_to_the_outermost_corners() -> None:
    corners = np.array([[5.0, 1.0], [6.0, 1.0], [6.0, 3.0], [5.0, 3.0]])
    area = view_area(CAMERA, corners)
    assert area[1:3] == pytest.approx(np.array([[5.0, 1.0], [5.0, 3.0]]))
    eye = np.array(CAMERA.position[:2])
    assert np.linalg.norm(area[[0, 3]] - eye, axis=1) == pytest.approx([VIEW_START, VIEW_START])


PERSON, TALL = (-0.2, 0.2, -0.25, 0.25), 1.75


@pytest.mark.parametrize(
    ("position", "cut"),
    [
        ((2.0, 2.0, 0.0), True),  # the legs are below the image
        ((12.0, 2.0, 0.0), False),  # all of it is in the image
        ((1.5, 8.0, 0.0), False),  # nothing is
        ((6.0, 7.1, 0.0), True),  # across the left edge
    ],
)
def test_an_object_is_cut_if_a_part_is_in_the_image(position: tuple[float, float, float], cut: bool) -> None:
    assert is_cut(CAMERA, RENDER, PERSON, TALL, position, 0.0) == cut
