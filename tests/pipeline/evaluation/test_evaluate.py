"""The command evaluate: its table, its files, annotation files of other origin, and errors."""

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
from pipeline.evaluation.bootstrap import run_bootstrap
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.summary import summarize
from pipeline.evaluation.terminal import format_table
from tests.conftest import TINY
from tests.helpers.synthetic import perfect_results, write_split, write_tiny_model
from tests.helpers.turned import turn_split
from tests.pipeline.evaluation.cases import metrics_of


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


def test_evaluate_writes_metrics_and_predictions(model: Path, split: Path, tmp_path: Path) -> None:
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
    # The figures follow from the two files.
    recomputed = metrics_of(read_coco(split / "annotations.json"), predictions)
    assert recomputed["overall"]["segm"]["AP"] == metrics["overall"]["segm"]["AP"]
    for p in predictions:
        assert set(p) == {"image_id", "category_id", "bbox", "score", "segmentation"}
        assert p["segmentation"]["size"] == [120, 160]
    assert sorted(path.name for path in out.iterdir()) == [
        ".evaluate.stamp.json",
        "evaluation.html",
        "false_alarms.json",
        "metrics.json",
        "predictions.json",
    ]


def test_resamples_are_those_of_the_option_or_of_the_profile(
    model: Path, split: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "p.toml"
    profile.write_text(TINY + "[evaluate]\nbootstrap = 3\n")
    options = ("--out", str(tmp_path / "e"), "--profile", str(profile))
    for bootstrap, expected in (((), 3), (("2",), 2)):
        run = evaluate(model, split, *options, bootstrap=bootstrap)
        assert run.exit_code == 0, run.output
        assert json.loads((tmp_path / "e" / "metrics.json").read_bytes())["bootstrap"] == expected
    run = evaluate(model, split, bootstrap=("-1",))
    assert run.exit_code == 2 and "--bootstrap" in run.output


def test_an_unchanged_evaluation_is_printed_and_not_repeated(
    model: Path, split: Path, tmp_path: Path
) -> None:
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


def test_category_ids_order_and_unknown_classes_do_not_matter(
    model: Path, split: Path, tmp_path: Path
) -> None:
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
    assert "note: the model has no class 'forklift': left out" in run.output
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_bytes())
    assert set(metrics["classes"]) == {"pedestrian", "pallet_truck"}
    assert metrics["classes"]["pallet_truck"]["segm"]["AP"] is None
    assert "n/a" in run.output
    predictions = json.loads((tmp_path / "e" / "predictions.json").read_bytes())
    assert {p["category_id"] for p in predictions} <= {44, 90}
    assert {p["image_id"] for p in predictions} <= {1000, 2000, 3000, 4000}


def test_a_class_that_the_file_lacks_is_noted(model: Path, split: Path, tmp_path: Path) -> None:
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


def rename_all_categories(split: Path) -> None:
    rewrite(split, categories=[{"id": 1, "name": "chair"}, {"id": 2, "name": "table"}])


def remove_annotations(split: Path) -> None:
    rewrite(split, annotations=[])


def break_annotation(split: Path) -> None:
    annotations = read_coco(split / "annotations.json")["annotations"]
    rewrite(split, annotations=[annotations[0] | {"id": 0}, *annotations[1:]])


def remove_images(split: Path) -> None:
    shutil.rmtree(split / "images")


def corrupt_image(split: Path) -> None:
    (split / "images" / "000002.png").write_bytes(b"no image")


def truncate_image(split: Path) -> None:
    path = split / "images" / "000002.png"
    path.write_bytes(path.read_bytes()[:5000])


def shrink_image(split: Path) -> None:
    Image.new("RGB", (80, 60)).save(split / "images" / "000002.png")


def name_file_outside_folder(split: Path) -> None:
    images = read_coco(split / "annotations.json")["images"]
    rewrite(split, images=[images[0] | {"file_name": "../../x.png"}, *images[1:]])


@pytest.mark.parametrize(
    ("break_split", "message"),
    [
        (rename_all_categories, "the model has pedestrian, pallet_truck; the file has chair, table"),
        (remove_annotations, "no annotations"),
        (break_annotation, "see all with 'transpalette validate"),
        (remove_images, "is --images the right folder?"),
        (corrupt_image, "000002.png: not a readable image"),
        (truncate_image, "000002.png: not a readable image"),
        (shrink_image, "000002.png: 80x60, but the annotations say 160x120"),
        (name_file_outside_folder, "file-name-path"),
        (lambda split: (split / "annotations.json").unlink(), "no such file"),
        (lambda split: (split / "annotations.json").write_text("{"), "not readable as JSON"),
    ],
)
def test_a_faulty_split_is_named_and_nothing_is_written(
    model: Path, split: Path, tmp_path: Path, break_split: Any, message: str
) -> None:
    break_split(split)
    run = evaluate(model, split, "--out", str(tmp_path / "e"))
    assert run.exit_code == 2 and message in run.output, run.output
    assert not list((tmp_path / "e").glob("*.json"))


def test_a_faulty_model_or_output_folder_is_named(model: Path, split: Path, tmp_path: Path) -> None:
    run = evaluate(tmp_path / "no.safetensors", split)
    assert run.exit_code == 2 and "no such model" in run.output
    (tmp_path / "bad.safetensors").write_bytes(b"not a model")
    run = evaluate(tmp_path / "bad.safetensors", split)
    assert run.exit_code == 2 and "bad.safetensors" in run.output
    (tmp_path / "file").write_text("")
    run = evaluate(model, split, "--out", str(tmp_path / "file" / "sub"))
    assert run.exit_code == 2 and "give --out another name" in run.output


def test_exif_rotation_is_applied_only_if_the_annotated_size_is_rotated(tmp_path: Path) -> None:
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


def test_upright_annotations_of_turned_images_give_the_same_figures(
    model: Path, split: Path, tmp_path: Path
) -> None:
    figures = {}
    for name, options in (("plain", ()), ("turned", ("--exif", "upright")), ("stored", ())):
        if name == "turned":
            turn_split(split, 3)
        run = evaluate(model, split, "--out", str(tmp_path / name), *options)
        assert run.exit_code == 0, run.output
        figures[name] = json.loads((tmp_path / name / "metrics.json").read_bytes())
        assert ("EXIF orientation" in run.output) == (name != "plain")
    assert figures["turned"]["overall"] == figures["plain"]["overall"]
    assert figures["turned"]["predictions"] == figures["plain"]["predictions"]
    assert "read as upright" in str(figures["turned"]["notes"])
    assert "read as stored" in str(figures["stored"]["notes"])
    assert (tmp_path / "turned" / "predictions.json").read_bytes() != (
        tmp_path / "stored" / "predictions.json"
    ).read_bytes()


def test_table_of_perfect_detections_has_ap_one(split: Path) -> None:
    dataset = read_coco(split / "annotations.json")
    evaluation = evaluate_detections(dataset, perfect_results(dataset))
    lines = format_table(summarize(evaluation, 0.5, run_bootstrap(evaluation, 20))).splitlines()
    figures = ["1.000", "1.000", "[1.00,", "1.00]", "1.000"]
    assert lines[2].split() == ["pedestrian", "6", *figures, *figures]
    assert len({len(line) for line in lines}) == 1 and len(lines) == 6
    plain = format_table(summarize(evaluate_detections(dataset, []), 0.5))
    assert "[" not in plain and "0.000" in plain


def test_predictions_are_on_disk_before_they_are_evaluated(
    model: Path, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("pipeline.evaluation.evaluate.evaluate_detections", fail)
    run = evaluate(model, split, "--out", str(tmp_path / "e"))
    assert run.exit_code and json.loads((tmp_path / "e" / "predictions.json").read_bytes())
    assert not (tmp_path / "e" / "metrics.json").exists()
    monkeypatch.undo()
    assert evaluate(model, split, "--out", str(tmp_path / "e")).exit_code == 0


def test_boxes_that_do_not_fit_their_masks_are_noted(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = read_coco(split / "annotations.json")["annotations"]
    (tmp_path / "results.json").write_text(json.dumps(perfect_results(read_coco(split / "annotations.json"))))
    for a in annotations[1:]:
        x, y, w, h = a["bbox"]
        a["bbox"] = [x, y, x + w, y + h]
    rewrite(split, annotations=annotations)
    count = len(annotations)
    note = f"{count - 1} of {count} boxes do not fit their masks; see 'transpalette validate "
    monkeypatch.setattr("pipeline.reporting.dataset_stats.plot_statistics", lambda *_: None)  # takes long
    monkeypatch.setattr("pipeline.reporting.dataset_stats.to_png", lambda _: b"")
    path = str(split / "annotations.json")
    for command in (
        ["evaluate", "--annotations", path, "--predictions", str(tmp_path / "results.json")],
        ["stats", path, "--out", str(tmp_path / "stats")],
    ):
        run = CliRunner().invoke(main, command)
        assert run.exit_code == 0 and run.output.count(note) == 1, run.output
