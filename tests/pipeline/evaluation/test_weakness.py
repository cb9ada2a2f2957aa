"""Scene factors: a planted weakness comes first, chance does not, and any COCO file will do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.rle import encode_mask
from pipeline.evaluation.factors import binner, object_factors
from pipeline.evaluation.matching import find_matches
from pipeline.evaluation.slices import weaknesses
from pipeline.evaluation.summary import judge
from pipeline.evaluation.tables import format_weakest
from tests.helpers.synthetic import perfect_results, write_split

VARIANTS = ("hand", "stacker", "scissor", "rider")


@pytest.fixture(scope="module")
def dataset() -> dict[str, Any]:
    """Two hundred pictures of two trucks and a person, as the converter describes them."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
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


def near_misses(image: dict[str, Any], annotation: dict[str, Any]) -> bool:
    return annotation["category_id"] == 2 or not 6 <= annotation["distance"] < 8


def lit(image: dict[str, Any], annotation: dict[str, Any]) -> bool:
    return image["lights"]["ambient"] > 0.3


@pytest.mark.parametrize(
    ("seen", "factor", "bins", "category"),
    [
        (lambda i, a: a["parameters"].get("variant") != "scissor", "variant", {"scissor"}, "pallet_truck"),
        (near_misses, "distance", {"6 to 8 m"}, "pedestrian"),
        (lambda i, a: a["distance"] < 12, "distance", {"12 to 16 m", "from 16 m"}, None),
        (lambda i, a: i["camera"]["lens"] != "fisheye", "lens", {"fisheye"}, None),
        (lambda i, a: i["camera"]["position"][2] < 2.5, "camera height", {"from 2.5 m"}, None),
        (lit, "ambient", None, None),
    ],
)  # fmt: skip
def test_a_planted_weakness_comes_first(
    dataset: dict[str, Any],
    seen: Callable[[dict[str, Any], dict[str, Any]], bool],
    factor: str,
    bins: set[str] | None,
    category: str | None,
) -> None:
    """A model that finds nine in ten, but nothing where it is blind."""
    rng = np.random.default_rng(1)
    images = {image["id"]: image for image in dataset["images"]}
    results = [
        result
        for a, result in zip(dataset["annotations"], perfect_results(dataset), strict=True)
        if seen(images[a["image_id"]], a) and rng.random() < 0.9
    ]
    rows = weaknesses(dataset, results, find_matches(dataset, results), 0.5)
    first = rows[0]
    assert first["factor"] == factor and first["weakness"] > 0.1
    assert bins is None or first["bin"] in bins
    assert category is None or first["class"] == category
    assert first["recall"]["value"] < 0.4 < first["recall"]["rest"]


def test_false_alarms_show_in_precision(dataset: dict[str, Any]) -> None:
    results = perfect_results(dataset)
    dark = {i["id"] for i in dataset["images"] if i["layout"] == "wall"}
    blank = np.zeros((80, 160), np.uint8)
    blank[75:79, 20:30] = 1
    wrong = {"bbox": [20.0, 75.0, 10.0, 4.0], "segmentation": encode_mask(blank), "score": 0.8}
    results += [wrong | {"image_id": i, "category_id": 2} for i in sorted(dark)]
    rows = weaknesses(dataset, results, find_matches(dataset, results), 0.5)
    row = next(r for r in rows if r["factor"] == "layout")
    assert (row["bin"], row["class"]) == ("wall", "pallet_truck") and row["weakness"] > 0
    assert row["precision"]["value"] == pytest.approx(2 / 3, abs=1e-3) and row["precision"]["rest"] == 1
    assert not any(r["weakness"] > 0 for r in rows if r["factor"] in ("variant", "lens"))


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_no_weakness(dataset: dict[str, Any], seed: int) -> None:
    """Misses drawn by lot: over some fifty bins, nothing is certain, and rare pink least of all."""
    rng = np.random.default_rng(seed)
    results = [r for r in perfect_results(dataset) if rng.random() < 0.7]
    pink = {a["image_id"] for a in dataset["annotations"] if a["parameters"]["paint"] == "pink"}
    results = [r for r in results if r["image_id"] not in sorted(pink)[:2]]
    rows = weaknesses(dataset, results, find_matches(dataset, results), 0.5)
    assert len(rows) > 50
    assert not [r for r in rows if r["weakness"] > 0]
    assert format_weakest({"factors": rows}) == ""


def test_images_of_one_scene_are_one_witness(dataset: dict[str, Any]) -> None:
    """The same misses are certain over a hundred scenes, and say little if they are all of two."""
    lens = {i["id"]: i["camera"]["lens"] for i in dataset["images"]}
    results = [r for r in perfect_results(dataset) if lens[r["image_id"]] != "fisheye"]
    few = dataset | {"images": [i | {"scene": i["camera"]["lens"]} for i in dataset["images"]]}
    matches = find_matches(dataset, results)
    many = next(r for r in weaknesses(dataset, results, matches, 0.5) if r["factor"] == "lens")
    two = next(r for r in weaknesses(few, results, matches, 0.5) if r["factor"] == "lens")
    assert many["weakness"] > 0.5 and two["weakness"] < 0


def test_a_split_of_the_renderer(tmp_path: Any) -> None:
    write_split(tmp_path / "test", frames=12)
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    table = judge(dataset, perfect_results(dataset)[:10], 0, 0.5)
    known = {row["factor"] for row in table["factors"]}
    assert {"distance", "size", "visible fraction", "neighbours"} <= known
    assert "sun" not in known  # the same in every frame
    row = next(r for r in table["factors"] if r["recall"] and r["recall"]["count"])
    assert set(row) == {"factor", "bin", "place", "class", "recall", "precision", "weakness"}


def test_anybodys_coco_file_will_do(dataset: dict[str, Any]) -> None:
    bare = dataset | {
        "images": [{k: i[k] for k in ("id", "file_name", "width", "height")} for i in dataset["images"]],
        "annotations": [
            {k: a[k] for k in ("id", "image_id", "category_id", "iscrowd", "area", "bbox", "segmentation")}
            | ({"kind": "hand"} if a["id"] % 2 else {})
            for a in dataset["annotations"]
        ],
    }
    rows = weaknesses(bare, [], find_matches(bare, []), 0.5)
    assert {row["factor"] for row in rows} == {"size", "neighbours"}
    values = object_factors(bare)
    assert values[0]["kind"] == "hand" and "kind" not in values[1] and "distance" not in values[0]
    assert weaknesses(bare | {"annotations": []}, [], find_matches(bare | {"annotations": []}, []), 0.5) == []


def test_what_only_names_the_class_is_no_factor(dataset: dict[str, Any]) -> None:
    kinds = {1: "person", 2: "truck"}
    named = dataset | {
        "annotations": [
            a | {"parameters": a["parameters"] | {"kind": kinds[a["category_id"]]}}
            for a in dataset["annotations"]
        ]
    }
    rows = weaknesses(named, [], find_matches(named, []), 0.5)
    assert "kind" not in {row["factor"] for row in rows} and "paint" in {row["factor"] for row in rows}


def test_bins_have_round_edges_and_names() -> None:
    sort = binner("distance", [1.0, 7.0, 30.0])
    assert sort is not None
    assert [sort(v) for v in (1.0, 2.0, 6.0, 16.0)] == [
        (0, "below 2 m"), (1, "2 to 3 m"), (4, "6 to 8 m"), (7, "from 16 m"),
    ]  # fmt: skip
    thirds = binner("noise", [float(v) for v in range(9)])
    assert thirds is not None and [thirds(v)[0] for v in (0.0, 4.0, 8.0)] == [0, 1, 2]
    assert binner("noise", [0.0] * 5) is None and binner("paint", ["red"] * 5) is None
    assert binner("body", [f"{n}.npz" for n in range(50)]) is None
    mixed = binner("lens", ["fisheye", "wide_angle"])
    assert mixed is not None and mixed("wide_angle") == (1, "wide angle")
