"""Validate COCO files with faults of each kind: each is reported by its rule, and none crashes the check."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.cli import main
from pipeline.data.rle import decode_counts, encode_mask
from pipeline.data.validation.check import REPAIR_STEPS, find_faults, load_validated_coco, validate_file
from pipeline.data.validation.rules import RULES, Fault

HEIGHT, WIDTH = 40, 60


def ring() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:25, 10:40] = 1
    mask[10:20, 20:30] = 0
    return mask


def runs(mask: np.ndarray) -> list[int]:
    return decode_counts(encode_mask(mask)["counts"]).tolist()


def valid_dataset() -> dict[str, Any]:
    """A valid file: polygons, both kinds of RLE, an ignore region, ids with gaps."""
    rle = encode_mask(ring())
    polygon = [[2.0, 2.0, 12.0, 2.0, 12.0, 8.0, 2.0, 8.0], [20, 30, 26, 30, 26, 36]]
    drawn = mask_utils.merge(mask_utils.frPyObjects(polygon, HEIGHT, WIDTH))
    a = {"image_id": 3, "category_id": 1, "iscrowd": 0, "area": 500, "bbox": [10, 5, 30, 20]}
    return {
        "info": {},
        "categories": [{"id": 1, "name": "pedestrian"}, {"id": 90, "name": "pallet_truck"}],
        "images": [
            {"id": 3, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 7, "file_name": "sub/b.png", "width": WIDTH, "height": HEIGHT},
        ],
        "annotations": [
            a | {"id": 11, "segmentation": rle},
            a | {"id": 12, "image_id": 7, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs(ring())}},
            a
            | {"id": 15, "category_id": 90, "segmentation": polygon}
            | {"area": int(mask_utils.area(drawn)), "bbox": mask_utils.toBbox(drawn).tolist()},
            a | {"id": 16, "image_id": 7, "iscrowd": 1, "segmentation": rle, "bbox": [10, 5, 30.5, 20]},
        ],
    }


def change(*path: Any, to: Any) -> Callable[[dict[str, Any]], Any]:
    def apply(dataset: dict[str, Any]) -> Any:
        item: Any = dataset
        for key in path[:-1]:
            item = item[key]
        item[path[-1]] = to
        return dataset

    return apply


def drop(*path: Any) -> Callable[[dict[str, Any]], Any]:
    def apply(dataset: dict[str, Any]) -> Any:
        item: Any = dataset
        for key in path[:-1]:
            item = item[key]
        del item[path[-1]]
        return dataset

    return apply


def image(key: str, to: Any) -> Callable[[dict[str, Any]], Any]:
    return change("images", 0, key, to=to)


def first(key: str, to: Any) -> Callable[[dict[str, Any]], Any]:
    return change("annotations", 0, key, to=to)


def rle(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return first("segmentation", encode_mask(ring()) | changes)


def polygon(*numbers: Any) -> Callable[[dict[str, Any]], Any]:
    return change("annotations", 2, "segmentation", to=[list(numbers)])


def first_copy(dataset: dict[str, Any], number: int) -> dict[str, Any]:
    return dataset["annotations"][0] | {"id": number, "bbox": [10, 5, 30 + number / 1e4, 20]}


COMPRESSED = encode_mask(ring())["counts"]
FILLED = np.ones((20, 30), np.uint8)
SHORT_RUNS = runs(ring())[:-1]

BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "a list of results": ("not-an-object", lambda d: d["annotations"]),
    "a string": ("not-an-object", lambda d: "COCO"),
    "null": ("not-an-object", lambda d: None),
    "no images": ("list-missing", drop("images")),
    "no annotations": ("list-missing", drop("annotations")),
    "categories an object": ("list-missing", change("categories", to={"1": "pedestrian"})),
    "images empty": ("no-images", change("images", to=[])),
    "categories empty": ("no-categories", change("categories", to=[])),
    "annotations empty": ("no-annotations", change("annotations", to=[])),
    "category a string": ("category-type", change("categories", 0, to="pedestrian")),
    "image a string": ("image-type", change("images", 0, to="a.png")),
    "annotation a list": ("annotation-type", change("annotations", 0, to=[1, 2])),
    "category id a string": ("category-id", change("categories", 0, "id", to="1")),
    "category id negative": ("category-id", change("categories", 0, "id", to=-1)),
    "category id true": ("category-id", change("categories", 0, "id", to=True)),
    "category id missing": ("category-id", drop("categories", 0, "id")),
    "category id 0": ("category-id-zero", change("categories", 0, "id", to=0)),
    "category id twice": ("category-id-duplicate", change("categories", 1, "id", to=1)),
    "category without name": ("category-name", drop("categories", 0, "name")),
    "category name empty": ("category-name", change("categories", 0, "name", to=" ")),
    "category name a number": ("category-name", change("categories", 0, "name", to=5)),
    "category name twice": ("category-name-duplicate", change("categories", 1, "name", to="pedestrian")),
    "image id missing": ("image-id", drop("images", 0, "id")),
    "image id a string": ("image-id", image("id", "3")),
    "image id a float": ("image-id", image("id", 3.0)),
    "image id twice": ("image-id-duplicate", image("id", 7)),
    "width missing": ("image-size", drop("images", 0, "width")),
    "height zero": ("image-size", image("height", 0)),
    "height a float": ("image-size", image("height", 40.5)),
    "width a string": ("image-size", image("width", "60")),
    "width absurd": ("image-size", image("width", 10**9)),
    "file_name missing": ("file-name", drop("images", 0, "file_name")),
    "file_name empty": ("file-name", image("file_name", "")),
    "file_name null": ("file-name", image("file_name", None)),
    "file_name climbs": ("file-name-path", image("file_name", "../a.png")),
    "file_name climbs inside": ("file-name-path", image("file_name", "sub/../../a.png")),
    "file_name absolute": ("file-name-path", image("file_name", "/etc/passwd")),
    "file_name with a drive": ("file-name-path", image("file_name", "C:/a.png")),
    "file_name with backslashes": ("file-name-path", image("file_name", "..\\a.png")),
    "file_name with NUL": ("file-name-path", image("file_name", "a.png\0.txt")),
    "file_name twice": ("file-name-duplicate", image("file_name", "sub/b.png")),
    "annotation id missing": ("annotation-id", drop("annotations", 0, "id")),
    "annotation id a string": ("annotation-id", first("id", "11")),
    "annotation id a float": ("annotation-id", first("id", 1.5)),
    "annotation id 0": ("annotation-id-zero", first("id", 0)),
    "annotation id twice": ("annotation-id-duplicate", first("id", 12)),
    "image unknown": ("image-id-unknown", first("image_id", 4)),
    "image_id missing": ("image-id-unknown", drop("annotations", 0, "image_id")),
    "image_id a list": ("image-id-unknown", first("image_id", [3])),
    "category unknown": ("category-id-unknown", first("category_id", 2)),
    "category_id a string": ("category-id-unknown", first("category_id", "1")),
    "iscrowd missing": ("iscrowd-missing", drop("annotations", 0, "iscrowd")),
    "iscrowd 2": ("iscrowd-value", first("iscrowd", 2)),
    "iscrowd true": ("iscrowd-value", first("iscrowd", True)),
    "iscrowd null": ("iscrowd-value", first("iscrowd", None)),
    "area missing": ("area-missing", drop("annotations", 0, "area")),
    "area NaN": ("area-value", first("area", math.nan)),
    "area negative": ("area-value", first("area", -5)),
    "area a string": ("area-value", first("area", "500")),
    "area of the box": ("area-mask", first("area", 600)),
    "area of the filled mask": ("area-mask", change("annotations", 1, "area", to=600)),
    "area in units of the image": ("area-mask", change("annotations", 2, "area", to=0.03)),
    "bbox missing": ("bbox-missing", drop("annotations", 0, "bbox")),
    "bbox of three": ("bbox-value", first("bbox", [10, 5, 30])),
    "bbox an object": ("bbox-value", first("bbox", {"x": 10})),
    "bbox NaN": ("bbox-value", first("bbox", [10, math.nan, 30, 20])),
    "bbox infinite": ("bbox-value", first("bbox", [10, 5, math.inf, 20])),
    "bbox of strings": ("bbox-value", first("bbox", ["10", "5", "30", "20"])),
    "bbox negative": ("bbox-empty", first("bbox", [40, 25, -30, -20])),
    "bbox without width": ("bbox-empty", first("bbox", [10, 5, 0, 20])),
    "bbox under a pixel": ("bbox-tiny", first("bbox", [0.2, 0.1, 0.5, 0.5])),
    "bbox outside": ("bbox-outside", first("bbox", [70, 5, 30, 20])),
    "bbox reaches beyond": ("bbox-beyond", first("bbox", [10, 5, 55, 20])),
    "bbox as corners": ("bbox-mask", first("bbox", [10, 5, 40, 25])),
    "bbox shifted": ("bbox-mask", first("bbox", [15, 5, 30, 20])),
    "segmentation missing": ("segmentation-missing", drop("annotations", 0, "segmentation")),
    "segmentation null": ("segmentation-type", first("segmentation", None)),
    "segmentation a string": ("segmentation-type", first("segmentation", COMPRESSED)),
    "segmentation empty": ("segmentation-empty", first("segmentation", [])),
    "polygon flat": ("polygon-values", first("segmentation", [1, 2, 3, 4, 5, 6])),
    "polygon of points": ("polygon-values", polygon([1, 2], [30, 4], [5, 30])),
    "polygon NaN": ("polygon-values", polygon(2, 2, math.nan, 2, 12, 8)),
    "polygon of null": ("polygon-values", polygon(2, 2, None, 2, 12, 8)),
    "polygon of two points": ("polygon-short", polygon(2, 2, 12, 8)),
    "polygon of nothing": ("polygon-short", polygon()),
    "polygon odd": ("polygon-odd", polygon(2, 2, 12, 2, 12, 8, 2)),
    "polygon reaches beyond": ("polygon-beyond", polygon(2, 2, 80, 2, 12, 8)),
    "polygon far outside": ("polygon-outside", polygon(2, 2, 1e12, 2, 12, 1e300)),
    "polygon without area": ("mask-empty", polygon(2, 2, 2, 2, 2, 2)),
    "RLE size swapped": ("rle-size-swapped", rle(size=[WIDTH, HEIGHT])),
    "RLE size of another image": ("rle-size", rle(size=[HEIGHT, WIDTH + 1])),
    "RLE without size": ("rle-size", first("segmentation", {"counts": COMPRESSED})),
    "RLE without counts": ("rle-counts", first("segmentation", {"size": [HEIGHT, WIDTH]})),
    "RLE counts a number": ("rle-counts", rle(counts=7)),
    "RLE cut off": ("rle-counts", rle(counts=COMPRESSED[:-1] + "o")),
    "RLE with strange characters": ("rle-counts", rle(counts=COMPRESSED + " ")),
    "RLE not ASCII": ("rle-counts", rle(counts="é" + COMPRESSED)),
    "RLE with a negative run": ("rle-counts", rle(counts=[100, -5, HEIGHT * WIDTH - 95])),
    "RLE with a float run": ("rle-counts", rle(counts=[100.5, 5, HEIGHT * WIDTH])),
    "RLE of another size": ("rle-sum", rle(counts=encode_mask(FILLED)["counts"])),
    "RLE runs do not add up": ("rle-sum", rle(counts=SHORT_RUNS)),
    "RLE counts empty": ("rle-sum", rle(counts="")),
    "mask empty": ("mask-empty", rle(counts=[HEIGHT * WIDTH])),
    "mask compressed and empty": (
        "mask-empty",
        first("segmentation", encode_mask(np.zeros((HEIGHT, WIDTH), np.uint8))),
    ),
    "crowd with polygons": ("crowd-polygon", change("annotations", 2, "iscrowd", to=1)),
    "a class of ignore regions": ("all-crowd", change("annotations", 2, "iscrowd", to=1)),
    "annotation twice": (
        "annotation-copy",
        lambda d: d | {"annotations": [*d["annotations"], d["annotations"][0] | {"id": 99}]},
    ),
    "more objects than are counted": (
        "over-100-objects",
        lambda d: d | {"annotations": d["annotations"] + [first_copy(d, n) for n in range(100, 220)]},
    ),
    "keypoints of two numbers": ("keypoints", first("keypoints", [1, 2])),
    "num_keypoints wrong": (
        "keypoints",
        lambda d: first("num_keypoints", 3)(first("keypoints", [1, 2, 2])(d)),
    ),
}


def broken_by(dataset: Any, images: Path | None = None) -> list[str]:
    return [fault.rule for fault in find_faults(dataset, images)]


def test_valid_file_has_no_faults() -> None:
    assert broken_by(valid_dataset()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule_is_reported(name: str) -> None:
    rule, damage = BROKEN[name]
    dataset = damage(copy.deepcopy(valid_dataset()))
    before = repr(dataset)
    faults = list(find_faults(dataset))
    fault = next((f for f in faults if f.rule == rule), None)
    assert fault is not None, f"only {faults}"
    assert fault.message and fault.advice and "\n" not in str(fault)
    assert repr(dataset) == before
    if rule.startswith(("bbox", "area", "iscrowd", "polygon", "rle", "mask")):
        assert fault.annotation_id in (11, 12, 15) and fault.image_id in (3, 7)


def test_many_kinds_of_faults_are_covered() -> None:
    assert len(BROKEN) >= 100
    assert len({rule for rule, _ in BROKEN.values()}) >= 45


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = [place for place in places(valid_dataset()) if place]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PLACES), json_values), min_size=1, max_size=3))
def test_no_json_value_crashes_the_check(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    dataset: Any = valid_dataset()
    for place, value in changes:
        try:
            change(*place, to=copy.deepcopy(value))(dataset)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change removed this place
    for fault in find_faults(dataset):
        assert str(fault)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30))
def test_counts_are_decoded_as_by_cocoapi_or_refused(counts: str) -> None:
    try:
        lengths = decode_counts(counts)
    except ValueError:
        return
    if len(lengths) and lengths.sum() < 10**6 and lengths.max() < 2**31:
        total = int(lengths.sum())
        area = int(mask_utils.area({"size": [1, total], "counts": counts.encode()}))
        assert area == lengths[1::2].sum()


def test_counts_of_cocoapi_are_decoded_to_the_mask() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        size = rng.integers(1, 200, 2)
        mask = (rng.random(size) < rng.choice([0.001, 0.1, 0.5])).astype(np.uint8)
        lengths = decode_counts(encode_mask(mask)["counts"])
        flat = np.repeat(np.arange(len(lengths)) % 2, lengths)
        assert np.array_equal(flat.reshape(size[::-1]).T, mask)


# ------------------------------------------------------------------------------ image files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def rotated(path: Path, size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, format="JPEG", exif=exif)


def truncate(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-800])


def link_out(path: Path) -> None:
    outside = path.parent.parent / "secret.png"
    path.rename(outside)
    path.symlink_to(outside)


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "missing": ("file-missing", Path.unlink),
    "a symlink out": ("file-outside", link_out),
    "a loop of symlinks": ("file-", link_to_itself),
    "truncated": ("file-unreadable", truncate),
    "text": ("file-unreadable", lambda p: p.write_text("hello")),
    "empty": ("file-unreadable", lambda p: p.write_bytes(b"")),
    "of another size": ("file-size", lambda p: Image.new("RGB", (30, 30)).save(p)),
    "turned, the JSON as stored": ("file-exif-rotated", lambda p: rotated(p, (WIDTH, HEIGHT), 6)),
    "turned, the JSON as shown": ("file-exif-rotated", lambda p: rotated(p, (HEIGHT, WIDTH), 6)),
    "upside down": ("file-exif-rotated", lambda p: rotated(p, (WIDTH, HEIGHT), 3)),
    **{
        mode: ("file-mode", lambda p, mode=mode: Image.new(mode, (WIDTH, HEIGHT)).save(p))
        for mode in ("L", "P", "RGBA", "I;16", "1")
    },
    "CMYK": ("file-mode", lambda p: Image.new("CMYK", (WIDTH, HEIGHT)).save(p, format="JPEG")),
}


@pytest.mark.parametrize("name", FILES)
def test_broken_image_file_is_reported(folder: Path, name: str) -> None:
    rule, damage = FILES[name]
    assert broken_by(valid_dataset(), folder) == []
    damage(folder / "a.png")
    faults = list(find_faults(valid_dataset(), folder))
    assert faults and all(f.rule.startswith(rule) and f.image_id == 3 for f in faults), faults


def test_paths_out_of_the_folder_are_errors(folder: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.parent / "out.png")
    for name in ("../out.png", str(folder.parent / "out.png"), "a.png\0", "x" * 5000, "sub"):
        dataset = valid_dataset()
        dataset["images"][0]["file_name"] = name
        assert any(f.severity == "error" for f in find_faults(dataset, folder))


# ------------------------------------------------------------------------------ command


def test_command_validate(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(valid_dataset()))
    run = CliRunner().invoke(main, ["validate", str(path), "--images", str(folder)])
    assert run.exit_code == 0, run.output
    assert run.output.endswith("0 errors, 0 warnings in 2 images, 4 annotations, 2 categories\n")
    path.write_text(json.dumps(BROKEN["bbox as corners"][1](valid_dataset())))
    assert CliRunner().invoke(main, ["validate", str(path)]).exit_code == 0  # only warnings
    path.write_text(json.dumps(BROKEN["annotation id 0"][1](valid_dataset())))
    before = path.read_bytes()
    run = CliRunner().invoke(main, ["validate", str(path)])
    assert run.exit_code == 2
    assert "error: image 3, annotation 0, annotation-id-zero: id is 0; fix: number from 1" in run.output
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"\x80"])
def test_other_files_are_not_json(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert validate_file(path, None)
    assert "not-json" in capsys.readouterr().out


def test_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["validate", str(tmp_path / "x.json")])
    assert run.exit_code == 2 and "no such file" in run.output
    (tmp_path / "x.json").write_text(json.dumps(valid_dataset()))
    run = CliRunner().invoke(main, ["validate", str(tmp_path / "x.json"), "--images", str(tmp_path / "no")])
    assert run.exit_code == 2 and "no such folder" in run.output


def test_large_file_is_checked_in_reasonable_time() -> None:
    dataset = valid_dataset()
    template = dataset["annotations"][0]
    dataset["images"] = [dataset["images"][0] | {"id": n, "file_name": f"{n}.png"} for n in range(1, 501)]
    dataset["annotations"] = [
        template | {"id": n, "image_id": 1 + n % 500, "bbox": [10, 5, 30 + n / 1e5, 20]}
        for n in range(1, 5001)
    ]
    began = time.process_time()
    assert broken_by(dataset) == []
    assert time.process_time() - began < 6  # a tenth of 5,000 images and 50,000 annotations in a minute


def test_fault_is_one_line() -> None:
    assert str(Fault("r", "m", 1, 2, "c")) == "error: image 1, annotation 2, r: m; fix: c"
    assert str(Fault("r", "m", advice="c", severity="warning")) == "warning: r: m; fix: c"
    assert os.linesep not in str(Fault("r", "m"))


# ------------------------------------------------------------------------------ the registry


@pytest.mark.parametrize("name", RULES)
def test_rule_has_advice_and_a_fix_or_a_reason_for_none(name: str) -> None:
    rule = RULES[name]
    assert rule.advice
    assert sum(bool(option) for option in (rule.fix, rule.dataset_fix, rule.not_fixable)) == 1
    assert rule.dataset_fix is None or rule.dataset_fix in REPAIR_STEPS


def test_validated_file_is_loaded_or_its_first_error_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(BROKEN["area of the box"][1](valid_dataset())))
    assert load_validated_coco(path) == json.loads(path.read_bytes())  # only a warning
    path.write_text(json.dumps(BROKEN["annotation id 0"][1](valid_dataset())))
    with pytest.raises(UserError, match=r"x.json: 1 errors, the first: annotation-id-zero: id is 0; see all"):
        load_validated_coco(path)
    path.write_text(json.dumps(valid_dataset() | {"images": [], "annotations": []}))
    with pytest.raises(UserError, match="no-images"):
        load_validated_coco(path)
