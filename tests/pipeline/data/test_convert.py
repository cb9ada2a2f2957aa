"""Convert rendered splits to COCO: exact masks, all fields, the same bytes every time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from blender.contract import (
    KEYPOINTS,
    Manifest,
    UserError,
    frame_paths,
    read_manifest,
    read_record,
    sha256_bytes,
    write_atomic,
)
from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.validation.check import find_problems
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from tests.conftest import TINY, render
from tests.helpers.synthetic import CATEGORIES, commit_frame, perfect_results, write_frame, write_split


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write_split(tmp_path / "test")
    return tmp_path / "test"


def convert(split_dir: Path, config: CocoConfig | None = None) -> dict[str, Any]:
    return read_coco(convert_split(split_dir, config or CocoConfig()))


def masks_of(split_dir: Path, frame: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(frame_paths(split_dir, frame)[1]))


def rewrite_record(split_dir: Path, manifest: Manifest, frame: int, **changes: Any) -> None:
    """Change fields of a frame's record, and its hash in the manifest."""
    path = frame_paths(split_dir, frame)[2]
    data = dataclasses.replace(read_record(path), **changes).to_bytes()
    write_atomic(path, data)
    frames = manifest.frames | {f"{frame:06d}": sha256_bytes(data)}
    write_atomic(split_dir / "manifest.json", dataclasses.replace(manifest, frames=frames).to_bytes())


def test_perfect_predictions_score_an_ap_of_one(split: Path) -> None:
    dataset = convert(split)
    scores = compute_metrics(evaluate_detections(dataset, perfect_results(dataset)))
    for table in [*scores["classes"].values(), scores["overall"]]:
        for iou_type in ("bbox", "segm"):
            assert [table[iou_type][m] for m in ("AP", "AP50", "AP75", "AR")] == [1.0] * 4


@pytest.mark.parametrize(
    ("config", "reason"),
    [(CocoConfig(), "render some"), (CocoConfig(min_pixels=10**6), "ignore regions are below the limits of")],
)
def test_class_without_an_object_is_a_warning_with_counts(
    config: CocoConfig, reason: str, split: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if config.min_pixels == 40:
        manifest = read_manifest(split)
        for frame in range(4):
            instances = tuple(
                dataclasses.replace(i, category=CATEGORIES[0])
                for i in read_record(frame_paths(split, frame)[2]).instances
            )
            rewrite_record(split, manifest, frame, instances=instances)
            manifest = read_manifest(split)
    convert(split, config)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert lines[-1].startswith(f"warning: class '{CATEGORIES[1]}': 0 objects in 4 frames; ")
    assert reason in lines[-1]


def test_ids_start_at_one_and_the_file_is_valid(split: Path) -> None:
    dataset = convert(split)
    assert [c["id"] for c in dataset["categories"]] == [1, 2]
    assert [c["name"] for c in dataset["categories"]] == list(CATEGORIES)
    assert [i["id"] for i in dataset["images"]] == [1, 2, 3, 4]
    assert [a["id"] for a in dataset["annotations"]] == list(range(1, len(dataset["annotations"]) + 1))
    assert list(find_problems(dataset, split / "images")) == []


def test_mask_area_and_box_match_the_pixels(split: Path) -> None:
    dataset = convert(split)
    frames = {i["id"]: i["frame"] for i in dataset["images"]}
    for a in dataset["annotations"]:
        inside = masks_of(split, frames[a["image_id"]]) == a["instance"]
        assert isinstance(a["segmentation"]["counts"], str)
        assert np.array_equal(mask_utils.decode(a["segmentation"]), inside)
        assert a["area"] == inside.sum()
        rows, columns = np.nonzero(inside)
        x, y, w, h = a["bbox"]
        assert (x, y, x + w - 1, y + h - 1) == (columns.min(), rows.min(), columns.max(), rows.max())


def test_fields_of_the_record_are_written(split: Path) -> None:
    dataset = convert(split)
    image = dataset["images"][1]
    assert (image["file_name"], image["frame"], image["scene"]) == ("000001.png", 1, "000001")
    assert image["camera"] == {"height": 1.2, "focal": 144.0}
    person = next(a for a in dataset["annotations"] if a["category_id"] == 1)
    assert len(person["keypoints"]) == 51 and person["num_keypoints"] == 16
    truck = next(a for a in dataset["annotations"] if a["category_id"] == 2)
    assert "keypoints" not in truck and truck["num_keypoints"] == 0
    assert truck["parameters"] == {"colour": "red"} and truck["distance"] > 0
    assert 0 < truck["visible_fraction"] <= 1 and truck["amodal_area"] >= truck["area"]
    for annotation in dataset["annotations"]:
        amodal, visible = annotation["amodal_segmentation"], annotation["segmentation"]
        assert mask_utils.area(amodal) == annotation["amodal_area"]
        assert mask_utils.area(mask_utils.merge([amodal, visible], intersect=True)) == annotation["area"]
    assert len(dataset["categories"][0]["skeleton"]) == 19
    assert not {"date_created", "contributor", "url"} & set(dataset["info"])


def test_keypoints_can_be_evaluated_beside_classes_without_joints(split: Path) -> None:
    dataset = convert(split)
    people = [a | {"score": 0.9} for a in dataset["annotations"] if a["category_id"] == 1]
    coco = COCO(str(split / "annotations.json"))
    evaluation = COCOeval(coco, coco.loadRes([p for p in people if not p["iscrowd"]]), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_images_without_objects_are_kept_and_hidden_objects_are_left_out(tmp_path: Path) -> None:
    split = tmp_path / "val"
    manifest = write_split(split, frames=3)
    record = read_record(frame_paths(split, 1)[2])
    hidden = dataclasses.replace(record.instances[0], id=99, visible_pixels=0, visible_fraction=0.0)
    rewrite_record(split, manifest, 1, instances=(*record.instances, hidden))
    dataset = convert(split)
    assert len(dataset["images"]) == 3
    assert {a["image_id"] for a in dataset["annotations"]} == {2, 3}
    assert 99 not in {a["instance"] for a in dataset["annotations"]}


def test_objects_below_a_limit_become_ignore_regions(split: Path) -> None:
    without_limit = convert(split)
    assert sum(a["iscrowd"] for a in without_limit["annotations"]) == 0
    areas = sorted(a["area"] for a in without_limit["annotations"])
    with_limit = convert(split, CocoConfig(min_pixels=areas[3]))
    assert [a["area"] < areas[3] for a in with_limit["annotations"]] == [
        a["iscrowd"] == 1 for a in with_limit["annotations"]
    ]
    assert len(with_limit["annotations"]) == len(without_limit["annotations"])
    least = min(a["visible_fraction"] for a in without_limit["annotations"])
    assert least < 1, "the shapes should overlap somewhere"
    by_visibility = convert(split, CocoConfig(min_visible_fraction=least + 1e-6))
    assert sum(a["iscrowd"] for a in by_visibility["annotations"]) >= 1
    scores = compute_metrics(evaluate_detections(by_visibility, perfect_results(by_visibility)))
    assert scores["overall"]["segm"]["AP"] == 1.0


@pytest.mark.parametrize("ids", [(255, 256, 300), (1, 4097, 65535)])
def test_instance_ids_may_exceed_eight_bits(tmp_path: Path, ids: tuple[int, ...]) -> None:
    split = tmp_path / "test"
    write_split(split, frames=1, ids=ids)
    dataset = convert(split)
    assert [a["instance"] for a in dataset["annotations"]] == list(ids)
    for a in dataset["annotations"]:
        assert a["area"] == (masks_of(split, 0) == a["instance"]).sum()


def test_an_image_may_have_hundreds_of_objects(tmp_path: Path) -> None:
    split = tmp_path / "test"
    manifest = write_split(split, frames=1, size=(480, 640), objects=1)
    record = read_record(frame_paths(split, 0)[2])
    mask = (np.arange(480)[:, None] // 24 * 16 + np.arange(640)[None, :] // 40 + 1).astype(np.uint16)
    template = record.instances[0]
    instances = tuple(dataclasses.replace(template, id=i, visible_fraction=1.0) for i in range(1, 321))
    record = commit_frame(
        split, dataclasses.replace(record, instances=instances), np.zeros((480, 640, 3), np.uint8), mask
    )
    rewrite_record(split, manifest, 0)
    dataset = convert(split)
    assert len(dataset["annotations"]) == 320
    evaluation = evaluate_detections(dataset, perfect_results(dataset))
    assert compute_metrics(evaluation)["overall"]["segm"]["AP"] == 1.0


def test_conversion_is_deterministic_and_skipped_if_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = []
    for name in ("a", "b"):
        write_split(tmp_path / name / "test")
        outs.append(convert_split(tmp_path / name / "test", CocoConfig()))
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert b"tmp" not in outs[0].read_bytes()
    capsys.readouterr()
    convert_split(tmp_path / "a" / "test", CocoConfig())
    assert "coco: up to date" in capsys.readouterr().out
    convert_split(tmp_path / "a" / "test", CocoConfig(min_pixels=41))
    assert "up to date" not in capsys.readouterr().out
    outs[1].write_bytes(outs[1].read_bytes() + b" ")
    convert_split(tmp_path / "b" / "test", CocoConfig())
    assert outs[1].read_bytes().endswith(b"}\n")


def damage_mask(split: Path) -> Path:
    path = frame_paths(split, 2)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return path


def truncate_image(split: Path) -> Path:
    path = frame_paths(split, 2)[0]
    path.write_bytes(path.read_bytes()[:100])
    return path


def delete_mask(split: Path) -> Path:
    path = frame_paths(split, 2)[1]
    path.unlink()
    return path


def alter_record(split: Path) -> Path:
    path = frame_paths(split, 2)[2]
    path.write_bytes(path.read_bytes().replace(b'"layout":"aisle"', b'"layout":"other"'))
    return path


def break_record(split: Path) -> Path:
    path = frame_paths(split, 2)[2]
    path.write_bytes(b"{")
    return path


@pytest.mark.parametrize("damage", [damage_mask, truncate_image, delete_mask, alter_record, break_record])
def test_corrupt_file_of_a_split_is_named_in_one_line(split: Path, damage: Any) -> None:
    path = damage(split)
    with pytest.raises(UserError) as caught:
        convert_split(split, CocoConfig())
    message = str(caught.value)
    assert str(path) in message and "render again" in message and "\n" not in message
    assert not (split / "annotations.json").exists()


def test_mask_that_contradicts_its_record_is_refused(tmp_path: Path) -> None:
    split = tmp_path / "test"
    manifest = write_split(split, frames=1)
    record = read_record(frame_paths(split, 0)[2])
    rewrite_record(split, manifest, 0, instances=record.instances[:1])
    with pytest.raises(UserError, match=r"instance ids \[2, 3\] are not in 000000.json"):
        convert_split(split, CocoConfig())
    rewrite_record(split, manifest, 0, width=161)
    with pytest.raises(UserError, match="160x120, but its record says 161x120"):
        convert_split(split, CocoConfig())
    unknown = dataclasses.replace(record.instances[0], category="forklift")
    rewrite_record(split, manifest, 0, width=160, instances=(unknown, *record.instances[1:]))
    with pytest.raises(UserError, match="forklift"):
        convert_split(split, CocoConfig())


def test_eight_bit_masks_are_refused(tmp_path: Path) -> None:
    split = tmp_path / "test"
    manifest = write_split(split, frames=1)
    path = frame_paths(split, 0)[1]
    from PIL import Image

    Image.open(path).point(lambda v: v, "I").convert("L").save(path)
    rewrite_record(split, manifest, 0, mask_sha256=sha256_bytes(path.read_bytes()))
    with pytest.raises(UserError, match="16-bit"):
        convert_split(split, CocoConfig())


PEOPLE = """
[scene.objects.visitor]
builder = "pedestrian"
category = "visitor"
[scene.objects.lift]
builder = "forklift"
category = "pedestrian"
ranges = { variants = { reach_truck = 1 }, paint = { red = 1 } }
[scene.objects.both]
builder = "cage"
category = "person"
ranges = { variants = { mesh_box = 1 } }
[model]
"""
"""More tables: a second class of people, and a class with a person's name that is none."""


def test_builders_decide_which_classes_are_people(tmp_path: Path, tiny_people: Path) -> None:
    """The class "person" has people and cages, "visitor" only people, "pedestrian" forklifts."""
    profile, split = tmp_path / "p.toml", tmp_path / "train"
    text = TINY.replace('"pedestrian", "pallet_truck"]', '"person", "pallet_truck", "visitor", "pedestrian"]')
    text = text.replace('category = "pedestrian"', 'category = "person"').replace("[model]", PEOPLE)
    profile.write_text(text)
    done = render(profile, tiny_people, split, "--frames", "0:0")  # no frame, only the manifest
    assert done.returncode == 0, done.stderr
    assert read_manifest(split).kinds == {
        "person": ("cage", "pedestrian"),
        "visitor": ("pedestrian",),
        "pedestrian": ("forklift",),
    }
    categories = {c["name"]: c for c in convert(split)["categories"]}
    assert {name: category["supercategory"] for name, category in categories.items()} == {
        "person": "person", "pallet_truck": "vehicle", "visitor": "person", "pedestrian": "vehicle",
    }  # fmt: skip
    for name, category in categories.items():
        assert (category.get("keypoints") == list(KEYPOINTS)) == (name in ("person", "visitor"))
        assert ("skeleton" in category) == ("keypoints" in category)


def test_manifest_of_classes_named_after_their_kind_says_nothing_about_kinds(tiny_split: Path) -> None:
    assert b"kinds" not in (tiny_split / "manifest.json").read_bytes()


def test_coco_and_preview_commands_write_their_files(tmp_path: Path) -> None:
    split = tmp_path / "test"
    profile = tmp_path / "p.toml"
    profile.write_text('name="p"\nseed=0\nclasses=["pedestrian"]\nsplits={test=1}\n')
    run = CliRunner().invoke(main, ["coco", "--profile", str(profile), str(split)])
    assert run.exit_code == 2 and "render the split first" in run.output
    write_split(split)
    run = CliRunner().invoke(main, ["coco", "--profile", str(profile), str(split)])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(main, ["preview", str(split), "--out", str(tmp_path / "sheet.png")])
    assert run.exit_code == 0 and (tmp_path / "sheet.png").stat().st_size > 1000
    run = CliRunner().invoke(main, ["preview", str(tmp_path), "--out", str(tmp_path / "sheet.png")])
    assert run.exit_code == 2 and "transpalette coco" in run.output


@pytest.mark.parametrize("content", ["", "[1, 2]", '"x"', "{}", '{"images": 3}', "[" * 100_000])
def test_read_coco_refuses_other_files(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"x\.json"):
        read_coco(path)
    with pytest.raises(UserError, match="no such file"):
        read_coco(tmp_path / "y.json")


def test_written_frame_record_is_read_back(tmp_path: Path) -> None:
    record = write_frame(tmp_path, 7, (60, 80), 2, np.random.default_rng(0))
    assert read_record(frame_paths(tmp_path, 7)[2]) == record
    assert json.loads(frame_paths(tmp_path, 7)[2].read_bytes())["frame"] == 7
