"""The command labels: masks come back from each tool, and what is wrong is named in one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.labelling import exports
from tests.pipeline.labelling.cases import (
    CLASSES,
    IMAGE,
    XML,
    accept_predictions,
    check_error,
    coco_file,
    random_masks,
    read_labels,
    read_masks,
    run_labels,
    write,
    write_cvat_file,
    write_json,
    zip_folder,
)


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
    dataset = read_labels(export)
    found = read_masks(dataset)
    assert [*found] == [f"{number:04d}-image.png" for number in range(50)]
    for mask, other in zip(masks, found.values(), strict=True):
        assert np.array_equal(mask, other)  # an IoU of 1
    names_of = {c["id"]: c["name"] for c in dataset["categories"]}
    assert [names_of[a["category_id"]] for a in dataset["annotations"]] == [*CLASSES] * 25
    assert all(isinstance(a["segmentation"]["counts"], str) for a in dataset["annotations"])
    assert all(file.read_bytes() == content for file, content in before.items())
    assert CliRunner().invoke(main, ["validate", str(export.with_name("photos.json"))]).exit_code == 0


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
    write_cvat_file(folder / "a.xml")
    write_cvat_file(folder / "b.xml")
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
