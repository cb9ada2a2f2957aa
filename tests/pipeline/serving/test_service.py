"""What the page does with an upload: selection, drawing, files, kept pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from PIL import Image

from blender.contract import UserError
from pipeline.cli import main
from pipeline.data.rle import encode_mask
from pipeline.data.validation.check import load_validated_coco
from pipeline.inference.detections import Detections
from pipeline.inference.predict import predict_images
from pipeline.inference.segmenter import Segmenter, load
from pipeline.inference.video import open_video
from pipeline.inference.writers import COLUMNS as CSV_COLUMNS
from pipeline.labelling.collection import Collection
from pipeline.serving.results import COLUMNS, DRAWN_SIDE, MAX_ROWS, VIDEO_COLUMNS
from pipeline.serving.service import STORED_RESULTS, Service
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.inference.commands import write_image
from tests.pipeline.serving.conftest import CLASSES, write_picture, write_video


def test_the_threshold_and_the_classes_select_objects(service: Service, tmp_path: Path) -> None:
    analysis = service.analyse(write_picture(tmp_path / "p.png"))
    assert len(analysis.frames[0].detections) == 3  # the score 0.02 is below any threshold of the page
    assert service.show(analysis, 0.5, CLASSES).objects == {"pedestrian": 1, "pallet_truck": 1}
    assert service.show(analysis, 0.05, CLASSES).objects == dict.fromkeys(CLASSES, 1)
    assert service.show(analysis, 0.05, ["forklift"]).objects == {"forklift": 1}
    assert service.show(analysis, 0.05, []).objects == {}


def test_the_table_names_objects_boxes_and_areas(service: Service, tmp_path: Path) -> None:
    shown = service.show(service.analyse(write_picture(tmp_path / "p.png")), 0.5, CLASSES)
    assert shown.columns == COLUMNS
    assert shown.rows == [
        ["pedestrian", 0.9, 0.0, 0.0, 20.0, 60.0, 1200],
        ["pallet truck", 0.6, 20.0, 0.0, 20.0, 60.0, 1200],
    ]


def test_the_files_are_those_of_predict(tmp_path: Path) -> None:
    """With a real network, at the threshold and with the classes that the page shows."""
    model, photo = tmp_path / "model.safetensors", write_image(tmp_path / "p 1.png", size=(90, 70))
    write_tiny_model(model)
    segmenter = load(model)
    folder = tmp_path / "results"
    folder.mkdir()
    service = Service(segmenter, folder, Collection(tmp_path / "kept", "coco", segmenter.classes), 4)
    shown = service.show(service.analyse(photo), 0.1, segmenter.classes)
    predict_images(model, (photo,), tmp_path / "out", 0.1)
    expected = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert expected
    for result in expected:
        del result["picture"]
    assert json.loads(shown.coco.read_bytes()) == expected
    with shown.csv.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == CSV_COLUMNS and len(rows) == 1 + len(expected)


def test_masks_are_drawn_on_a_picture_of_the_screen_s_size(service: Service, tmp_path: Path) -> None:
    analysis = service.analyse(write_picture(tmp_path / "p.png", (3200, 1000)))
    shown = service.show(analysis, 0.5, ["pedestrian"])
    with Image.open(shown.drawing) as image:
        pixels = np.asarray(image, np.int64)
    assert pixels.shape == (500, DRAWN_SIDE, 3)
    assert np.ptp(pixels[400, 200]) > 40, "the first quarter is not coloured"
    assert np.ptp(pixels[400, 1000]) < 10, "a part without an object is coloured"
    assert shown.rows[0][4] == 800.0  # the box is in pixels of the picture itself


def test_a_video_is_predicted_at_evenly_spread_frames(service: Service, tmp_path: Path) -> None:
    steps = []
    path = write_video(tmp_path / "v.mp4", 10)
    analysis = service.analyse(path, lambda done, total: steps.append((done, total)))
    assert [frame.number for frame in analysis.frames] == [0, 3, 6, 9] and analysis.skipped == 6
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4)]
    shown = service.show(analysis, 0.7, CLASSES)
    assert shown.columns == VIDEO_COLUMNS and [row[:3] for row in shown.rows] == [
        [seconds, "pedestrian", 0.9] for seconds in (0.0, 0.3, 0.6, 0.9)
    ]
    results = json.loads(shown.coco.read_bytes())
    assert [(r["image_id"], r["frame"], r["seconds"]) for r in results] == [
        (1, 0, 0.0), (2, 3, 0.3), (3, 6, 0.6), (4, 9, 0.9),
    ]  # fmt: skip
    with av.open(str(shown.drawing)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 4 and np.ptp(frames[0][50, 10].astype(int)) > 40


def test_old_results_are_removed(service: Service, tmp_path: Path) -> None:
    analysis = service.analyse(write_picture(tmp_path / "p.png"))
    for _ in range(STORED_RESULTS + 3):
        shown = service.show(analysis, 0.5, CLASSES)
    assert len(list(service.folder.iterdir())) == STORED_RESULTS and shown.drawing.is_file()


def test_a_long_table_is_cut_but_not_the_files(service: Service, tmp_path: Path) -> None:
    service.max_frames = 200
    shown = service.show(service.analyse(write_video(tmp_path / "v.mp4", 180, (32, 32))), 0.05, CLASSES)
    assert (
        len(shown.rows) == MAX_ROWS < sum(shown.objects.values()) == len(json.loads(shown.coco.read_bytes()))
    )


def test_a_kept_picture_has_the_shown_objects(service: Service, tmp_path: Path) -> None:
    analysis = service.analyse(write_picture(tmp_path / "p.png"))
    line = service.keep(analysis, 0.5, ["pedestrian", "forklift"])
    assert line == f"kept as {tmp_path / 'kept/images/0001-p.png'}; 1 picture in all"
    dataset = load_validated_coco(tmp_path / "kept" / "annotations.json")
    assert [a["category_id"] for a in dataset["annotations"]] == [1]
    assert [c["name"] for c in dataset["categories"]] == list(CLASSES)


def test_frames_of_a_video_are_kept_and_come_back_as_labels(tmp_path: Path) -> None:
    """A square's score is near the threshold 0.5 in frames 2, 4 and 6, of which 4 and 6 look alike."""

    def find_square(pixels: npt.NDArray[np.uint8]) -> Detections:
        mask = (pixels[..., 0] > 150).astype(np.uint8)
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
        score = 0.9 if columns[0] < 10 else 0.55 if columns[0] < 30 else 0.52
        return Detections(box, np.array([1]), np.array([score], np.float32), [encode_mask(mask)], (60, 80))

    with open_video(tmp_path / "my clip.mp4", (80, 60)) as append:
        for number, left in enumerate((2, 2, 20, 20, 50, 50, 51, 51)):
            pixels = np.full((60, 80, 3), 40, np.uint8)
            pixels[10:40, left : left + 20] = 230
            append(Image.fromarray(pixels), number / 10)
    (tmp_path / "results").mkdir()
    kept = tmp_path / "kept"
    service = Service(
        Segmenter(None, CLASSES, 0.5, find_square), tmp_path / "results", Collection(kept, "coco", CLASSES), 4
    )
    analysis = service.analyse(tmp_path / "my clip.mp4")
    line = service.keep(analysis, 0.5, CLASSES)
    assert line == f"kept 2 of 4 frames, the least certain ones, in {kept / 'images'}; 2 pictures in all"
    names = ["0001-my_clip-000002.png", "0002-my_clip-000004.png"]
    assert sorted(path.name for path in (kept / "images").iterdir()) == names
    service.keep(analysis, 0.5, CLASSES)
    assert len(service.collection) == 2, "the same frames replace their entries"
    labels = CliRunner().invoke(
        main, ["labels", str(kept), "--images", str(kept / "images"), "--out", str(tmp_path / "photos.json")]
    )
    assert labels.exit_code == 0, labels.output
    dataset = load_validated_coco(tmp_path / "photos.json")
    assert [image["file_name"] for image in dataset["images"]] == names
    assert [a["bbox"][0] for a in dataset["annotations"]] == pytest.approx([20, 50], abs=1)
    shown = np.asarray(Image.open(kept / "images" / names[1]))
    assert shown.shape == (60, 80, 3) and shown[25, 55:65].min() > 200
    assert shown[25, :40].max() < 100
    assert not list((tmp_path / "results").glob("frames-*"))


def test_frames_of_a_video_that_is_gone_are_named(service: Service, tmp_path: Path) -> None:
    analysis = service.analyse(write_video(tmp_path / "v.mp4", 2))
    (tmp_path / "v.mp4").unlink()
    with pytest.raises(UserError, match=r"v\.mp4"):
        service.keep(analysis, 0.5, CLASSES)
    assert not (tmp_path / "kept").exists()


def test_a_video_is_not_continued_when_the_page_ends(service: Service, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 10)
    steps: list[int] = []

    def end_after_two(done: int, total: int) -> None:
        steps.append(done)
        if done == 1:
            service._ended.set()  # as Service.end does in another thread, which then waits

    with pytest.raises(UserError, match="the page has ended"):
        service.analyse(path, end_after_two)
    assert steps == [0, 1]
    service.end()  # the model is free: this returns at once
