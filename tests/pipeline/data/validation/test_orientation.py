"""EXIF orientations that no size decides: every command reads them as the user says, and tells which fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.config import ExtraSet
from pipeline.data.combine import add_extra_sets, combine_sets
from pipeline.data.images import read_rgb
from pipeline.training.dataset import CocoDataset
from pipeline.viz.contact_sheet import contact_sheet
from tests.helpers.shapes import CLASSES, write_split
from tests.helpers.training import PROFILE
from tests.helpers.turned import turn_split

BETTER_UPRIGHT = "read as stored; but 10 of 10 outlines fit upright better: use --exif upright"
BETTER_SO = "read as upright; 10 of 10 outlines fit this better than stored"


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Five square images with two objects each, and one without."""
    write_split(tmp_path / "split", 6)
    return tmp_path / "split"


def notes(folder: Path, **keys: Any) -> list[str]:
    return combine_sets(
        [ExtraSet(str(folder / "annotations.json"), str(folder / "images"), **keys)]
    ).check_images()


def change_annotations(folder: Path, **values: Any) -> None:
    path = folder / "annotations.json"
    table = json.loads(path.read_bytes())
    for annotation in table["annotations"]:
        annotation.update(values)
    path.write_text(json.dumps(table))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_note_says_which_image_the_outlines_fit(split: Path, orientation: int) -> None:
    assert notes(split) == []
    turn_split(split, orientation)
    (note,) = notes(split)
    start = "6 images have an EXIF orientation that their size does not decide ('000000.png' and 5 more): "
    assert note == start + BETTER_UPRIGHT
    assert notes(split, exif="upright") == [start + BETTER_SO]


def test_note_says_that_annotations_of_the_stored_image_fit(split: Path) -> None:
    for path in (split / "images").iterdir():
        exif = Image.Exif()
        exif[0x0112] = 3
        Image.open(path).save(path, exif=exif)
    assert "read as stored; 10 of 10 outlines fit this better than upright" in notes(split)[0]
    assert "but 10 of 10 outlines fit stored better: use --exif stored" in notes(split, exif="upright")[0]


def test_outlines_of_boxes_are_compared_where_there_are_no_masks(split: Path) -> None:
    turn_split(split, 3)
    combined = combine_sets([ExtraSet(str(split / "annotations.json"), str(split / "images"))])
    for annotation in combined.dataset["annotations"]:
        annotation["segmentation"] = []
    assert "of 10 outlines fit upright better" in combined.check_images()[0]


def test_images_without_edges_or_objects_give_no_hint(split: Path) -> None:
    for path in (split / "images").iterdir():
        Image.new("RGB", (96, 96), "grey").save(path)
    turn_split(split, 4)
    assert "the outlines do not tell if that is right; if not, use --exif upright" in notes(split)[0]
    (split / "images" / "000000.png").rename(split / "images" / "000005.png")
    table = json.loads((split / "annotations.json").read_bytes())
    (split / "annotations.json").write_text(
        json.dumps(table | {"images": table["images"][5:], "annotations": []})
    )
    assert "1 images" in notes(split)[0] and "do not tell" in notes(split)[0]


def test_an_orientation_that_the_size_decides_needs_no_note(split: Path) -> None:
    path = split / "annotations.json"
    table = json.loads(path.read_bytes())
    for image in table["images"]:
        image["width"] = 90
        file = split / "images" / image["file_name"]
        Image.fromarray(np.asarray(Image.open(file))[:, :90]).save(file)
    path.write_text(json.dumps(table | {"annotations": []}))
    turn_split(split, 6)
    assert notes(split) == []


# ------------------------------------------------------------------------------ commands


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_training_reads_each_set_as_the_user_says(split: Path, suffix: str) -> None:
    expected = CocoDataset(split / "annotations.json", split / "images", CLASSES)[0]
    turn_split(split, 3, suffix)
    data = CocoDataset(split / "annotations.json", split / "images", CLASSES)
    assert torch.equal(data[0][0], expected[0].flip(1, 2))
    extra = (ExtraSet(str(split / "annotations.json"), str(split / "images"), exif="upright"),)
    data = CocoDataset(split / "annotations.json", split / "images", CLASSES, extra=extra)
    assert torch.equal(data[6][0], expected[0]) and torch.equal(data[0][0], expected[0].flip(1, 2))
    data.check_images()
    assert BETTER_UPRIGHT in data.notes[-2] and BETTER_SO in data.notes[-1]
    data = CocoDataset(split / "annotations.json", split / "images", CLASSES, exif="upright")
    assert torch.equal(data[0][0], expected[0])


def test_the_option_of_train_concerns_the_splits_and_the_added_sets() -> None:
    profile = add_extra_sets(PROFILE, ["a.json:a"], [], None)
    assert (profile.train.exif, profile.train.extra[0].exif) == ("stored", "stored")
    profile = add_extra_sets(profile, ["b.json:b"], [], "upright")
    assert (profile.train.exif, [e.exif for e in profile.train.extra]) == ("upright", ["stored", "upright"])


def test_preview_draws_what_the_user_says(split: Path, tmp_path: Path) -> None:
    expected = np.asarray(contact_sheet(split, 2, 2))
    turn_split(split, 8)
    assert not np.array_equal(np.asarray(contact_sheet(split, 2, 2)), expected)
    sheet = tmp_path / "sheet.png"
    arguments = ["preview", str(split), "--out", str(sheet), "--count", "2", "--columns", "2"]
    run = CliRunner().invoke(main, [*arguments, "--exif", "upright"])
    assert np.array_equal(np.asarray(Image.open(sheet)), expected)
    assert "note: 2 images have an EXIF orientation" in run.output and "read as upright" in run.output


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_converted_images_show_every_program_what_the_annotations_refer_to(
    split: Path, tmp_path: Path, suffix: str
) -> None:
    upright = np.asarray(Image.open(split / "images" / "000001.png")).astype(int)
    turn_split(split, 6, suffix)
    stored = read_rgb(split / "images" / f"000001{suffix}").astype(int)
    for exif, expected in (("stored", stored), ("upright", upright)):
        out = tmp_path / exif
        run = CliRunner().invoke(
            main, ["convert", str(split), "--to", "yolo-seg", "--out", str(out), "--exif", exif]
        )
        assert run.exit_code == 0 and f"read as {exif}" in run.output, run.output
        assert "6 images with an EXIF orientation are written as annotated, without it" in run.output
        with Image.open(out / "images" / f"000001{suffix}") as image:
            assert image.getexif().get(0x0112, 1) == 1
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - expected).mean() < 4


def test_validate_names_each_file_and_the_reading_that_fits(split: Path) -> None:
    turn_split(split, 2)
    files = [str(split / "annotations.json"), "--images", str(split / "images")]
    run = CliRunner().invoke(main, ["validate", *files])
    assert run.exit_code == 0 and run.output.count("file-exif-ambiguous: ") == 6
    assert BETTER_UPRIGHT in run.output
    assert BETTER_SO in CliRunner().invoke(main, ["validate", *files, "--exif", "upright"]).output
    change_annotations(split, segmentation=7)  # an outline that cannot be drawn gives no hint
    run = CliRunner().invoke(main, ["validate", *files])
    assert run.exit_code == 2 and "outlines" not in run.output


@pytest.mark.parametrize("command", ["train", "evaluate", "preview", "validate", "convert"])
def test_every_command_that_reads_annotated_images_has_the_option(command: str) -> None:
    assert any("--exif" in option.opts for option in main.commands[command].params)
