"""The verb evaluate: the table, the files it leaves, foreign annotation files, and mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from blender.contract import UserError
from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.images import read_rgb
from pipeline.evaluation.metrics import coco_metrics
from pipeline.evaluation.summary import judge
from pipeline.evaluation.tables import format_table
from tests.conftest import TINY
from tests.helpers.synthetic import perfect_results, write_split, write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return path


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write_split(tmp_path / "test")
    convert_split(tmp_path / "test", CocoConfig())
    return tmp_path / "test"


def evaluate(model: Path, split: Path, *options: str, bootstrap: tuple[str, ...] = ("20",)) -> Result:
    files = ["--annotations", str(split / "annotations.json"), "--images", str(split / "images")]
    resamples = [word for number in bootstrap for word in ("--bootstrap", number)]
    return CliRunner().invoke(main, ["evaluate", str(model), *files, *resamples, *options])


def rewrite(split: Path, **changes: Any) -> None:
    path = split / "annotations.json"
    path.write_text(json.dumps(read_coco(path) | changes))


def test_what_it_leaves(model: Path, split: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    run = evaluate(model, split, "--out", str(out))
    assert run.exit_code == 0, run.output
    metrics = json.loads((out / "metrics.json").read_bytes())
    predictions = json.loads((out / "predictions.json").read_bytes())
    assert metrics["class_names"] == ["pedestrian", "pallet_truck"]
    for table in [*metrics["classes"].values(), metrics["overall"]]:
        for iou_type in ("bbox", "segm"):
            for metric in ("AP", "AP50", "AP75"):
                low, high = table[iou_type][f"{metric}_interval"]
                assert low <= table[iou_type][metric] <= high or table[iou_type][metric] == 0
    assert metrics["images"] == 4 and metrics["predictions"] == len(predictions) > 0
    assert metrics["classes"]["pedestrian"]["objects"] == 6
    assert 0 < metrics["latency"]["median"] <= metrics["latency"]["p95"]
    assert len(metrics["model_sha256"]) == 64
    # The figures can be had again from the two files.
    truth = read_coco(split / "annotations.json")
    assert coco_metrics(truth, predictions)["overall"]["segm"]["AP"] == metrics["overall"]["segm"]["AP"]
    for p in predictions:
        assert set(p) == {"image_id", "category_id", "bbox", "score", "segmentation"}
        assert p["segmentation"]["size"] == [120, 160]
    assert sorted(path.name for path in out.iterdir()) == [
        ".evaluate.stamp.json",
        "metrics.json",
        "predictions.json",
    ]


def test_the_profile_says_how_many_resamples(model: Path, split: Path, tmp_path: Path) -> None:
    profile = tmp_path / "p.toml"
    profile.write_text(TINY + "[evaluate]\nbootstrap = 3\n")
    options = ("--out", str(tmp_path / "e"), "--profile", str(profile))
    for bootstrap, made in (((), 3), (("2",), 2)):
        run = evaluate(model, split, *options, bootstrap=bootstrap)
        assert run.exit_code == 0, run.output
        assert json.loads((tmp_path / "e" / "metrics.json").read_bytes())["bootstrap"] == made
    run = evaluate(model, split, bootstrap=("-1",))
    assert run.exit_code == 2 and "--bootstrap" in run.output


def test_a_second_time_it_only_prints(model: Path, split: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    first = evaluate(model, split, "--out", str(out)).output
    before = (out / "predictions.json").stat().st_mtime_ns
    second = evaluate(model, split, "--out", str(out)).output
    assert "evaluate: up to date" in second and "evaluate: up to date" not in first
    table = [line for line in first.splitlines() if line.startswith(("class", "ped", "pal", "over"))]
    assert len(table) == 4 and all(line in second for line in table)
    assert (out / "predictions.json").stat().st_mtime_ns == before
    picture = split / "images" / "000001.png"
    Image.new("RGB", (160, 120), "red").save(picture)
    assert "up to date" not in evaluate(model, split, "--out", str(out)).output


def test_foreign_ids_names_and_classes(model: Path, split: Path, tmp_path: Path) -> None:
    dataset = read_coco(split / "annotations.json")
    renamed = {1: 44, 2: 7}
    rewrite(
        split,
        categories=[
            {"id": 44, "name": "pedestrian"},
            {"id": 7, "name": "forklift"},
            {"id": 90, "name": "pallet_truck"},
        ],
        images=[i | {"id": i["id"] * 1000} for i in dataset["images"]],
        annotations=[
            a | {"category_id": renamed[a["category_id"]], "image_id": a["image_id"] * 1000}
            for a in dataset["annotations"]
        ],
    )
    run = evaluate(model, split, "--out", str(tmp_path / "e"))
    assert run.exit_code == 0, run.output
    assert "note: the model does not know 'forklift': left out" in run.output
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_bytes())
    assert set(metrics["classes"]) == {"pedestrian", "pallet_truck"}
    assert metrics["classes"]["pallet_truck"]["segm"]["AP"] is None
    assert "n/a" in run.output
    predictions = json.loads((tmp_path / "e" / "predictions.json").read_bytes())
    assert {p["category_id"] for p in predictions} <= {44, 90}
    assert {p["image_id"] for p in predictions} <= {1000, 2000, 3000, 4000}


def test_a_class_that_the_file_lacks_is_said(model: Path, split: Path, tmp_path: Path) -> None:
    dataset = read_coco(split / "annotations.json")
    rewrite(
        split,
        categories=dataset["categories"][:1],
        annotations=[a for a in dataset["annotations"] if a["category_id"] == 1],
    )
    run = evaluate(model, split, "--out", str(tmp_path / "e"))
    assert "note: the file has no category 'pallet_truck': not measured" in run.output
    predictions = json.loads((tmp_path / "e" / "predictions.json").read_bytes())
    assert {p["category_id"] for p in predictions} <= {1}


def no_class(split: Path) -> None:
    rewrite(split, categories=[{"id": 1, "name": "chair"}, {"id": 2, "name": "table"}])


def no_annotations(split: Path) -> None:
    rewrite(split, annotations=[])


def bad_annotation(split: Path) -> None:
    annotations = read_coco(split / "annotations.json")["annotations"]
    rewrite(split, annotations=[annotations[0] | {"id": 0}, *annotations[1:]])


def no_folder(split: Path) -> None:
    shutil.rmtree(split / "images")


def corrupt_image(split: Path) -> None:
    (split / "images" / "000002.png").write_bytes(b"no picture")


def cut_image(split: Path) -> None:
    path = split / "images" / "000002.png"
    path.write_bytes(path.read_bytes()[:5000])


def small_image(split: Path) -> None:
    Image.new("RGB", (80, 60)).save(split / "images" / "000002.png")


def climbing_name(split: Path) -> None:
    images = read_coco(split / "annotations.json")["images"]
    rewrite(split, images=[images[0] | {"file_name": "../../x.png"}, *images[1:]])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (no_class, "the model knows pedestrian, pallet_truck; the file has chair, table"),
        (no_annotations, "no annotations"),
        (bad_annotation, "see all with 'transpalette validate"),
        (no_folder, "is --images the right folder?"),
        (corrupt_image, "000002.png: not a readable image"),
        (cut_image, "000002.png: not a readable image"),
        (small_image, "000002.png: 80x60, but the annotations say 160x120"),
        (climbing_name, "file-name-path"),
        (lambda split: (split / "annotations.json").unlink(), "no such file"),
        (lambda split: (split / "annotations.json").write_text("{"), "not readable as JSON"),
    ],
)
def test_mistakes_end_in_one_line(model: Path, split: Path, tmp_path: Path, harm: Any, message: str) -> None:
    harm(split)
    run = evaluate(model, split, "--out", str(tmp_path / "e"))
    assert run.exit_code == 2 and message in run.output, run.output
    assert not list((tmp_path / "e").glob("*.json"))


def test_bad_model_or_out(model: Path, split: Path, tmp_path: Path) -> None:
    run = evaluate(tmp_path / "no.pt", split)
    assert run.exit_code == 2 and "no such model" in run.output
    (tmp_path / "bad.pt").write_bytes(b"not a model")
    run = evaluate(tmp_path / "bad.pt", split)
    assert run.exit_code == 2 and "bad.pt" in run.output
    (tmp_path / "file").write_text("")
    run = evaluate(model, split, "--out", str(tmp_path / "file" / "sub"))
    assert run.exit_code == 2 and "give --out another name" in run.output


def test_stored_pixels_unless_the_file_means_the_turned_ones(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = 255
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    assert np.array_equal(read_rgb(path, (60, 40)), pixels)
    assert np.array_equal(read_rgb(path), pixels)
    turned = read_rgb(path, (40, 60))
    assert turned.shape == (60, 40, 3) and turned[:30, 20:].all() and not turned[:, :20].any()
    with pytest.raises(UserError, match="60x40, but the annotations say 50x50"):
        read_rgb(path, (50, 50))


def test_the_table_of_a_perfect_model(split: Path) -> None:
    dataset = read_coco(split / "annotations.json")
    metrics = judge(dataset, perfect_results(dataset), 20, 0.5)
    lines = format_table(metrics).splitlines()
    four = ["1.000", "1.000", "[1.00,", "1.00]", "1.000"]
    assert lines[2].split() == ["pedestrian", "6", *four, *four]
    assert len({len(line) for line in lines}) == 1 and len(lines) == 6
    plain = format_table(judge(dataset, [], 0, 0.5))
    assert "[" not in plain and "0.000" in plain


def judged(split: Path, predictions: Path, *options: str) -> Result:
    words = ["--annotations", str(split / "annotations.json"), "--predictions", str(predictions)]
    return CliRunner().invoke(main, ["evaluate", *words, "--bootstrap", "20", *options])


def test_predictions_are_judged_as_their_model_was(model: Path, split: Path, tmp_path: Path) -> None:
    assert evaluate(model, split, "--out", str(tmp_path / "model")).exit_code == 0
    found = judged(split, tmp_path / "model" / "predictions.json", "--out", str(tmp_path / "given"))
    assert found.exit_code == 0, found.output
    one, other = (json.loads((tmp_path / name / "metrics.json").read_bytes()) for name in ("model", "given"))
    for key in ("classes", "overall", "images", "predictions", "precision_recall", "calibration"):
        assert one[key] == other[key], key


def test_perfect_predictions_of_any_model(split: Path, tmp_path: Path) -> None:
    results = perfect_results(read_coco(split / "annotations.json"))
    bare = [{key: value for key, value in one.items() if key != "bbox"} for one in results]
    (tmp_path / "found.json").write_text(json.dumps(bare))
    shutil.rmtree(split / "images")
    done = judged(split, tmp_path / "found.json")
    assert done.exit_code == 0 and "overall" in done.output
    assert done.output.splitlines()[-1].split()[2] == "1.000"


BROKEN: dict[str, tuple[Any, str]] = {
    "no list": ({"annotations": []}, "not a COCO results file, which is a list"),
    "no object": ([3], "result 0: 3 is no object"),
    "image": ([{"image_id": 99}], "result 0: image_id 99 is none of the annotation file"),
    "category": ([{"image_id": 1, "category_id": None}], "category_id None is none of the annotation file"),
    "score": ([{"image_id": 1, "category_id": 1, "score": float("nan")}], "score nan is no number"),
    "mask": (
        [{"image_id": 1, "category_id": 1, "score": 1, "segmentation": {"size": [2, 2], "counts": "0"}}],
        "result 0: ",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_predictions_are_one_line(name: str, split: Path, tmp_path: Path) -> None:
    table, message = BROKEN[name]
    (tmp_path / "found.json").write_text(json.dumps(table))
    done = judged(split, tmp_path / "found.json", "--out", str(tmp_path / "out"))
    assert done.exit_code == 2 and message in done.output and done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_model_or_predictions(model: Path, split: Path, tmp_path: Path) -> None:
    files = ["--annotations", str(split / "annotations.json")]
    for words in (files, [str(model), *files], [str(model), *files, "--predictions", "found.json"]):
        done = CliRunner().invoke(main, ["evaluate", *words])
        assert done.exit_code == 2 and "--predictions" in done.output
