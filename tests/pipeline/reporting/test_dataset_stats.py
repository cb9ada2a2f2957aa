"""Dataset statistics and cards: correct counts of any COCO file, and the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from huggingface_hub import DatasetCard
from PIL import Image, ImageColor

from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.rle import box_rle
from pipeline.reporting.dataset_stats import GRID, MEASURES, dataset_statistics
from pipeline.viz.plots import COLOURS
from tests.helpers import shapes
from tests.helpers.synthetic import write_split


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write_split(tmp_path / "test")
    convert_split(tmp_path / "test", CocoConfig(min_pixels=400))
    return tmp_path / "test"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def small_set() -> dict[str, Any]:
    """One image of 100x50 pixels, with boxes whose measures are round numbers."""
    boxes = [[0, 0, 10, 10], [45, 20, 10, 10], [99, 49, 1, 1]]
    return {
        "images": [{"id": 1, "width": 100, "height": 50}, {"id": 2, "width": 100, "height": 50}],
        "categories": [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}],
        "annotations": [
            {"image_id": 1, "category_id": 5, "iscrowd": int(n == 2), "bbox": box, "area": box[2] * box[3],
             "segmentation": box_rle(box, 100, 50)}
            for n, box in enumerate(boxes)
        ],
    }  # fmt: skip


def test_statistics_equal_counts_by_hand() -> None:
    table = dataset_statistics(small_set())
    assert (table["images"], table["empty"]) == (2, 1)
    a, b = table["classes"]["a"], table["classes"]["b"]
    assert (a["objects"], a["ignored"], b["objects"]) == (2, 1, 0)
    assert a["histograms"]["width"] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]  # 0.1 is in the bin from 0.1 to 0.15
    assert a["histograms"]["area"] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]  # 0.02
    assert a["histograms"]["x"] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert a["histograms"]["distance"] == [0] * 11 and a["medians"]["distance"] is None
    position = np.array(a["position"])
    assert position.shape == GRID and position[1, 0] == 1 and position[6, 8] == 1 and position.sum() == 2


def test_objects_without_a_mask_have_no_mask_area() -> None:
    dataset = small_set()
    dataset["annotations"][0]["segmentation"] = []
    table = dataset_statistics(dataset)
    histograms = table["classes"]["a"]["histograms"]
    assert table["without_mask"] == 1 and sum(histograms["area"]) == 1 and sum(histograms["width"]) == 2


def test_statistics_of_a_split_equal_those_of_its_annotations(split: Path, tmp_path: Path) -> None:
    assert run("stats", split, "--out", tmp_path / "out").exit_code == 0
    (table,) = json.loads((tmp_path / "out" / "stats.json").read_bytes())["sets"]
    dataset = read_coco(split / "annotations.json")
    for c in dataset["categories"]:
        annotations = [a for a in dataset["annotations"] if a["category_id"] == c["id"]]
        entry = table["classes"][c["name"]]
        assert entry["objects"] == sum(not a["iscrowd"] for a in annotations)
        assert entry["ignored"] == sum(a["iscrowd"] for a in annotations)
        distances = [a["distance"] for a in annotations if not a["iscrowd"]]
        assert entry["medians"]["distance"] == pytest.approx(np.median(distances), abs=1e-5)
        assert all(sum(entry["histograms"][name]) == entry["objects"] for name in MEASURES)
    assert any(entry["ignored"] for entry in table["classes"].values())


def test_two_datasets_are_compared_in_one_image(split: Path, tmp_path: Path) -> None:
    shapes.write_split(tmp_path / "photographs", 3)
    (tmp_path / "photographs" / "annotations.json").rename(tmp_path / "instances.json")
    done = run("stats", split, tmp_path / "instances.json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tables = json.loads((tmp_path / "out" / "stats.json").read_bytes())["sets"]
    assert [t["name"] for t in tables] == ["test", "instances"]
    assert tables[1]["classes"]["pedestrian"]["medians"]["visible_fraction"] is None
    picture = np.asarray(Image.open(tmp_path / "out" / "stats.png").convert("RGB"))
    for colour in COLOURS[:2]:
        assert (picture == ImageColor.getrgb(colour)).all(axis=2).sum() > 500
    before = [(tmp_path / "out" / name).read_bytes() for name in ("stats.json", "stats.png")]
    run("stats", split, tmp_path / "instances.json", "--out", tmp_path / "again")
    assert [(tmp_path / "again" / name).read_bytes() for name in ("stats.json", "stats.png")] == before


def test_faulty_datasets_are_named_and_nothing_is_written(split: Path, tmp_path: Path) -> None:
    for sets, message in (
        ([split, split, split], "give one set, or two"),
        ([tmp_path / "no.json"], "no such file"),
        ([tmp_path], "no such file"),
    ):
        done = run("stats", *sets, "--out", tmp_path / "out")
        assert done.exit_code == 2 and message in done.output
        assert not (tmp_path / "out").exists()


def test_the_card_has_the_counts_and_origin_of_its_splits(split: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "train", frames=2, seed=1)
    convert_split(tmp_path / "train", CocoConfig())
    done = run("card", tmp_path / "train", split, "--out", tmp_path / "README.md")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "README.md").read_text()
    table = dataset_statistics(read_coco(split / "annotations.json"))
    counts = [table["classes"][name]["objects"] for name in ("pedestrian", "pallet_truck")]
    ignored = sum(entry["ignored"] for entry in table["classes"].values())
    assert f"| test | 4 | {table['empty']} | {counts[0]} | {counts[1]} | {ignored} |" in text
    assert "| train | 2 | " in text and "| test | 0 | 4.5.0 | 1 | `" in text
    assert str(tmp_path) not in text
    assert DatasetCard(text).data.to_dict()["license"] == "apache-2.0"
    run("card", tmp_path / "train", split, "--out", tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text() == text


def test_a_card_needs_rendered_splits_with_the_same_classes(split: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "other", categories=("crate",))
    convert_split(tmp_path / "other", CocoConfig())
    for splits, message in (
        ([split, tmp_path / "other"], "different classes"),
        ([tmp_path / "nothing"], "no such manifest"),
    ):
        done = run("card", *splits, "--out", tmp_path / "card.md")
        assert done.exit_code == 2 and message in done.output
        assert not (tmp_path / "card.md").exists()
