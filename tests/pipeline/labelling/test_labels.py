"""The command labels: masks come back from each tool, and what is wrong is named in one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pycocotools import mask as mask_utils

from pipeline.cli import main
from pipeline.data.rle import encode_mask
from pipeline.data.validation.check import load_validated_coco
from pipeline.labelling import exports
from pipeline.labelling.brush_rle import encode_brush
from tests.pipeline.inference.commands import write_image
from tests.pipeline.labelling.cases import (
    CLASSES,
    accept_predictions,
    random_masks,
    read_masks,
    region,
    run_labels,
    task,
    write,
    write_json,
    zip_folder,
)

XML = '<?xml version="1.0"?><annotations><version>1.1</version>{}</annotations>'
IMAGE = '<image id="0" name="p1.jpg" width="80" height="60">{}</image>'
SQUARE = np.zeros((60, 80), bool)
SQUARE[10:30, 20:50] = True


def cvat(path: Path, *shapes: str) -> Path:
    """Write a CVAT file of one image."""
    path.write_text(XML.format(IMAGE.format("".join(shapes))))
    return path


def read(export: Path, *options: object) -> dict[str, Any]:
    """Run labels on an export, and read its result as training does."""
    out = export.with_name("photos.json")
    result = run_labels(export, out, *options)
    assert result.exit_code == 0, result.output
    return load_validated_coco(out)


def check_error(export: Path, *words: str, options: tuple[object, ...] = ()) -> None:
    """Check that labels ends with one line that has these words, and writes nothing."""
    out = export.with_name("photos.json")
    result = run_labels(export, out, *options)
    assert result.exit_code == 2 and not out.exists(), result.output
    (line,) = [line for line in result.output.splitlines() if not line.startswith("note: ")]
    assert line.startswith("error: ") and all(word in line for word in words), line


# ------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("form", ["file", "folder", "zip"])
@pytest.mark.parametrize("tool", ["coco", "cvat", "label-studio"])
def test_masks_come_back_exactly(tool: str, form: str, tmp_path: Path) -> None:
    masks = random_masks(50)
    folder = write(tool, tmp_path / "export", masks)
    if tool == "label-studio":
        write_json(folder / "tasks.json", accept_predictions(folder / "tasks.json"))
    names = {"coco": "annotations.json", "cvat": "annotations.xml", "label-studio": "tasks.json"}
    export = {
        "file": lambda: folder / names[tool],
        "folder": lambda: folder,
        "zip": lambda: zip_folder(folder, tmp_path / "export.zip"),
    }[form]()
    before = {file: file.read_bytes() for file in folder.iterdir()}
    dataset = read(export)
    found = read_masks(dataset)
    assert [*found] == [f"{number:04d}-image.png" for number in range(50)]
    for mask, other in zip(masks, found.values(), strict=True):
        assert np.array_equal(mask, other)  # an IoU of 1
    names_of = {c["id"]: c["name"] for c in dataset["categories"]}
    assert [names_of[a["category_id"]] for a in dataset["annotations"]] == [*CLASSES] * 25
    assert all(isinstance(a["segmentation"]["counts"], str) for a in dataset["annotations"])
    assert all(file.read_bytes() == content for file, content in before.items())
    assert CliRunner().invoke(main, ["validate", str(export.with_name("photos.json"))]).exit_code == 0


# ------------------------------------------------------------------------------ COCO


def coco_file(path: Path, *annotations: dict[str, Any], **image: Any) -> Path:
    images = [{"id": 1, "file_name": "p1.jpg", "width": 80, "height": 60} | image]
    ids = {"image_id": 1, "category_id": 1, "bbox": [20, 10, 30, 20], "area": 600, "iscrowd": 0}
    entries = [{"id": number} | ids | a for number, a in enumerate(annotations, start=1)]
    categories = [{"id": 1, "name": "person"}]
    return write_json(path, {"images": images, "annotations": entries, "categories": categories})


def test_masks_of_cvats_brush_are_objects_but_other_ignore_regions_stay(tmp_path: Path) -> None:
    rle = encode_mask(SQUARE)
    other = encode_mask(SQUARE[:, ::-1])
    brush = {"segmentation": rle, "iscrowd": 1, "attributes": {"occluded": False}}
    crowd = {"segmentation": other, "iscrowd": 1, "bbox": [30, 10, 30, 20], "attributes": {"night": True}}
    polygon = {"segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]], "bbox": [1, 1, 8, 8], "area": 64}
    export = coco_file(
        tmp_path / "instances.json", brush, crowd, polygon | {"attributes": {"occluded": True}}
    )
    dataset = read(export)
    assert [a["iscrowd"] for a in dataset["annotations"]] == [0, 1, 0]
    assert [a["area"] for a in dataset["annotations"]] == [600, 600, 64]
    assert "note: 1 masks of CVAT's brush" in run_labels(export, tmp_path / "again.json").output


def test_uncompressed_rle_of_cvat_is_read(tmp_path: Path) -> None:
    runs = [20 * 60 + 10, *[20, 40] * 29, 20, 30 * 60 + 30]
    dataset = read(
        coco_file(tmp_path / "instances.json", {"segmentation": {"counts": runs, "size": [60, 80]}})
    )
    assert np.array_equal(read_masks(dataset)["p1.jpg"], SQUARE)


def test_boxes_without_masks_stay_boxes(tmp_path: Path) -> None:
    export = coco_file(tmp_path / "instances.json", {"segmentation": []})
    dataset = read(export)
    (a,) = dataset["annotations"]
    assert a["bbox"] == [20, 10, 30, 20] and "segmentation" not in a
    assert "1 person (1 without a mask)" in run_labels(export, tmp_path / "again.json").output


def test_sizes_that_the_export_lacks_are_read_from_the_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_image(folder / "p1.jpg")
    polygon = {"segmentation": [[20, 10, 50, 10, 50, 30, 20, 30]]}
    export = coco_file(tmp_path / "result.json", polygon, width=None, height=None)
    check_error(export, "no size of 1 images: 'p1.jpg'", "--images")
    dataset = read(export, "--images", folder)
    assert np.array_equal(read_masks(dataset)["p1.jpg"], SQUARE)


def test_names_are_matched_with_the_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_image(folder / "p1.jpg")
    export = coco_file(tmp_path / "result.json", file_name="images/7/1a2b3c4d-p1.jpg")
    assert read(export, "--images", folder)["images"][0]["file_name"] == "p1.jpg"
    (tmp_path / "photos.json").unlink()
    (folder / "p1.jpg").rename(folder / "other.jpg")
    check_error(export, "result.json", "'images/7/1a2b3c4d-p1.jpg'", "--images", options=("--images", folder))


# ------------------------------------------------------------------------------ CVAT


def test_polygons_boxes_and_groups_of_cvat(tmp_path: Path) -> None:
    square = "20.00,10.00;50.00,10.00;50.00,30.00;20.00,30.00"
    corner = "-9.00,50.00;10.00,50.00;10.00,70.00;-9.00,70.00"  # a corner of it is in the image
    export = cvat(
        tmp_path / "annotations.xml",
        f'<polygon label="person" occluded="0" points="{square}" z_order="0"></polygon>',
        '<box label="person" xtl="5.5" ytl="6" xbr="15.5" ybr="16"></box>',
        '<box label="crate" xtl="20" ytl="20" xbr="40" ybr="40" rotation="45"></box>',
        f'<polygon label="crate" points="{square}" group_id="3"/>',
        f'<polygon label="crate" points="{corner}" group_id="3"/>',
        '<ellipse label="crate" cx="1" cy="1" rx="1" ry="1"/>',
        '<polygon label="crate" points="90,1;99,1;99,9"/>',
        '<tag label="night"/>',
    )
    dataset = read(export)
    assert [c["name"] for c in dataset["categories"]] == ["person", "crate"]
    first, box, turned, group = dataset["annotations"]
    assert np.array_equal(mask_utils.decode(first["segmentation"]), SQUARE)
    assert box["bbox"] == [5.5, 6, 10, 10] and "segmentation" not in box
    assert np.allclose(turned["bbox"], [30 - 10 * 2**0.5, 30 - 10 * 2**0.5, 20 * 2**0.5, 20 * 2**0.5])
    assert group["area"] == 600 + 100 and group["bbox"] == [0, 10, 50, 50]
    notes = run_labels(export, tmp_path / "again.json").output
    assert "note: left out: 1 ellipse, 1 without a pixel in the image" in notes


def test_labels_and_images_of_cvat_without_objects_stay(tmp_path: Path) -> None:
    meta = "<meta><job><labels><label><name>person</name></label></labels></job></meta>"
    export = tmp_path / "annotations.xml"
    export.write_text(XML.format(meta + IMAGE.format("")))
    dataset = read(export)
    assert len(dataset["images"]) == 1 and not dataset["annotations"]
    assert dataset["categories"] == [{"id": 1, "name": "person"}]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<mask label="a" rle="1, x" left="0" top="0" width="2" height="2"/>', ("'x'",)),
        ('<mask label="a" rle="1, 1" left="0" top="0" width="2" height="2"/>', ("rle",)),
        ('<mask label="a" rle="1, 3" left="0" top="0" width="2"/>', ("lacks 'height'",)),
        ('<polygon label="a" points="1,2;3,4"/>', ("three points",)),
        ('<polygon label="a" points="1,2;3,4;nan,1"/>', ("nan",)),
        ('<box xtl="1" ytl="1" xbr="2" ybr="2"/>', ("lacks 'label'",)),
    ],
)
def test_malformed_shapes_of_cvat_are_named(shape: str, words: tuple[str, ...], tmp_path: Path) -> None:
    check_error(cvat(tmp_path / "a.xml", shape), "a.xml", "image 'p1.jpg'", "CVAT again", *words)


def test_malformed_xml_is_refused(tmp_path: Path) -> None:
    export = tmp_path / "annotations.xml"
    export.write_text(XML.format("<image>"))
    check_error(export, "annotations.xml", "not readable as XML", "export it again")
    export.write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + XML.format(IMAGE.format("&b;"))[21:])
    check_error(export, "document type")
    export.write_text(XML.format('<track id="0" label="a"></track>'))
    check_error(export, "video", "CVAT for images 1.1")
    export.write_text(XML.format(IMAGE.format("") * 2))
    check_error(export, "same name")
    export.write_text(XML.format('<image name="p1.jpg" width="0" height="9"/>'))
    check_error(export, "its size")


# ------------------------------------------------------------------------------ Label Studio


def test_regions_of_label_studio(tmp_path: Path) -> None:
    corners = [[25, 100 / 6], [62.5, 100 / 6], [62.5, 50], [25, 50]]
    regions = [
        region("brushlabels", ["person"], format="rle", rle=encode_brush(SQUARE)),
        region("polygonlabels", ["crate"], points=corners),
        region("rectanglelabels", ["person"], x=25, y=50, width=50, height=25, rotation=0),
        region("rectanglelabels", ["crate"], x=50, y=50, width=25, height=25, rotation=90),
        region("ellipselabels", ["crate"], x=50, y=50, radiusX=5, radiusY=5),
        region("rectangle", x=1, y=1, width=5, height=5),
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    export = write_json(tmp_path / "project.json", [task(regions)])
    dataset = read(export)
    assert [i["file_name"] for i in dataset["images"]] == ["p1.jpg"]
    assert [c["name"] for c in dataset["categories"]] == ["person", "crate"]
    stroke, polygon, box, turned = dataset["annotations"]
    assert np.array_equal(mask_utils.decode(stroke["segmentation"]), SQUARE)
    assert np.array_equal(mask_utils.decode(polygon["segmentation"]), SQUARE)
    assert box["bbox"] == [20, 30, 40, 15] and "segmentation" not in box
    assert np.allclose(turned["bbox"], [25, 30, 15, 20])  # turned clockwise about (40, 30)
    output = run_labels(export, tmp_path / "again.json").output
    assert "note: left out: 1 ellipselabels, 1 rectangle without a label" in output


def test_region_and_label_that_are_written_apart_are_one_object(tmp_path: Path) -> None:
    rle = encode_brush(SQUARE)
    parts = [region("brush", rle=rle) | {"id": "x"}, region("labels", ["person"], rle=rle) | {"id": "x"}]
    export = write_json(tmp_path / "project.json", [task(parts)])
    assert len(read(export)["annotations"]) == 1
    assert "left out" not in run_labels(export, tmp_path / "again.json").output


def test_skipped_and_unlabelled_tasks_are_left_out_and_empty_ones_stay(tmp_path: Path) -> None:
    box = region("rectanglelabels", ["person"], x=25, y=50, width=50, height=25)
    skipped = {"id": 1, "was_cancelled": True, "result": [box]}
    tasks = [
        task([box]),
        task([], "/data/local-files/?d=images%2F0002-p%202.jpg", predictions=[{"result": [box]}]),
        task([], "s3://bucket/p3.jpg", annotations=[skipped]),
        task([], "p4.jpg", annotations=[]),
    ]
    export = write_json(tmp_path / "project.json", tasks)
    dataset = read(export)
    assert [i["file_name"] for i in dataset["images"]] == ["p1.jpg", "0002-p 2.jpg"]
    assert len(dataset["annotations"]) == 1
    notes = run_labels(export, tmp_path / "again.json").output
    assert "note: tasks left out because they were skipped: 1" in notes
    assert "note: tasks left out because nobody annotated them: 1" in notes
    write_json(export, tasks[2:])
    (tmp_path / "photos.json").unlink()
    check_error(export, "no task has an annotation")


def test_ground_truth_or_the_last_annotation_is_read(tmp_path: Path) -> None:
    def annotation(x: float, **fields: Any) -> dict[str, Any]:
        return {"result": [region("rectanglelabels", ["a"], x=x, y=0, width=10, height=10)]} | fields

    early = annotation(0, updated_at="2026-01-01T10:00:00Z")
    late = annotation(50, updated_at="2026-01-02T10:00:00Z")
    export = write_json(tmp_path / "project.json", [task([], annotations=[late, early])])
    assert read(export)["annotations"][0]["bbox"][0] == 40
    assert "the last is read: 1" in run_labels(export, tmp_path / "again.json").output
    write_json(export, [task([], annotations=[late, early | {"ground_truth": True}])])
    assert read(export)["annotations"][0]["bbox"][0] == 0


def test_equal_names_of_two_folders_keep_their_folders(tmp_path: Path) -> None:
    box = region("rectanglelabels", ["person"], x=25, y=50, width=50, height=25)
    tasks = [task([box], f"/data/local-files/?d={name}") for name in ("a/p.jpg", "b/p.jpg", "b/q.jpg")]
    dataset = read(write_json(tmp_path / "project.json", tasks))
    assert [i["file_name"] for i in dataset["images"]] == ["a/p.jpg", "b/p.jpg", "q.jpg"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([task([region("brushlabels", ["a"], rle=[1, 2])])], ("task 5", "cut off")),
        ([task([region("brushlabels", ["a"], rle=encode_brush(SQUARE[1:]))])], ("has 18880 values",)),
        ([task([region("polygonlabels", ["a"], points=[[1, 2], [3, None], [4, 5]])])], ("None",)),
        ([task([region("rectanglelabels", ["a"], x="1", y=0, width=1, height=1)])], ("'1'",)),
        ([task([region("rectanglelabels", ["a"], size=(0, 9), x=1, y=0, width=1, height=1)])], ("sizes",)),
        ([task([region("rectanglelabels", ["a"], x=1, y=0, width=1, height=1) | {"image_rotation": 90}])],
         ("turned",)),
        ([task([]), 7], ("task 2", "no data")),
        ([task([], annotations=3)], ("annotations",)),
        ([task([], data={"text": "x"}, annotations=[{"result": []}])], ("no image",)),
        ([task([]), task([])], ("same name",)),
        ([task([])], ("no size of 1 images", "--images")),
    ],
)  # fmt: skip
def test_malformed_tasks_are_named(value: Any, words: tuple[str, ...], tmp_path: Path) -> None:
    check_error(write_json(tmp_path / "project.json", value), "project.json", *words)


# ------------------------------------------------------------------------------ other input


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ("neither XML nor JSON", "COCO 1.0")),
        ("hello", ("neither XML nor JSON",)),
        ('[{"image": "p1.jpg", "annotation_id": 3}]', ("not the labels", "'JSON' from Label Studio")),
        ('{"images": []}', ("not the labels",)),
        ("<View></View>", ("not the labels",)),
        ("[" * 100_000, ("nested too deeply",)),
    ],
)
def test_other_files_are_refused(content: str, words: tuple[str, ...], tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    export.write_text(content)
    check_error(export, "export.json", *words)


def test_missing_empty_and_ambiguous_exports_are_refused(tmp_path: Path) -> None:
    check_error(tmp_path / "nothing.zip", "nothing.zip", "no such file")
    folder = tmp_path / "export"
    folder.mkdir()
    check_error(folder, "no file with labels", "COCO 1.0")
    cvat(folder / "a.xml")
    cvat(folder / "b.xml")
    check_error(folder, "several files", "a.xml", "b.xml", "give one")


def test_errors_of_a_dataset_are_reported(tmp_path: Path) -> None:
    export = write_json(tmp_path / "e.json", {"images": [], "annotations": [], "categories": []})
    check_error(export, "e.json", "errors, the first: no-images")


def test_archives_that_leave_the_folder_or_are_huge_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = tmp_path / "export.zip"
    for name in ("../annotations.xml", "/annotations.xml", "C:/annotations.xml"):
        with zipfile.ZipFile(export, "w") as archive:
            archive.writestr(name, XML.format(IMAGE.format("")))
        check_error(export, "export.zip", "refused", name)
    monkeypatch.setattr(exports, "MAX_BYTES", 1 << 20)
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", " " * ((1 << 20) + 1))
    check_error(export, "export.zip/annotations.xml", "larger than 1 MiB", "several parts")
    large = tmp_path / "large.json"
    large.write_bytes(b" " * ((1 << 20) + 1))
    check_error(large, "large.json", "larger than 1 MiB")


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    export = tmp_path / "export.zip"
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", "<annotations>" + "abc " * 500)
    data = bytearray(export.read_bytes())
    data[60:70] = b"\xff" * 10
    export.write_bytes(data)
    check_error(export, "export.zip", "not a readable zip archive")


def test_the_export_and_the_result_are_not_replaced(tmp_path: Path) -> None:
    export = coco_file(tmp_path / "photos.json", {"segmentation": []})
    before = export.read_bytes()
    result = run_labels(export, export)
    assert result.exit_code == 2 and "give --out another name" in result.output
    assert export.read_bytes() == before
    out = tmp_path / "out.json"
    out.write_text("mine")
    assert run_labels(write_json(tmp_path / "bad.json", [1]), out).exit_code == 2
    assert out.read_text() == "mine"
    assert run_labels(export, out, "--images", tmp_path / "no").exit_code == 2
    assert json.loads(before)["images"] and out.read_text() == "mine"
