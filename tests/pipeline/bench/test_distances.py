"""The table of errors of estimated distances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from pipeline.bench.distances import main
from pipeline.metres.camera import Camera
from tests.pipeline.metres.boards import SIZE, board

CAMERA = Camera(1.5, -8.0, fov=75.0)


def write_scene(folder: Path) -> list[dict[str, Any]]:
    """Write the COCO file of one picture with a whole, a half hidden and a cut board; return its objects."""
    pose: dict[str, Any] = {"position": [0, 0, CAMERA.height], "lens": "perspective"}
    pose |= {key: float(np.radians(getattr(CAMERA, key))) for key in ("pitch", "roll", "fov")}
    boards = [board(CAMERA, 0, 4), board(CAMERA, 1.5, 5, hidden=1.0), board(CAMERA, -1.9, 2.6)]
    objects = [
        entry | {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0}
        for number, entry in enumerate(boards, start=1)
    ]
    image = {"id": 1, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1], "camera": pose}
    dataset = {"images": [image], "annotations": objects, "categories": [{"id": 1, "name": "pedestrian"}]}
    (folder / "annotations.json").write_text(json.dumps(dataset))
    return objects


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [str(folder / "annotations.json"), *words])


def test_objects_are_grouped_by_visibility_and_distance(tmp_path: Path) -> None:
    assert [entry["truncated"] for entry in write_scene(tmp_path)] == [False, False, True]
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in done.output.splitlines()[2:]]
    assert rows == [
        ["whole", "any", "1"],
        ["whole", "3 to 6 m", "1"],
        ["more than half hidden", "any", "1"],
        ["more than half hidden", "3 to 6 m", "1"],
        ["cut by the edge", "any", "1"],
        ["cut by the edge", "3 to 6 m", "1"],
    ]


def test_predictions_are_measured_at_the_objects_that_they_match(tmp_path: Path) -> None:
    first, *_ = write_scene(tmp_path)
    result = {key: first[key] for key in ("image_id", "category_id", "segmentation", "bbox", "score")}
    (tmp_path / "results.json").write_text(json.dumps([result]))
    done = run(tmp_path, "--predictions", str(tmp_path / "results.json"))
    assert done.exit_code == 0, done.output
    assert [line.split("|")[1].strip() for line in done.output.splitlines()[2:]] == ["whole", "whole"]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    write_scene(tmp_path)
    for words, message in (
        (("--frames", "one"), "--frames must be A:B"),
        (("--frames", "5:"), "no object with a camera and a distance"),
        (("--class", "cage"), "no object with a camera and a distance"),
    ):
        done = run(tmp_path, *words)
        assert done.exit_code == 2 and message in done.output
