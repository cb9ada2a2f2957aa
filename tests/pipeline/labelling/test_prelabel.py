"""The command prelabel: what the tools import, the order of the images, and review.csv."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.cli.model import TOOLS
from pipeline.config import ExtraSet
from pipeline.data.combine import combine_sets
from pipeline.data.images import read_rgb
from pipeline.data.rle import encode_mask
from pipeline.data.validation.check import load_validated_coco
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from pipeline.labelling.image_copies import copy_name, upright_copy
from pipeline.labelling.prediction_log import LOG, ImagePrediction
from pipeline.labelling.prelabel import WRITERS, _predict
from tests.helpers.synthetic import write_tiny_model
from tests.helpers.turned import ORIENTATIONS, save_turned
from tests.pipeline.inference.commands import write_image
from tests.pipeline.labelling.cases import accept_predictions, read_masks, run_labels, write_json


def run_prelabel(model: Path, *words: object, out: Path) -> Result:
    return CliRunner().invoke(main, ["prelabel", str(model), *map(str, words), "--out", str(out)])


def read_review(out: Path) -> list[dict[str, str]]:
    with (out / "review.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return path


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with the threshold 0.5 that finds, in a grey image, what its level says.

    The left half has the score level / 100; from level 200 on there are two equal objects of score 0.9, and
    of level 0 there is none.
    """

    def predict_all(pixels: npt.NDArray[np.uint8]) -> Detections:
        level = int(np.median(pixels))
        count = 0 if level == 0 else 2 if level >= 200 else 1
        mask = np.zeros(pixels.shape[:2], bool)
        mask[:, : mask.shape[1] // 2] = True
        score = 0.9 if level >= 200 else level / 100
        box = np.array([[0, 0, mask.shape[1] // 2, mask.shape[0]]] * count, np.float32).reshape(-1, 4)
        scores, labels = np.full(count, score, np.float32), np.arange(1, count + 1)
        return Detections(box, labels, scores, [encode_mask(mask)] * count, (mask.shape[0], mask.shape[1]))

    segmenter = Segmenter(None, ("pedestrian", "pallet_truck"), 0.5, predict_all)
    monkeypatch.setattr("pipeline.labelling.prelabel.load", lambda path, classes: segmenter)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"model")
    return path


def grey(path: Path, level: int, size: tuple[int, int] = (40, 20), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level,) * 3).save(path, **options)
    return path


def test_the_command_offers_the_tools() -> None:
    assert sorted(TOOLS) == sorted(WRITERS)


@pytest.mark.parametrize("tool", TOOLS)
def test_detections_come_back_as_labels(tool: str, tiny_model: Path, tmp_path: Path) -> None:
    photos = [write_image(tmp_path / "photos" / f"p {n}.png", size=(80, 60 + n)) for n in range(2)]
    out = tmp_path / "out"
    result = run_prelabel(tiny_model, *photos, "--for", tool, "--threshold", "0", out=out)
    assert result.exit_code == 0, result.output
    rows = read_review(out)
    assert sorted(row["source"] for row in rows) == sorted(map(str, photos))
    assert sorted(path.name for path in (out / "images").iterdir()) == [row["file"] for row in rows]
    export = out
    if tool == "label-studio":
        export = write_json(tmp_path / "project.json", accept_predictions(out / "tasks.json"))
    images = out / "images"
    labels = run_labels(export, tmp_path / "photos.json", "--images", images)
    assert labels.exit_code == 0, labels.output
    dataset = load_validated_coco(tmp_path / "photos.json")
    assert [i["file_name"] for i in dataset["images"]] == [row["file"] for row in rows]
    extra = combine_sets([ExtraSet(str(tmp_path / "photos.json"), str(images))])  # as train --extra
    assert not extra.check_images() and extra.count_objects(0).total() == len(dataset["annotations"])
    objects = [sum(a["image_id"] == i["id"] for a in dataset["annotations"]) for i in dataset["images"]]
    assert objects == [int(row["objects"]) for row in rows] and sum(objects) > 0


def test_the_least_certain_image_comes_first(model: Path, tmp_path: Path) -> None:
    levels = {"sure": 95, "below": 45, "above": 52, "empty": 0, "two": 220, "fair": 70, "low": 20}
    photos = [grey(tmp_path / "photos" / f"{name}.png", level) for name, level in levels.items()]
    out = tmp_path / "out"
    result = run_prelabel(model, *photos, "--for", "coco", out=out)
    assert result.exit_code == 0, result.output
    rows = [(row["file"], row["objects"], row["lowest_score"], row["reason"]) for row in read_review(out)]
    assert rows == [
        ("0001-above.png", "1", "0.52", "score near the threshold"),
        ("0002-below.png", "0", "", "score near the threshold; no object found"),
        ("0003-two.png", "2", "0.9", "overlapping objects"),
        ("0004-empty.png", "0", "", "no object found"),
        ("0005-low.png", "0", "", "no object found"),
        ("0006-fair.png", "1", "0.7", ""),
        ("0007-sure.png", "1", "0.95", ""),
    ]
    dataset = load_validated_coco(out / "annotations.json")
    assert [i["file_name"] for i in dataset["images"]] == [row[0] for row in rows]
    assert "prelabel: 1 pallet_truck, 4 pedestrian in 7 of 7 images for coco" in result.output


def test_cvat_and_label_studio_get_what_they_import(model: Path, tmp_path: Path) -> None:
    photo, empty = grey(tmp_path / "höhe 1.png", 80), grey(tmp_path / "empty.png", 0)
    assert run_prelabel(model, photo, empty, "--for", "cvat", out=tmp_path / "cvat").exit_code == 0
    root = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").getroot()
    first, second = root.iterfind("image")
    assert first.attrib == {"id": "0", "name": "0001-empty.png", "width": "40", "height": "20"}
    assert not len(first)
    (mask,) = second
    assert second.get("name") == "0002-höhe_1.png" and mask.tag == "mask"
    assert mask.attrib == {
        "label": "pedestrian", "source": "auto", "occluded": "0", "rle": "0, 400",
        "left": "0", "top": "0", "width": "20", "height": "20", "z_order": "0",
    }  # fmt: skip
    run_prelabel(model, photo, empty, "--for", "label-studio", out=tmp_path / "ls")
    tasks = json.loads((tmp_path / "ls" / "tasks.json").read_bytes())
    assert tasks[0]["predictions"] == [] and len(tasks) == 2
    assert tasks[1]["data"]["image"] == "/data/local-files/?d=images/0002-h%C3%B6he_1.png"
    (prediction,) = tasks[1]["predictions"]
    (result,) = prediction["result"]
    assert prediction["score"] == result["score"] == 0.8
    assert (result["original_width"], result["original_height"]) == (40, 20)
    assert result["value"]["format"] == "rle" and result["value"]["brushlabels"] == ["pedestrian"]
    config = ElementTree.parse(tmp_path / "ls" / "label_config.xml").getroot()
    names = {tag.get("name") for tag in config}
    assert {result["from_name"], result["to_name"]} == names
    assert [tag.get("value") for tag in config.iter("Label")] == ["pedestrian", "pallet_truck"]


def test_copies_are_upright_and_need_no_special_reader(model: Path, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    photos = [
        grey(tmp_path / "a" / "p.jpg", 80, exif=turned),
        grey(tmp_path / "b" / "p.jpg", 81),
        grey(tmp_path / "c" / "p.tif", 82),
    ]
    Image.fromarray(np.full((20, 40), 5000, np.uint16)).save(tmp_path / "deep.png")
    before = {path: path.read_bytes() for path in photos}
    out = tmp_path / "out"
    result = run_prelabel(model, *photos, tmp_path / "deep.png", "--for", "coco", out=out)
    assert result.exit_code == 0, result.output
    sources = {row["source"]: out / "images" / row["file"] for row in read_review(out)}
    with Image.open(sources[str(photos[0])]) as image:
        assert image.size == (20, 40) and image.format == "JPEG" and not image.getexif()
    assert sources[str(photos[1])].read_bytes() == before[photos[1]]
    assert not sources[str(photos[1])].samefile(photos[1])  # a hard link would share later changes
    for path in (photos[2], tmp_path / "deep.png"):
        with Image.open(sources[str(path)]) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
    assert all(path.read_bytes() == content for path, content in before.items())
    dataset = load_validated_coco(out / "annotations.json")
    sizes = {i["file_name"]: (i["width"], i["height"]) for i in dataset["images"]}
    assert sizes[sources[str(photos[0])].name] == (20, 40)
    for name, mask in read_masks(dataset).items():
        assert mask.shape == sizes[name][::-1]


def test_copies_look_as_predict_reads_them(tmp_path: Path) -> None:
    upright = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    for orientation in ORIENTATIONS:  # 2 to 4 do not change the size
        save_turned(tmp_path / "p.png", upright, orientation)
        content, suffix = upright_copy(tmp_path / "p.png")
        with Image.open(io.BytesIO(content)) as image:
            assert suffix == ".png" and np.array_equal(np.array(image), upright), orientation
    with av.open(str(tmp_path / "deep.png"), "w", format="image2") as container:
        track = container.add_stream("png")
        track.width, track.height, track.pix_fmt = 16, 12, "rgb48be"
        deep = upright.astype(np.uint16) * 16
        container.mux(track.encode(av.VideoFrame.from_ndarray(deep, format="rgb48le")))
        container.mux(track.encode(None))
    copy = tmp_path / "copy.png"
    copy.write_bytes(upright_copy(tmp_path / "deep.png")[0])
    with Image.open(copy) as image:
        assert np.array(image).mean() > 100  # a copy of 12 bits in 16 would look black
    assert np.array_equal(read_rgb(copy), read_rgb(tmp_path / "deep.png"))


def test_unreadable_images_are_named_and_the_others_written(model: Path, tmp_path: Path) -> None:
    good, bad = grey(tmp_path / "good.png", 80), tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    result = run_prelabel(model, bad, good, "--for", "coco", out=tmp_path / "out")
    assert result.exit_code == 1 and f"error: {bad}: not a readable image" in result.output
    assert "1 of 2 images" in result.output and len(read_review(tmp_path / "out")) == 1
    result = run_prelabel(model, bad, "--for", "coco", out=tmp_path / "none")
    assert result.exit_code == 2 and not [*(tmp_path / "none").iterdir()]


def test_names_sort_by_rank_whatever_their_number() -> None:
    names = [copy_name(rank, 12_345, Path("a b\ud800.x.jpg"), ".png") for rank in (9_999, 10_000)]
    assert names == ["09999-a_b_.x.png", "10000-a_b_.x.png"]
    assert copy_name(7, 12, Path("p.jpg"), ".jpg") == "0007-p.jpg"


def test_masks_without_a_pixel_are_no_objects(model: Path, tmp_path: Path) -> None:
    photo = grey(tmp_path / "p.png", 80, size=(1, 20))  # the left half of one column has no pixel
    result = run_prelabel(model, photo, "--for", "cvat", out=tmp_path / "out")
    assert result.exit_code == 0, result.output
    (row,) = read_review(tmp_path / "out")
    assert (row["objects"], row["lowest_score"], row["reason"]) == ("0", "", "no object found")


def test_other_files_are_not_replaced(model: Path, tmp_path: Path) -> None:
    photo, out = grey(tmp_path / "p.png", 80), tmp_path / "out"
    grey(out / "mine.png", 1)
    result = run_prelabel(model, photo, "--for", "coco", out=out)
    assert result.exit_code == 2 and "give another --out" in result.output
    assert [path.name for path in out.iterdir()] == ["mine.png"]
    result = run_prelabel(model, tmp_path / "none.png", "--for", "coco", out=tmp_path / "new")
    assert result.exit_code == 2 and not (tmp_path / "new").exists()


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_run_continues(
    torn: bool, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [write_image(tmp_path / f"{n}.png", size=(80, 60 + n)) for n in range(4)]
    options = (*photos, "--for", "cvat", "--threshold", "0")
    assert run_prelabel(tiny_model, *options, out=tmp_path / "complete").exit_code == 0
    predicted: list[Path] = []

    def predict(segmenter: Segmenter, path: Path, threshold: float) -> ImagePrediction:
        if path == photos[2] and path not in predicted:
            predicted.append(path)
            raise KeyboardInterrupt
        predicted.append(path)
        return _predict(segmenter, path, threshold)

    monkeypatch.setattr("pipeline.labelling.prelabel._predict", predict)
    out = tmp_path / "out"
    assert run_prelabel(tiny_model, *options, out=out).exit_code == 1
    if torn:  # the process was killed while it wrote the second line
        content = (out / LOG).read_bytes()
        (out / LOG).write_bytes(content[:-20])
    (out / "images").mkdir()
    (out / "images" / "0001-other.png").write_bytes(b"of the interrupted run")
    predicted[:] = [photos[2]]
    result = run_prelabel(tiny_model, *options, out=out)
    assert result.exit_code == 0 and f"continues after {1 if torn else 2} images" in result.output
    assert predicted[1:] == photos[1 if torn else 2 :]
    assert read_files(out) == read_files(tmp_path / "complete")


def test_other_settings_start_over(tiny_model: Path, tmp_path: Path) -> None:
    photo, out = write_image(tmp_path / "photo.png", size=(80, 60)), tmp_path / "out"
    out.mkdir()
    (out / LOG).write_bytes(b"other settings\n{}\n")
    result = run_prelabel(tiny_model, photo, "--for", "coco", "--threshold", "0", out=out)
    assert result.exit_code == 0 and "continues" not in result.output and not (out / LOG).exists()
