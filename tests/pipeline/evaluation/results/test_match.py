"""Results of other tools: their images and categories are found, and an AP of 0 by wrong ids is explained."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main

NAMES = ("000000.png", "000001.png", "sub/IMG 7.jpg", "c.rf.a1b2.jpg")
CATEGORIES = [{"id": 3, "name": "pedestrian"}, {"id": 8, "name": "pallet_truck"}]
Table = list[dict[str, Any]]


def dataset(names: tuple[str, ...] = NAMES, categories: Table = CATEGORIES) -> dict[str, Any]:
    """Images with ids from 1 and one object of each category, at another place in each image."""
    annotations: Table = []
    for number in range(len(names)):
        for row, category in enumerate(categories):
            box = [10 + 25 * number, 10 + 60 * row, 20, 40]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number + 1, "category_id": category["id"]}
                | {"bbox": box, "area": 800, "iscrowd": 0}
            )
    images = [{"id": n, "file_name": name, "width": 200, "height": 160} for n, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def perfect(table: dict[str, Any]) -> Table:
    keys = ("image_id", "category_id", "bbox")
    return [{key: a[key] for key in keys} | {"score": 0.9} for a in table["annotations"]]


def stem(name: str) -> int | str:
    """The image_id that Ultralytics writes: the file's stem, as a number if it is one."""
    text = Path(name).stem
    return int(text) if text.isnumeric() else text


def evaluate(folder: Path, table: dict[str, Any], results: Any, *options: str) -> Result:
    (folder / "annotations.json").write_text(json.dumps(table))
    (folder / "results.json").write_text(json.dumps(results))
    files = ["--annotations", folder / "annotations.json", "--predictions", folder / "results.json"]
    return CliRunner().invoke(main, ["evaluate", *map(str, files), "--bootstrap", "0", *options])


def box_ap(done: Result) -> str:
    assert done.exit_code == 0, done.output
    return done.output.splitlines()[-1].split()[2]


def notes(done: Result) -> list[str]:
    return [line for line in done.output.splitlines() if line.startswith("note: ") and "no mask" not in line]


# ------------------------------------------------------------------------------ images


def named(spell: Any) -> Any:
    """Results with ids from 100, as of another run, and ``file_name`` as ``spell`` writes it."""
    return lambda table: [
        r | {"image_id": r["image_id"] + 100, "file_name": spell(NAMES[r["image_id"] - 1])}
        for r in perfect(table)
    ]


IMAGES: dict[str, tuple[Any, str]] = {
    "the file's ids": (perfect, ""),
    "ids as text": (lambda t: [r | {"image_id": str(r["image_id"])} for r in perfect(t)], ""),
    "file_name": (named(str), "8 results name different images: file_name is used"),
    "file_name alone": (
        lambda t: [{k: v for k, v in r.items() if k != "image_id"} for r in named(str)(t)], "",
    ),
    "file_name without folder": (named(lambda name: Path(name).name), "file_name is used"),
    "file_name with a folder": (named(lambda name: f"C:\\data\\{Path(name).name}"), "file_name is used"),
    "file_name as a URL": (named(lambda name: f"https://host/{quote(name)}?v=1"), "file_name is used"),
    "file_name in capitals": (named(str.upper), "file_name is used"),
    "file_name of another type": (named(lambda name: f"{Path(name).stem}.png"), "file_name is used"),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_found_by_name_or_id(name: str, tmp_path: Path) -> None:
    make, note = IMAGES[name]
    table = dataset()
    done = evaluate(tmp_path, table, make(table))
    assert box_ap(done) == "1.000"
    assert len(notes(done)) == bool(note) and note in done.output


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        ("000000.png", "000001.png", "000002.png"),
        ("a/7.jpg", "a/12.jpg", "a/1.jpg"),
        ("x.png", "y.png"),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_stems_as_ids_are_read_even_if_they_are_also_ids(
    names: tuple[str, ...], first: int, tmp_path: Path
) -> None:
    """Without results in the first image, the stems 1, 2 of images 2, 3 are ids of other images."""
    table = dataset(names)
    shown = [r for r in perfect(table) if r["image_id"] > first]
    results = [r | {"image_id": stem(names[r["image_id"] - 1])} for r in shown]
    done = evaluate(tmp_path, table, results)
    expected = len({r["image_id"] for r in shown}) / len(names)
    assert float(box_ap(done)) == pytest.approx(expected, abs=0.02)


def test_a_folder_in_the_name_tells_images_of_one_name_apart(tmp_path: Path) -> None:
    table = dataset(("cam1/7.jpg", "cam2/7.jpg"))
    results = [r | {"file_name": f"/data/cam{r['image_id']}/7.jpg", "image_id": 9} for r in perfect(table)]
    assert box_ap(evaluate(tmp_path, table, results)) == "1.000"
    two_images = [r | {"file_name": f"cam{n}/x.jpg"} for n, r in enumerate(perfect(dataset(("x.jpg",))))]
    done = evaluate(tmp_path, dataset(("x.jpg",)), two_images)
    assert done.exit_code == 2 and "the results are for 'cam0/x.jpg', 'cam1/x.jpg'" in done.output


def test_results_for_other_images_are_left_out_with_a_note(tmp_path: Path) -> None:
    table = dataset()
    other = [r | {"file_name": f"other{n}.jpg"} for n, r in enumerate(perfect(table))]
    done = evaluate(tmp_path, table, named(str)(table) + other)
    assert box_ap(done) == "1.000"
    assert (
        "8 results are left out: the annotation file lacks their images, 'other0.jpg', 'other1.jpg'"
        in done.output
    )
    done = evaluate(tmp_path, table, other)
    assert done.exit_code == 2 and done.output.count("\n") == 1
    assert (
        "the results are for 'other0.jpg'" in done.output
        and "the annotation file has '000000.png'" in done.output
    )


def test_a_name_of_two_images_is_resolved_by_id_or_refused(tmp_path: Path) -> None:
    table = dataset(("a/1.png", "b/1.png"))
    results = [r | {"file_name": "1.png"} for r in perfect(table)]
    assert box_ap(evaluate(tmp_path, table, results)) == "1.000"
    done = evaluate(tmp_path, table, [r | {"image_id": 9} for r in results])
    assert done.exit_code == 2 and "file_name '1.png' fits 2 images" in done.output


# ------------------------------------------------------------------------------ categories


def renumber(numbers: dict[int, Any], **more: Any) -> Any:
    return lambda table: [r | {"category_id": numbers[r["category_id"]], **more} for r in perfect(table)]


def with_names(names: dict[int, str]) -> Any:
    return lambda table: [
        r | {"category_id": 77, "category_name": names[r["category_id"]]} for r in perfect(table)
    ]


NUMBERS: dict[str, tuple[Any, str]] = {
    "ids as text": (renumber({3: "3", 8: "8"}), ""),
    "from 0": (renumber({3: 0, 8: 1}), "category_id is read as a position"),
    "names": (with_names({3: "pedestrian", 8: "pallet_truck"}), ""),
    "names as category_id": (renumber({3: "pedestrian", 8: "pallet truck"}), ""),
    "names in other words": (with_names({3: "Person", 8: "Pallet Truck"}), ""),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_categories_are_found_by_name_or_number(name: str, tmp_path: Path) -> None:
    make, note = NUMBERS[name]
    table = dataset()
    done = evaluate(tmp_path, table, make(table))
    assert box_ap(done) == "1.000" and note in done.output and len(notes(done)) == bool(note)


@pytest.mark.parametrize(
    ("person", "chair", "title"), [(1, 62, "COCO's ids"), (0, 56, "the numbers of COCO's 80")]
)
def test_numbers_of_coco_classes_are_read(person: int, chair: int, title: str, tmp_path: Path) -> None:
    table = dataset(categories=[{"id": 4, "name": "pedestrian"}])
    people = [r | {"category_id": person} for r in perfect(table)]
    chairs = [r | {"category_id": chair} for r in people]
    done = evaluate(tmp_path, table, people + chairs)
    assert box_ap(done) == "1.000" and f"category_id is read as {title}" in done.output
    assert "4 results are left out: the annotation file lacks 'chair'" in done.output


def test_categories_that_the_file_lacks_are_named(tmp_path: Path) -> None:
    table = dataset()
    done = evaluate(tmp_path, table, with_names({3: "forklift", 8: "pallet_truck"})(table))
    assert (
        done.exit_code == 0 and "4 results are left out: the annotation file lacks 'forklift'" in done.output
    )
    done = evaluate(tmp_path, table, with_names({3: "forklift", 8: "rack"})(table))
    assert done.exit_code == 2 and "no category in common" in done.output and done.output.count("\n") == 1
    done = evaluate(
        tmp_path, table, with_names({3: "walker", 8: "pallet_truck"})(table), "--map", "pedestrian=walker"
    )
    assert box_ap(done) == "1.000"


# ------------------------------------------------------------------------------ nothing matches


def corners(r: dict[str, Any]) -> dict[str, Any]:
    x, y, w, h = r["bbox"]
    return {"bbox": [x, y, x + w, y + h]}


def shares(r: dict[str, Any]) -> dict[str, Any]:
    x, y, w, h = r["bbox"]
    return {"bbox": [x / 200, y / 160, w / 200, h / 160]}


WRONG: dict[str, tuple[Any, str]] = {
    "categories exchanged": (renumber({3: 8, 8: 3}), "category ids disagree"),
    "ids one too high": (
        lambda t: [r | {"image_id": r["image_id"] + 1} for r in perfect(t) if r["image_id"] < 4],
        "one too high",
    ),
    "ids one too low": (
        lambda t: [r | {"image_id": r["image_id"] - 1} for r in perfect(t) if r["image_id"] > 1],
        "one too low",
    ),
    "corners": (
        lambda t: [r | corners(r) for r in perfect(t) if r["image_id"] > 1],
        "bbox is [left, top, right, bottom]",
    ),
    "shares": (lambda t: [r | shares(r) for r in perfect(t)], "bbox is in shares of the image"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_ap_of_0_by_wrong_ids_or_boxes_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    make, reason = WRONG[name]
    table = dataset(("a.png", "b.png", "c.png", "d.png"))
    done = evaluate(tmp_path, table, make(table), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2 and reason in done.output, done.output
    assert done.output.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_reading_that_fits_far_better_is_noted_if_few_results_match(tmp_path: Path) -> None:
    """The corners of the object at the left edge are nearly its width and height."""
    table = dataset()
    done = evaluate(tmp_path, table, [r | corners(r) for r in perfect(table)])
    assert 0 < float(box_ap(done)) < 0.1
    assert "1 of 8 objects have a result, but 8 would have one" in done.output
    assert "bbox is [left, top, right, bottom]" in done.output


def test_poor_and_empty_results_get_an_ap_of_0_and_a_note(tmp_path: Path) -> None:
    table = dataset()
    rng = random.Random(0)
    poor = [r | {"bbox": [150 + rng.random(), 130, 9, 9]} for r in perfect(table)]
    done = evaluate(tmp_path, table, poor)
    assert box_ap(done) == "0.000" and "no result overlaps an object of its class" in done.output
    done = evaluate(tmp_path, table, [])
    assert box_ap(done) == "0.000" and "has no results" in done.output


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "no box": ({}, "it has no mask, and its bbox is None, not four numbers"),
    "negative box": ({"bbox": [9, 9, -3, 4]}, "bbox [9, 9, -3, 4] has a negative width or height"),
    "box of text": ({"bbox": "1 2 3 4", "segmentation": None}, "it has no mask, and its bbox is '1 2 3 4'"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_box_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    fields, message = FAULTY[name]
    result = {"image_id": 1, "category_id": 3, "score": 0.5} | fields
    done = evaluate(tmp_path, dataset(), [result])
    assert done.exit_code == 2 and f"result 0: {message}" in done.output and done.output.count("\n") == 1
