"""Broken COCO files and image files: each case has the rule that it breaks and a function that breaks it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from pipeline.data.rle import decode_counts, encode_mask

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


JOINTS = {"keypoints": ["head", "feet"]}
DEEP: Any = json.loads("[" * 150 + "]" * 150)
COMPRESSED = encode_mask(ring())["counts"]
FILLED = np.ones((20, 30), np.uint8)
SHORT_RUNS = runs(ring())[:-1]

BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "a list of results": ("not-an-object", lambda d: d["annotations"]),
    "a string": ("not-an-object", lambda d: "COCO"),
    "null": ("not-an-object", lambda d: None),
    "nested deeply": ("nested", lambda d: d | {"info": DEEP}),
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
    "category name not Unicode": ("category-name", change("categories", 0, "name", to="a\ud800")),
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
    "segmentation missing": ("no-mask", drop("annotations", 0, "segmentation")),
    "segmentation null": ("no-mask", first("segmentation", None)),
    "segmentation 5": ("segmentation-type", first("segmentation", 5)),
    "segmentation a string": ("segmentation-type", first("segmentation", COMPRESSED)),
    "segmentation empty": ("no-mask", first("segmentation", [])),
    "polygon flat": ("polygon-values", first("segmentation", [1, 2, 3, 4, 5, 6])),
    "polygon of points": ("polygon-values", polygon([1, 2], [30, 4], [5, 30])),
    "polygon NaN": ("polygon-values", polygon(2, 2, math.nan, 2, 12, 8)),
    "polygon of null": ("polygon-values", polygon(2, 2, None, 2, 12, 8)),
    "polygon of two points": ("polygon-short", polygon(2, 2, 12, 8)),
    "polygon of nothing": ("no-mask", polygon()),
    "a polygon and nothing": ("polygon-short", change("annotations", 2, "segmentation", 1, to=[])),
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
    "half of a class ignored": (
        "mostly-crowd",
        lambda d: d | {"annotations": [*d["annotations"], d["annotations"][3] | {"id": 99, "image_id": 3}]},
    ),
    "annotation twice": (
        "annotation-copy",
        lambda d: d | {"annotations": [*d["annotations"], d["annotations"][0] | {"id": 99}]},
    ),
    "more objects than are counted": (
        "over-100-objects",
        lambda d: d | {"annotations": d["annotations"] + [first_copy(d, n) for n in range(100, 220)]},
    ),
    "skeleton a word": ("skeleton", change("categories", 0, "skeleton", to="human")),
    "skeleton without keypoints": ("skeleton", change("categories", 0, "skeleton", to=[[1, 2]])),
    "skeleton of other joints": (
        "skeleton",
        lambda d: change("categories", 0, to=d["categories"][0] | JOINTS | {"skeleton": [[1, 2], [2, 9]]})(d),
    ),
    "skeleton from 0": (
        "skeleton",
        lambda d: change("categories", 0, to=d["categories"][0] | JOINTS | {"skeleton": [[0, 1]]})(d),
    ),
    "keypoints a number": ("keypoints", first("keypoints", 0)),
    "keypoints with confidences": ("keypoints", first("keypoints", [12, 8, 0.9])),
    "keypoints far away": ("keypoints", first("keypoints", [1e300, 8, 2])),
    "keypoints of two numbers": ("keypoints", first("keypoints", [1, 2])),
    "num_keypoints wrong": (
        "keypoints",
        lambda d: first("num_keypoints", 3)(first("keypoints", [1, 2, 2])(d)),
    ),
}


# ------------------------------------------------------------------------------ image files


def rotated(path: Path, size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, format="JPEG", exif=exif)


def write_mode(path: Path, mode: str) -> None:
    Image.new(mode, (WIDTH, HEIGHT)).save(path)


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
    "upside down": ("file-exif-ambiguous", lambda p: rotated(p, (WIDTH, HEIGHT), 3)),
    **{mode: ("file-mode", partial(write_mode, mode=mode)) for mode in ("L", "P", "RGBA", "I;16", "1")},
    "CMYK": ("file-mode", lambda p: Image.new("CMYK", (WIDTH, HEIGHT)).save(p, format="JPEG")),
}
