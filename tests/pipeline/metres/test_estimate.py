"""Distances and floor positions of detections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.metres import fit as fitting
from pipeline.metres.camera import Camera
from pipeline.metres.estimate import measure_objects
from pipeline.metres.shapes import features, shapes_of
from tests.pipeline.metres.boards import SIZE, board

CAMERA = Camera(1.5, -8.0, 1.0, fov=75.0)


@pytest.mark.parametrize("name", ["pedestrian", "a class of the user"])
def test_a_board_of_a_persons_size_is_at_its_distance(name: str) -> None:
    places = [(0.0, 3.0), (1.0, 4.5), (-1.5, 6.0)]
    fields = measure_objects([board(CAMERA, *place) for place in places], [name] * 3, CAMERA, SIZE)
    for (x, z), found in zip(places, fields, strict=True):
        assert found["distance"] == pytest.approx(np.hypot(x, z), rel=0.2)
        assert found["distance_low"] <= found["distance"] <= found["distance_high"]
        assert np.hypot(found["x"], found["z"]) == pytest.approx(found["distance"], rel=0.05)
        assert np.arctan2(found["x"], found["z"]) == pytest.approx(np.arctan2(x, z), abs=0.1)


def test_hidden_feet_are_less_certain_than_seen_ones() -> None:
    seen, hidden = measure_objects(
        [board(CAMERA, 0, 4), board(CAMERA, 0, 4, hidden=0.9)], ["pedestrian"] * 2, CAMERA, SIZE
    )
    assert hidden["distance"] == pytest.approx(4, rel=0.35)
    widths = [
        (found["distance_high"] - found["distance_low"]) / found["distance"] for found in (seen, hidden)
    ]
    assert widths[1] > widths[0]


def test_a_picture_of_another_size_gives_the_same_distances() -> None:
    entry = board(CAMERA, 0.5, 4)
    mask = shapes_of([entry], SIZE)
    twice = mask.boxes * 2
    larger = type(mask)(twice, mask.feet * 2, mask.fills, (SIZE[0] * 2, SIZE[1] * 2))
    assert features(larger, CAMERA) == pytest.approx(features(mask, CAMERA), abs=1e-6)


def test_below_a_high_camera_the_floor_position_is_nearer_than_the_distance() -> None:
    camera = Camera(5.0, -40.0, fov=75.0)
    (found,) = measure_objects([board(camera, 0, 5)], ["pedestrian"], camera, SIZE)
    assert found["distance"] == pytest.approx(np.hypot(5, 3.25), rel=0.2)
    assert found["z"] < found["distance"] - 0.5


def test_an_empty_mask_and_no_detections_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_objects([], [], CAMERA, SIZE) == []
    empty = board(CAMERA, 0, 4) | {"segmentation": {"size": [480, 640], "counts": [480 * 640]}}
    (found,) = measure_objects([empty], ["pedestrian"], CAMERA, SIZE)
    assert all(np.isfinite(value) for value in found.values())


def test_a_fit_learns_distances_and_its_intervals_cover_new_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "EPOCHS", 40)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(400):
        camera = Camera(rng.uniform(1, 2), rng.uniform(-12, -2), 0.0, fov=75.0)
        pose: dict[str, Any] = {"position": [0, 0, camera.height], "lens": "perspective"}
        pose |= {key: float(np.radians(getattr(camera, key))) for key in ("pitch", "roll", "fov")}
        images.append({"id": number, "width": SIZE[0], "height": SIZE[1], "camera": pose})
        for _ in range(2):
            z = rng.uniform(2.5, 8)
            entry = board(camera, rng.uniform(-0.4, 0.4) * z, z, height=1.9, hidden=rng.choice([0, 0, 0.8]))
            annotations.append(entry | {"image_id": number, "category_id": 1})
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "board"}]}
    objects = fitting.rendered_objects(fitting.select_frames(dataset, "0:300"), copies=1)
    model = fitting.fit(objects)
    new = fitting.rendered_objects(fitting.select_frames(dataset, "300:"))
    low, median, high = model.quantiles(new.inputs[0], new.names).T
    assert np.median(np.abs(np.exp(median - new.logs) - 1)) < 0.05
    assert ((low <= new.logs) & (new.logs <= high)).mean() >= 0.8
    assert model.tops["board"] == pytest.approx(1.9, abs=0.15)
