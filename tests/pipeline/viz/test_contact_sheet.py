"""Contact sheets and overlays: the chosen parts are drawn at their places, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.rle import encode_mask
from pipeline.viz.contact_sheet import DEFAULT, PARTS, contact_sheet
from pipeline.viz.overlays import IGNORED, Overlay, class_colour, draw_overlays, ground_truth_overlays
from tests.helpers.shapes import write_split as write_shapes
from tests.helpers.synthetic import write_split
from tests.helpers.turned import save_turned


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write_split(tmp_path / "val", frames=6)
    convert_split(tmp_path / "val", CocoConfig())
    return tmp_path / "val"


def labels(split: Path, *show: str) -> list[str]:
    dataset = read_coco(split / "annotations.json")
    image = dataset["images"][1]
    annotations = [a for a in dataset["annotations"] if a["image_id"] == image["id"]]
    annotations[0]["visible_fraction"], annotations[1]["visible_fraction"] = 0.634, 0.96
    overlays = ground_truth_overlays(image, annotations, dataset["categories"], show)
    return [overlay.label for overlay in overlays]


def test_labels_contain_the_chosen_parts(split: Path) -> None:
    assert labels(split, "names") == ["pedestrian", "pallet truck", "pedestrian"]
    assert labels(split, "ids") == ["#1", "#2", "#3"]
    assert labels(split, "names", "ids", "visible")[:2] == ["pedestrian #1, 63 %", "pallet truck #2"]
    assert labels(split, "visible")[0] == "63 %"
    assert labels(split, "masks", "boxes", "keypoints") == ["", "", ""]


def test_a_sheet_without_parts_shows_the_images_unchanged(split: Path) -> None:
    sheet = np.asarray(contact_sheet(split, 1, 1, 160, ()))
    picture = np.asarray(Image.open(split / "images" / "000000.png"))
    assert any(np.array_equal(sheet[y : y + 120, 8:168], picture) for y in range(sheet.shape[0] - 120)), (
        "at its own size, without drawings"
    )
    for part in ("masks", "boxes", "keypoints", "names", "ids"):
        assert not np.array_equal(np.asarray(contact_sheet(split, 6, 3, 160, (part,)))[-260:],
                                  np.asarray(contact_sheet(split, 6, 3, 160, ()))[-260:]), part  # fmt: skip


def test_width_and_columns_give_the_size_of_the_sheet(split: Path) -> None:
    wide, narrow = contact_sheet(split, 6, 3, 320, ("names",)), contact_sheet(split, 6, 2, 160, ("names",))
    assert wide.width == 3 * 320 + 4 * 8
    assert narrow.width == 2 * 160 + 3 * 8
    assert contact_sheet(split, 6, 3, 320, ()).height == wide.height + 30, (
        "a legend is added if no names are drawn"
    )


def draw_joints(joints: tuple[tuple[float, float, int], ...]) -> np.ndarray:
    mask = np.zeros((60, 80), np.uint8)
    mask[5:55, 10:70] = 1
    grey = Image.new("RGB", (160, 120), (128, 128, 128))
    overlay = Overlay(encode_mask(mask), class_colour(0), joints=joints, bones=((0, 1),))
    return np.asarray(draw_overlays(grey, [overlay], masks=False))


def test_visible_joints_are_dots_and_hidden_ones_are_rings() -> None:
    both = draw_joints(((20, 20, 2), (50, 40, 2)))
    assert both[40, 40].tolist() == both[80, 100].tolist() == [255, 255, 255], (
        "the joints are scaled with the mask"
    )
    assert both[60, 70].tolist() == [255, 255, 255], "a bone connects them"
    hidden = draw_joints(((20, 20, 2), (50, 40, 1)))
    assert max(hidden[60, 70]) < 255 and hidden[60, 70].tolist() != [128] * 3, (
        "the bone of a hidden joint is darker"
    )
    absent = draw_joints(((20, 20, 2), (0, 0, 0)))
    changed = (absent != 128).any(-1)
    assert changed[38:43, 38:43].any() and not changed[:30].any() and not changed[50:].any()


def test_ignore_regions_are_grey_and_have_no_label(split: Path) -> None:
    dataset = read_coco(split / "annotations.json")
    crowd = dataset["annotations"][0] | {"iscrowd": 1}
    (overlay,) = ground_truth_overlays(dataset["images"][1], [crowd], dataset["categories"], PARTS)
    assert (overlay.colour, overlay.label, overlay.joints) == (IGNORED, "", ())


def test_polygons_are_drawn_and_faulty_masks_are_named(split: Path) -> None:
    path = split / "annotations.json"
    dataset: dict[str, Any] = read_coco(path)
    polygon = {"id": 5, "image_id": 2, "category_id": 1, "segmentation": [[10, 10, 90, 10, 90, 90]]}
    polygon |= {"iscrowd": 0, "area": 3200, "bbox": [10, 10, 80, 80]}
    path.write_text(json.dumps(dataset | {"annotations": [polygon]}))
    bare, drawn = (np.asarray(contact_sheet(split, 6, 6, 160, s)).astype(int) for s in ((), ("masks",)))
    changed = np.abs(bare - drawn).max(-1) > 8
    assert 3000 < changed.sum() < 3500, "a triangle of 80 by 80 pixels"
    path.write_text(json.dumps(dataset | {"annotations": [polygon | {"segmentation": {"size": [1]}}]}))
    with pytest.raises(UserError, match="see all with 'transpalette validate"):
        contact_sheet(split, 6, 6)


def test_preview_command_applies_its_options(split: Path, tmp_path: Path) -> None:
    def call(*more: str) -> Any:
        return CliRunner().invoke(main, ["preview", str(split), "--out", str(tmp_path / "s.png"), *more])

    assert call("--show", "boxes,ids", "--width", "100", "--columns", "2").exit_code == 0
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width == 2 * 100 + 3 * 8
    assert call("--show", "").exit_code == 0
    wrong = call("--show", "boxen")
    assert wrong.exit_code == 2 and "--show boxen: unknown; known: masks, boxes" in wrong.output
    assert call("--width", "10").exit_code == 2
    options = {option.name: option.default for option in main.commands["preview"].params}
    assert options["show"] == ",".join(DEFAULT)


@pytest.mark.parametrize("orientation", [5, 6])
def test_image_with_an_exif_orientation_is_drawn_as_its_masks_are(tmp_path: Path, orientation: int) -> None:
    """Compare with the sheet of the same pixels without EXIF data. The images are not square."""
    write_shapes(tmp_path, 1, empty=0)
    path, table = tmp_path / "images" / "000000.png", json.loads((tmp_path / "annotations.json").read_bytes())
    upright = np.asarray(Image.open(path))[:, :90]
    table["images"][0]["width"] = 90
    for a in table["annotations"]:
        a["segmentation"] = encode_mask(mask_utils.decode(a["segmentation"])[:, :90])
    (tmp_path / "annotations.json").write_text(json.dumps(table))
    Image.fromarray(upright).save(path)
    expected = np.asarray(contact_sheet(tmp_path, 1, 1))
    save_turned(path, upright, orientation)
    assert np.array_equal(np.asarray(contact_sheet(tmp_path, 1, 1)), expected)
