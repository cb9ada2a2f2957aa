"""Slices by scene factor: real weaknesses rank first, chance does not, and any COCO file can be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.rle import encode_mask
from pipeline.evaluation.factors import make_binner, object_factors
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.slices import metrics_by_factor
from pipeline.evaluation.terminal import format_weakest_slices
from tests.helpers.synthetic import perfect_results, write_split

VARIANTS = ("hand", "stacker", "scissor", "rider")


@pytest.fixture(scope="module")
def dataset() -> dict[str, Any]:
    """Two hundred images of a pedestrian and two trucks, with the fields that the converter writes."""
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, 201):
        images.append(
            {
                "id": number,
                "file_name": f"{number}.png",
                "width": 160,
                "height": 80,
                "scene": f"{number // 2}",
                "layout": str(rng.choice(["aisle", "wall"])),
                "camera": {
                    "position": [0.0, 0.0, float(rng.uniform(0.3, 3))],
                    "fov": float(rng.uniform(0.7, 2)),
                    "lens": str(rng.choice(["perspective", "fisheye"])),
                },
                "lights": {"ambient": float(rng.uniform(0, 1)), "lamps": int(rng.integers(2, 6))},
            }
        )
        for place, category in ((5, 1), (60, 2), (110, 2)):
            w, h = int(rng.integers(6, 40)), int(rng.integers(6, 60))
            mask = np.zeros((80, 160), np.uint8)
            mask[10 : 10 + h, place : place + w] = 1
            words = {"paint": str(rng.choice(["red", "blue", "pink"], p=[0.6, 0.38, 0.02]))}
            words |= {"variant": str(rng.choice(VARIANTS))} if category == 2 else {"pose": "standing"}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "iscrowd": 0,
                    "area": w * h,
                    "bbox": [float(place), 10.0, float(w), float(h)],
                    "segmentation": encode_mask(mask),
                    "distance": float(rng.uniform(1, 18)),
                    "visible_fraction": float(rng.uniform(0.2, 1)),
                    "truncated": False,
                    "parameters": words | {"kind": "x", "wear": 0.5},
                }
            )
    categories = [{"id": 1, "name": "pedestrian"}, {"id": 2, "name": "pallet_truck"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def rows_of(dataset: dict[str, Any], detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return metrics_by_factor(evaluate_detections(dataset, detections, boxes=False), 0.5)


def is_not_a_pedestrian_at_6_to_8_m(image: dict[str, Any], annotation: dict[str, Any]) -> bool:
    return annotation["category_id"] == 2 or not 6 <= annotation["distance"] < 8


def is_bright(image: dict[str, Any], annotation: dict[str, Any]) -> bool:
    return image["lights"]["ambient"] > 0.3


@pytest.mark.parametrize(
    ("is_detected", "factor", "bins", "category"),
    [
        (lambda i, a: a["parameters"].get("variant") != "scissor", "variant", {"scissor"}, "pallet_truck"),
        (is_not_a_pedestrian_at_6_to_8_m, "distance", {"6 to 8 m"}, "pedestrian"),
        (lambda i, a: a["distance"] < 12, "distance", {"12 to 16 m", "from 16 m"}, None),
        (lambda i, a: i["camera"]["lens"] != "fisheye", "lens", {"fisheye"}, None),
        (lambda i, a: i["camera"]["position"][2] < 2.5, "camera height", {"from 2.5 m"}, None),
        (is_bright, "ambient", None, None),
    ],
)  # fmt: skip
def test_the_slice_that_a_model_misses_ranks_first(
    dataset: dict[str, Any],
    is_detected: Callable[[dict[str, Any], dict[str, Any]], bool],
    factor: str,
    bins: set[str] | None,
    category: str | None,
) -> None:
    """A model that detects nine in ten objects, and none in one slice."""
    rng = np.random.default_rng(1)
    images = {image["id"]: image for image in dataset["images"]}
    results = [
        result
        for a, result in zip(dataset["annotations"], perfect_results(dataset), strict=True)
        if is_detected(images[a["image_id"]], a) and rng.random() < 0.9
    ]
    rows = rows_of(dataset, results)
    first = rows[0]
    assert first["factor"] == factor and first["gap_lower_bound"] > 0.1
    assert bins is None or first["bin"] in bins
    assert category is None or first["class"] == category
    assert first["recall"]["value"] < 0.4 < first["recall"]["rest"]


def test_false_positives_lower_the_precision_of_their_slice(dataset: dict[str, Any]) -> None:
    results = perfect_results(dataset)
    wall_images = {i["id"] for i in dataset["images"] if i["layout"] == "wall"}
    blank = np.zeros((80, 160), np.uint8)
    blank[75:79, 20:30] = 1
    wrong = {"bbox": [20.0, 75.0, 10.0, 4.0], "segmentation": encode_mask(blank), "score": 0.8}
    results += [wrong | {"image_id": i, "category_id": 2} for i in sorted(wall_images)]
    rows = rows_of(dataset, results)
    row = next(r for r in rows if r["factor"] == "layout")
    assert (row["bin"], row["class"]) == ("wall", "pallet_truck") and row["gap_lower_bound"] > 0
    assert row["precision"]["value"] == pytest.approx(2 / 3, abs=1e-3) and row["precision"]["rest"] == 1
    assert not any(r["gap_lower_bound"] > 0 for r in rows if r["factor"] in ("variant", "lens"))


@pytest.mark.parametrize("seed", range(3))
def test_random_misses_make_no_slice_significantly_weaker(dataset: dict[str, Any], seed: int) -> None:
    """Random misses over more than fifty slices; rare pink objects are missed a little more often."""
    rng = np.random.default_rng(seed)
    results = [r for r in perfect_results(dataset) if rng.random() < 0.7]
    pink = {a["image_id"] for a in dataset["annotations"] if a["parameters"]["paint"] == "pink"}
    results = [r for r in results if r["image_id"] not in sorted(pink)[:2]]
    rows = rows_of(dataset, results)
    assert len(rows) > 50
    assert not [r for r in rows if r["gap_lower_bound"] > 0]
    assert format_weakest_slices({"factors": rows}) == ""


def test_images_of_one_scene_count_as_one_cluster(dataset: dict[str, Any]) -> None:
    """The same misses are significant over a hundred scenes, and not if all images are of two scenes."""
    lens = {i["id"]: i["camera"]["lens"] for i in dataset["images"]}
    results = [r for r in perfect_results(dataset) if lens[r["image_id"]] != "fisheye"]
    two_scenes = dataset | {"images": [i | {"scene": i["camera"]["lens"]} for i in dataset["images"]]}
    many = next(r for r in rows_of(dataset, results) if r["factor"] == "lens")
    two = next(r for r in rows_of(two_scenes, results) if r["factor"] == "lens")
    assert many["gap_lower_bound"] > 0.5 and two["gap_lower_bound"] < 0


def test_a_rendered_split_has_factors_of_the_renderer(tmp_path: Any) -> None:
    write_split(tmp_path / "test", frames=12)
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    rows = rows_of(dataset, perfect_results(dataset)[:10])
    known = {row["factor"] for row in rows}
    assert {"distance", "size", "visible fraction", "neighbours"} <= known
    assert "sun" not in known  # the same in every frame
    row = next(r for r in rows if r["recall"] and r["recall"]["count"])
    assert set(row) == {"factor", "bin", "place", "class", "recall", "precision", "gap_lower_bound"}


def test_any_coco_file_has_size_and_neighbours(dataset: dict[str, Any]) -> None:
    bare = dataset | {
        "images": [{k: i[k] for k in ("id", "file_name", "width", "height")} for i in dataset["images"]],
        "annotations": [
            {k: a[k] for k in ("id", "image_id", "category_id", "iscrowd", "area", "bbox", "segmentation")}
            | ({"kind": "hand"} if a["id"] % 2 else {})
            for a in dataset["annotations"]
        ],
    }
    rows = rows_of(bare, [])
    assert {row["factor"] for row in rows} == {"size", "neighbours"}
    values = object_factors(bare)
    assert values[0]["kind"] == "hand" and "kind" not in values[1] and "distance" not in values[0]
    assert rows_of(bare | {"annotations": []}, []) == []


def test_a_value_that_all_objects_of_a_class_share_is_no_factor(dataset: dict[str, Any]) -> None:
    kinds = {1: "person", 2: "truck"}
    named = dataset | {
        "annotations": [
            a | {"parameters": a["parameters"] | {"kind": kinds[a["category_id"]]}}
            for a in dataset["annotations"]
        ]
    }
    rows = rows_of(named, [])
    assert "kind" not in {row["factor"] for row in rows} and "paint" in {row["factor"] for row in rows}


def test_bins_have_round_edges_and_readable_names() -> None:
    bin_of = make_binner("distance", [1.0, 7.0, 30.0])
    assert bin_of is not None
    assert [bin_of(v) for v in (1.0, 2.0, 6.0, 16.0)] == [
        (0, "below 2 m"), (1, "2 to 3 m"), (4, "6 to 8 m"), (7, "from 16 m"),
    ]  # fmt: skip
    terciles = make_binner("noise", [float(v) for v in range(9)])
    assert terciles is not None and [terciles(v)[0] for v in (0.0, 4.0, 8.0)] == [0, 1, 2]
    assert make_binner("noise", [0.0] * 5) is None and make_binner("paint", ["red"] * 5) is None
    assert make_binner("body", [f"{n}.npz" for n in range(50)]) is None
    mixed = make_binner("lens", ["fisheye", "wide_angle"])
    assert mixed is not None and mixed("wide_angle") == (1, "wide angle")
