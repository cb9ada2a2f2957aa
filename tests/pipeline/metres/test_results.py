"""``predict`` with a camera file: fields, columns, people near trucks, mistakes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from blender.contract import UserError
from pipeline.cli import main
from pipeline.metres.camera import Camera
from pipeline.metres.results import COLUMNS, NOTICE, Metres
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.inference.commands import read_results, write_image
from tests.pipeline.metres.boards import SIZE, board

CAMERA = Camera(1.5, -8.0, fov=75.0)


def entries(*objects: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [board(CAMERA, x, z) | {"category_name": name} for name, x, z in objects]


def test_people_near_trucks_are_listed_at_both() -> None:
    results = entries(
        ("pedestrian", 0, 4),
        ("pallet_truck", 0.8, 4),
        ("forklift", 0, 9),
        ("pedestrian", -0.5, 4),
        ("cage", 0, 4),
    )
    drawn: list[dict[str, Any]] = [{} for _ in results]
    assert Metres(CAMERA, near=2.5).add(results, drawn, SIZE).endswith(" m")
    assert [r["object"] for r in results] == [1, 2, 3, 4, 5]
    assert [[n["object"] for n in r.get("near", [])] for r in results] == [[2], [1, 4], [], [2], []]
    assert results[0]["near"][0]["metres"] == results[1]["near"][0]["metres"] < 2.5
    assert drawn[0]["distance"] == results[0]["distance"] and "near" not in drawn[0]


def test_without_a_limit_no_pairs_are_listed() -> None:
    results = entries(("pedestrian", 0, 4), ("pallet_truck", 0, 4))
    assert Metres(CAMERA).add(results, [{}, {}], SIZE) == ""
    assert not any("near" in result for result in results)


def test_a_model_without_people_or_trucks_has_no_pairs() -> None:
    with pytest.raises(
        UserError, match=r"needs a class of pallet_truck, .*; the model detects pedestrian, cage"
    ):
        Metres(CAMERA, near=1.0).check_classes(("pedestrian", "cage"))
    Metres(CAMERA).check_classes(("pedestrian", "cage"))
    Metres(CAMERA, near=1.0).check_classes(("person", "tow"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return path


def predict(model: Path, folder: Path, camera: str, *words: str) -> Result:
    """Predict an image of noise, in which the model finds objects of both classes at the threshold 0."""
    (folder / "camera.toml").write_text(camera)
    options = ["--camera-file", str(folder / "camera.toml"), "--out", str(folder / "out"), "--threshold", "0"]
    return CliRunner().invoke(main, ["predict", str(model), str(folder / "a.png"), *options, *words])


def test_predict_adds_metres_to_results_table_and_drawing(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    done = predict(model, tmp_path, "height = 1.5\npitch = -20\nfov = 70\n", "--near", "50")
    assert done.exit_code == 0, done.output
    assert f"note: {NOTICE}" in done.output
    results = read_results(tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert results and len(rows) == len(results)
    for result, row in zip(results, rows, strict=True):
        assert 0 < result["distance_low"] <= result["distance"] <= result["distance_high"]
        assert [row[c] for c in COLUMNS[:-1]] == [str(result[c]) for c in COLUMNS[:-1]]
    assert any(result.get("near") for result in results) == ("closer than 50 m to a truck" in done.output)
    assert (tmp_path / "out" / "a.png").exists()


def test_results_without_a_camera_file_are_unchanged(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    words = [
        "predict",
        str(model),
        str(tmp_path / "a.png"),
        "--out",
        str(tmp_path / "out"),
        "--threshold",
        "0",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and NOTICE not in done.output
    assert not set(COLUMNS) & set(read_results(tmp_path / "out")[0])
    assert "distance" not in (tmp_path / "out" / "predictions.csv").read_text().splitlines()[0]


def test_mistakes_are_one_line(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    done = predict(model, tmp_path, "height = 1.5\npitch = -20\nfov = 70\nzoom = 1\n")
    assert done.exit_code == 2 and "unknown key 'zoom'" in done.output and not (tmp_path / "out").exists()
    words = ["predict", str(model), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--near", "2"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "--near needs --camera-file" in done.output


def test_a_picture_that_does_not_fit_the_camera_is_named_and_the_others_are_predicted(
    model: Path, tmp_path: Path
) -> None:
    write_image(tmp_path / "a.png")
    Image.new("RGB", (60, 80), (90, 90, 90)).save(tmp_path / "tall.png")
    intrinsics = "fx = 70\nfy = 70\ncx = 40\ncy = 30\nimage_size = [80, 60]\n"
    done = predict(model, tmp_path, f"height = 1.5\npitch = -20\n{intrinsics}", str(tmp_path / "tall.png"))
    assert done.exit_code == 1 and "picture of 60 x 80 pixels" in done.output
    assert "in 1 of 2 images" in done.output
