"""Convert a split to other tools' formats: no pixel is lost, and an interrupted conversion continues."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from blender.contract import UserError
from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.formats import FORMATS
from pipeline.data.formats.write import convert_to_format
from pipeline.data.validation.check import find_problems
from tests.blender.test_render import tree_hash
from tests.conftest import ROOT
from tests.helpers.synthetic import write_split


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Objects in two pieces, objects with holes, and ignore regions."""
    write_split(tmp_path / "test", categories=("pedestrian", "pallet_truck", "crate"), objects=4)
    convert_split(tmp_path / "test", CocoConfig(min_pixels=700))
    return tmp_path / "test"


def convert(split: Path, to: str, out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["convert", str(split), "--to", to, "--out", str(out), *options])


def test_coco_polygons_reproduce_the_masks(split: Path, tmp_path: Path) -> None:
    run = convert(split, "coco-polygons", tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "pixels change 0 in pycocotools, 0 in Ultralytics (" in run.output
    path = tmp_path / "out" / "annotations.json"
    before, after = read_coco(split / "annotations.json"), COCO(str(path))
    problems = list(find_problems(read_coco(path), tmp_path / "out" / "images"))
    assert {problem.rule for problem in problems} == {"mostly-crowd"}  # as in the split itself
    kinds = set()
    for a in before["annotations"]:
        other = after.anns[a["id"]]
        kinds.add((a["iscrowd"], type(other["segmentation"])))
        assert np.array_equal(after.annToMask(other), mask_utils.decode(a["segmentation"]))
    assert kinds == {(0, list), (1, dict)}


def test_yolo_outlines_are_nearly_exact_in_opencv_with_and_without_rounding(
    split: Path, tmp_path: Path
) -> None:
    run = convert(split, "yolo-seg", tmp_path / "out")
    pixels = re.search(r"of (\d+) pixels", run.output)
    counts = re.search(r"(\d+) in Ultralytics .*?, (\d+) in supervision", run.output)
    assert pixels and counts, run.output
    assert max(map(int, counts.groups())) < 0.01 * int(pixels[1])


def test_yolo_outlines_along_edges_reproduce_the_masks(split: Path, tmp_path: Path) -> None:
    run = convert(split, "yolo-seg", tmp_path / "out", "--outline", "edges")
    assert run.exit_code == 0, run.output
    table = read_coco(split / "annotations.json")
    ignored = sum(a["iscrowd"] for a in table["annotations"])
    assert ignored and f"{ignored} ignore regions become background" in run.output
    # Only OpenCV draws the lines between the two bars of a pallet truck.
    counts = re.search(
        r"change 0 in pycocotools, (\d+) in Ultralytics .*, 0 in a canvas .*, 0 in shapely", run.output
    )
    assert counts and 0 < int(counts[1]) < 100
    assert 'names:\n  0: "pedestrian"\n  1: "pallet_truck"' in (tmp_path / "out" / "data.yaml").read_text()
    objects = 0
    for image in table["images"]:
        assert (tmp_path / "out" / "images" / image["file_name"]).is_file()
        text = (tmp_path / "out" / "labels" / f"{Path(image['file_name']).stem}.txt").read_text()
        expected = [a for a in table["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]]
        for line, a in zip(text.splitlines(), expected, strict=True):
            number, *values = line.split()
            assert int(number) == a["category_id"] - 1
            points = np.array(values, float).reshape(-1, 2)
            assert ((points >= 0) & (points <= 1)).all()
            polygon = (points * (image["width"], image["height"])).ravel().tolist()
            rle = mask_utils.merge(mask_utils.frPyObjects([polygon], image["height"], image["width"]))
            assert np.array_equal(mask_utils.decode(rle), mask_utils.decode(a["segmentation"]))
            objects += 1
    assert objects >= 5


def test_imagefolder_lists_every_image_and_object(split: Path, tmp_path: Path) -> None:
    run = convert(split, "imagefolder", tmp_path / "out")
    assert run.exit_code == 0, run.output
    table = read_coco(split / "annotations.json")
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == [image["file_name"] for image in table["images"]]
    assert all((tmp_path / "out" / row["file_name"]).is_file() for row in rows)
    assert {len(values) for row in rows[1:] for values in row["objects"].values()} <= {3, 4}
    by_id = {a["id"]: a for a in table["annotations"]}
    for row in rows:
        for number, rle, crowd in zip(
            *(row["objects"][k] for k in ("id", "segmentation", "iscrowd")), strict=True
        ):
            assert json.loads(rle) == by_id[number]["segmentation"]
            assert crowd == by_id[number]["iscrowd"]


@pytest.mark.parametrize("to", FORMATS)
def test_repeated_conversion_writes_nothing(split: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    convert(split, to, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    run = convert(split, to, out)
    assert run.exit_code == 0 and "up to date" in run.output
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
def test_killed_conversion_continues_to_the_same_result(tmp_path: Path, to: str) -> None:
    split = tmp_path / "test"
    write_split(split, frames=40, objects=6)
    convert_split(split, CocoConfig())
    assert convert(split, to, tmp_path / "single").exit_code == 0
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "pipeline", "convert", str(split), "--to", to, "--out", str(out)]
    for files in (1, 20, 30):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while process.poll() is None and sum(path.is_file() for path in out.rglob("*")) <= files:
            time.sleep(0.002)
        process.kill()
        process.wait()
    assert not (out / ".convert.stamp.json").exists(), "it was not killed in time"
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert tree_hash(out) == tree_hash(tmp_path / "single")


def test_output_folder_with_other_files_is_refused(split: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(split, "yolo-seg", out).exit_code == 0
    before = tree_hash(out)
    run = convert(split, "imagefolder", out)
    assert run.exit_code == 2 and "contains other files" in run.output
    convert_split(split, CocoConfig())
    assert convert(split, "yolo-seg", out).exit_code == 2
    assert tree_hash(out) == before
    with pytest.raises(UserError, match="coco-polygons, imagefolder, yolo-seg"):
        convert_to_format([split], "pascal", tmp_path / "other")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run with three splits, of which "val" has no object, and other folders."""
    run = tmp_path / "run"
    for name, frames in {"test": 3, "train": 4, "val": 1}.items():
        write_split(run / name, frames=frames, objects=0 if name == "val" else 3)
        convert_split(run / name, CocoConfig(min_pixels=0, min_visible_fraction=0))
    (run / "people").mkdir()
    return run


def test_a_run_is_converted_in_one_call_to_yolo(run_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = convert(run_dir, "yolo-seg", out)
    assert run.exit_code == 0 and "8 images of train, val, test" in run.output, run.output
    lines = (out / "data.yaml").read_text().splitlines()
    assert lines[:3] == ["train: images/train", "val: images/val", "test: images/test"]
    for split, frames in {"train": 4, "val": 1, "test": 3}.items():
        for folder in ("images", "labels"):
            assert len(list((out / folder / split).iterdir())) == frames
    several = CliRunner().invoke(
        main, ["convert", *(str(run_dir / s) for s in ("train", "test")), "--to", "yolo-seg",
               "--out", str(tmp_path / "two")],
    )  # fmt: skip
    assert several.exit_code == 0
    lines = (tmp_path / "two" / "data.yaml").read_text().splitlines()
    assert lines[:3] == ["train: images/train", "val: images/train", "test: images/test"]


def test_coco_layout_is_that_of_cocos_own_files(run_dir: Path, split: Path, tmp_path: Path) -> None:
    for source, names in ((run_dir, ("train", "val", "test")), (split, ("test",))):
        out = tmp_path / source.name / "coco"
        assert convert(source, "coco-polygons", out, "--layout", "coco").exit_code == 0
        for name in names:
            path = out / "annotations" / f"instances_{name}.json"
            problems = list(find_problems(read_coco(path), out / "images" / name))
            assert [problem for problem in problems if problem.severity == "error"] == []
        assert len(list((out / "annotations").iterdir())) == len(names)


def test_flat_layout_has_the_splits_in_one_table(run_dir: Path, tmp_path: Path) -> None:
    note = "val has no objects, so `datasets` does not load it beside the other splits; use --layout flat"
    assert note in convert(run_dir, "imagefolder", tmp_path / "folders").output
    out = tmp_path / "flat"
    run = convert(run_dir, "imagefolder", out, "--layout", "flat")
    assert run.exit_code == 0 and note not in run.output
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["train"] * 4 + ["val"] + ["test"] * 3
    assert all((out / row["file_name"]).is_file() for row in rows)
    assert len({row["file_name"] for row in rows}) == len(rows)


def test_outlines_through_pixels_are_exact_where_corners_are_rounded(split: Path, tmp_path: Path) -> None:
    run = convert(split, "coco-polygons", tmp_path / "out", "--outline", "pixels")
    assert run.exit_code == 0, run.output
    assert re.search(r"change [1-9]\d* in pycocotools, 0 in Ultralytics .*, 0 in supervision", run.output)
    run = convert(split, "coco-polygons", tmp_path / "edges")
    assert re.search(r"change 0 in pycocotools, 0 in Ultralytics .*, [1-9]\d* in supervision", run.output)


def test_ignore_regions_can_be_left_out(split: Path, tmp_path: Path) -> None:
    assert convert(split, "coco-polygons", tmp_path / "out", "--drop-ignored").exit_code == 0
    before = read_coco(split / "annotations.json")["annotations"]
    after = read_coco(tmp_path / "out" / "annotations.json")["annotations"]
    assert [a["id"] for a in after] == [a["id"] for a in before if not a["iscrowd"]]
    assert 0 < len(after) < len(before)


def test_unusable_sources_and_layouts_are_refused(run_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (run_dir / "other").mkdir()
    write_split(run_dir / "other" / "train", frames=1, categories=("crate",))
    convert_split(run_dir / "other" / "train", CocoConfig())
    for sources, options, message in (
        ([run_dir], ["--to", "yolo-seg", "--layout", "coco"], "not for yolo-seg; choose split"),
        ([run_dir / "people"], ["--to", "yolo-seg"], "no annotations.json here or in its folders"),
        ([run_dir, run_dir / "other"], ["--to", "yolo-seg"], "have the same name"),
        ([run_dir / "val", run_dir / "other"], ["--to", "imagefolder"], "have different categories"),
    ):
        run = CliRunner().invoke(main, ["convert", *map(str, sources), *options, "--out", str(out)])
        assert run.exit_code == 2 and message in run.output, run.output
        assert not [path for path in out.rglob("*") if not path.name.startswith(".")]


def test_images_that_would_share_a_label_file_are_refused(split: Path, tmp_path: Path) -> None:
    path = split / "annotations.json"
    table = read_coco(path)
    (split / "images" / "000001.png").rename(split / "images" / "000000.jpg")
    table["images"][1]["file_name"] = "000000.jpg"
    path.write_text(json.dumps(table))
    run = convert(split, "yolo-seg", tmp_path / "out")
    assert run.exit_code == 2 and "two images would share labels/000000.txt" in run.output
