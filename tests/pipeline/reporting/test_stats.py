"""Statistics and cards: counted right, of anybody's file, the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.reporting.dataset_stats import GRID, MEASURES, set_statistics
from pipeline.viz.histograms import Panel, draw_panel
from pipeline.viz.overlays import PALETTE
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
    """One image, 100x50, with boxes whose numbers are easily told."""
    boxes = [[0, 0, 10, 10], [45, 20, 10, 10], [99, 49, 1, 1]]
    return {
        "images": [{"id": 1, "width": 100, "height": 50}, {"id": 2, "width": 100, "height": 50}],
        "categories": [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}],
        "annotations": [
            {"image_id": 1, "category_id": 5, "iscrowd": int(n == 2), "bbox": box, "area": box[2] * box[3]}
            for n, box in enumerate(boxes)
        ],
    }  # fmt: skip


def test_every_number_is_right() -> None:
    table = set_statistics(small_set())
    assert (table["images"], table["empty"]) == (2, 1)
    a, b = table["classes"]["a"], table["classes"]["b"]
    assert (a["objects"], a["ignored"], b["objects"]) == (2, 1, 0)
    assert a["histograms"]["width"] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]  # 0.1 starts the bin to 0.15
    assert a["histograms"]["area"] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]  # 0.02
    assert a["histograms"]["x"] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert a["histograms"]["distance"] == [0] * 11 and a["medians"]["distance"] is None
    position = np.array(a["position"])
    assert position.shape == GRID and position[1, 0] == 1 and position[6, 8] == 1 and position.sum() == 2


def test_a_split_as_counted_by_hand(split: Path, tmp_path: Path) -> None:
    assert run("stats", split, "--out", tmp_path / "out").exit_code == 0
    (table,) = json.loads((tmp_path / "out" / "stats.json").read_bytes())["sets"]
    dataset = read_coco(split / "annotations.json")
    for c in dataset["categories"]:
        mine = [a for a in dataset["annotations"] if a["category_id"] == c["id"]]
        entry = table["classes"][c["name"]]
        assert entry["objects"] == sum(not a["iscrowd"] for a in mine)
        assert entry["ignored"] == sum(a["iscrowd"] for a in mine)
        distances = [a["distance"] for a in mine if not a["iscrowd"]]
        assert entry["medians"]["distance"] == pytest.approx(np.median(distances), abs=1e-5)
        assert all(sum(entry["histograms"][name]) == entry["objects"] for name in MEASURES)
    assert any(entry["ignored"] for entry in table["classes"].values())


def test_two_sets_one_of_them_foreign(split: Path, tmp_path: Path) -> None:
    shapes.write_split(tmp_path / "photographs", 3)
    foreign = tmp_path / "photographs" / "annotations.json"
    foreign.rename(tmp_path / "instances.json")
    done = run("stats", split, tmp_path / "instances.json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tables = json.loads((tmp_path / "out" / "stats.json").read_bytes())["sets"]
    assert [t["name"] for t in tables] == ["test", "instances"]
    assert tables[1]["classes"]["pedestrian"]["medians"]["visible_fraction"] is None
    picture = np.asarray(Image.open(tmp_path / "out" / "stats.png"))
    for colour in PALETTE[:2]:
        assert (picture == colour).all(axis=2).sum() > 500
    before = [(tmp_path / "out" / name).read_bytes() for name in ("stats.json", "stats.png")]
    run("stats", split, tmp_path / "instances.json", "--out", tmp_path / "again")
    assert [(tmp_path / "again" / name).read_bytes() for name in ("stats.json", "stats.png")] == before


def test_bars_are_as_high_as_their_shares() -> None:
    picture = np.asarray(draw_panel(Panel("", ((10, 30),), labels=("0", "1", "2"))))
    blue = (picture == PALETTE[0]).all(axis=2)
    heights = blue.sum(axis=0)
    left, right = heights[: blue.shape[1] // 2].max(), heights[blue.shape[1] // 2 :].max()
    assert right > 100 and left == pytest.approx(right / 3, abs=1)


def test_mistakes_are_named(split: Path, tmp_path: Path) -> None:
    for sets, message in (
        ([split, split, split], "give one set, or two"),
        ([tmp_path / "no.json"], "no such file"),
        ([tmp_path], "no such file"),
    ):
        done = run("stats", *sets, "--out", tmp_path / "out")
        assert done.exit_code == 2 and message in done.output
        assert not (tmp_path / "out").exists()


def test_the_card_says_what_is_there(split: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "train", frames=2, seed=1)
    convert_split(tmp_path / "train", CocoConfig())
    done = run("card", tmp_path / "train", split, "--out", tmp_path / "README.md")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "README.md").read_text()
    table = set_statistics(read_coco(split / "annotations.json"))
    counts = [table["classes"][name]["objects"] for name in ("pedestrian", "pallet_truck")]
    ignored = sum(entry["ignored"] for entry in table["classes"].values())
    assert f"| test | 4 | {table['empty']} | {counts[0]} | {counts[1]} | {ignored} |" in text
    assert "| train | 2 | " in text and "| test | 0 | 4.5.0 | 1 | `" in text
    assert str(tmp_path) not in text
    run("card", tmp_path / "train", split, "--out", tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text() == text


def test_a_card_wants_rendered_splits_of_one_profile(split: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "other", categories=("crate",))
    convert_split(tmp_path / "other", CocoConfig())
    for splits, message in (
        ([split, tmp_path / "other"], "different classes"),
        ([tmp_path / "nothing"], "no such manifest"),
    ):
        done = run("card", *splits, "--out", tmp_path / "card.md")
        assert done.exit_code == 2 and message in done.output
        assert not (tmp_path / "card.md").exists()
