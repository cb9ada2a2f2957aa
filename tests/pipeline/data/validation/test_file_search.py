"""``validate --fix`` finds an image's file under a variant of its name, if exactly one file fits."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.data.validation.check import find_problems, repair
from pipeline.data.validation.file_search import FileSearch
from tests.pipeline.data.validation.cases import HEIGHT, WIDTH, valid_dataset
from tests.pipeline.data.validation.test_repair import fix

COMPOSED = unicodedata.normalize("NFC", "Größe é.jpg")
DECOMPOSED = unicodedata.normalize("NFD", "Größe é.jpg")

FOUND: dict[str, tuple[str, str]] = {
    "Label Studio's upload": ("upload/7/p1.jpg", "p1.jpg"),
    "Label Studio's upload with a hash": ("upload/7/0a1b2c3d-p1.jpg", "p1.jpg"),
    "Label Studio's upload, renamed": ("/data/upload/7/0a1b2c3d-hall_1.jpg", "hall (1).jpg"),
    "a hash on disk": ("p1.jpg", "0a1b2c3d-p1.jpg"),
    "Label Studio's local file": ("/data/local-files/?d=photos/p1.jpg", "photos/p1.jpg"),
    "Label Studio's local file, encoded": ("/data/local-files/?d=photos%2Fhall%201.jpg", "hall 1.jpg"),
    "a URL": ("https://host/images/p1.jpg", "images/p1.jpg"),
    "a signed URL": ("https://host/b/hall%201.jpg?X-Sig=a%2Fb&e=9#top", "hall 1.jpg"),
    "a bucket": ("s3://bucket/set/p1.jpg", "p1.jpg"),
    "percent signs": ("hall%201.jpg", "hall 1.jpg"),
    "percent signs, twice": ("hall%25201.jpg", "hall 1.jpg"),
    "percent signs on disk": ("hall 1.jpg", "hall%201.jpg"),
    "decomposed on disk": (COMPOSED, DECOMPOSED),
    "composed on disk": ("photos/" + DECOMPOSED, COMPOSED),
    "capitals": ("P1.JPG", "p1.jpg"),
    "capitals on disk": ("photos/Hall/p1.jpg", "photos/HALL/P1.JPG"),
    "another drive": ("C:\\Users\\me\\photos\\p1.jpg", "photos/p1.jpg"),
    "a folder above": ("../photos/p1.jpg", "photos/p1.jpg"),
    "folders on disk": ("p1.jpg", "hall/day 2/p1.jpg"),
    "a question mark": ("set/what?.jpg", "what?.jpg"),
    "a plus sign for a space": ("https://host/hall+1.jpg", "hall 1.jpg"),
    "another image format": ("photos/p1.HEIC", "p1.jpg"),
    "no extension": ("p1", "photos/p1.JPG"),
    "Roboflow's name": ("p1_JPG.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.jpg", "p1.jpg"),
    "Roboflow's name on disk": ("p1.png", "train/p1_png.rf.ZaB1c2D3e4F5.jpg"),
}
"""Kind -> the name in the COCO file, and the only file on disk."""


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("kind", FOUND)
def test_the_only_file_that_fits_is_found(kind: str, tmp_path: Path) -> None:
    name, file = FOUND[kind]
    touch(tmp_path, file, "other.jpg")
    match = FileSearch(tmp_path, [name, "other.jpg"]).match(name)
    assert match.file == file


def test_the_longest_tail_and_the_most_exact_name_win(tmp_path: Path) -> None:
    touch(tmp_path, "p1.jpg", "photos/p1.jpg", "P2.jpg", "p2.JPG", "x/p2.jpg")
    search = FileSearch(tmp_path, ["/a/photos/p1.jpg", "?d=photos/p1.jpg", "a/P2.jpg"])
    assert search.match("a/P2.jpg").file == "P2.jpg"
    assert (
        search.match("/a/photos/p1.jpg").files == search.match("?d=photos/p1.jpg").files == ("photos/p1.jpg",)
    )


DOUBTFUL: dict[str, tuple[list[str], list[str]]] = {
    "two files": (["p1.jpg"], ["a/p1.jpg", "b/p1.jpg"]),
    "two spellings on disk": (["P1.jpg"], ["p1.jpg", "p1.JPG"]),
    "the file of another entry": (["cam2/p1.jpg", "p1.jpg"], ["p1.jpg"]),
    "two entries for one file": (["cam1/p1.jpg", "cam2/p1.jpg"], ["p1.jpg"]),
    "two formats": (["p1.jpg"], ["p1.png", "p1.webp"]),
    "the format of another entry": (["p1.jpg", "p1.png"], ["p1.png"]),
    "two uploads": (["0a1b2c3d-p1.jpg", "ffffffff-p1.jpg"], ["p1.jpg"]),
}
"""Kind -> names in the COCO file, the first of them in doubt; files on disk."""


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_file_in_doubt_is_not_taken(kind: str, tmp_path: Path) -> None:
    names, files = DOUBTFUL[kind]
    touch(tmp_path, *files)
    match = FileSearch(tmp_path, names).match(names[0])
    assert match.file is None and match.files and str(match)


def test_another_upload_or_folder_does_not_fit(tmp_path: Path) -> None:
    touch(tmp_path, "ffffffff-p1.jpg", "val/p2.jpg")
    (tmp_path / "p3.jpg").symlink_to(tmp_path.parent / "p3.jpg")
    for name in (
        "0a1b2c3d-p1.jpg",
        "train/p2.jpg",
        "p2.v1",
        "a/p3.jpg",
        "",
        "/",
        "..",
        "data:image/png;base64,/9j/" * 400,
    ):
        assert not FileSearch(tmp_path, [name]).match(name).files


# ------------------------------------------------------------------------------ the command


def write(folder: Path, names: tuple[str, str]) -> dict[str, Any]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / name)
    return valid_dataset()


def test_fix_corrects_names_and_keeps_the_annotations(tmp_path: Path) -> None:
    dataset = write(tmp_path / "images", ("hall 1.jpg", "p2.jpg"))
    for image, name in zip(
        dataset["images"], ("hall%201.JPG", "/data/upload/3/0a1b2c3d-p2.jpg"), strict=True
    ):
        image["file_name"] = name
    del dataset["images"][0]["width"]  # it is read from the file that is found
    path, out = tmp_path / "x.json", tmp_path / "fixed.json"
    path.write_text(json.dumps(dataset))
    run = fix(path, out, "--images", tmp_path / "images")
    assert run.exit_code == 0, run.output
    assert "file-missing: 1 corrected: image 3" in run.output
    assert "file-name-path: 1 corrected: image 7" in run.output
    assert "'hall 1.jpg' fits" in run.output and "removed" not in run.output
    fixed = json.loads(out.read_bytes())
    assert [i["file_name"] for i in fixed["images"]] == ["hall 1.jpg", "p2.jpg"]
    assert fixed["images"][0]["width"] == WIDTH and len(fixed["annotations"]) == 4


def test_file_that_is_not_certain_is_not_corrected(tmp_path: Path) -> None:
    dataset = write(tmp_path, ("a/p1.png", "b/p1.png"))
    dataset["images"][1]["file_name"] = "a/p1.png"
    for wrong in (
        {"file_name": "p1.png"},
        {"file_name": "C:\\p1.png"},
        {"file_name": "P1.png", "width": 0},
    ):
        broken = dataset | {"images": [dataset["images"][0] | wrong, dataset["images"][1]]}
        fixed, changes = repair(broken, tmp_path)
        assert fixed["images"] == broken["images"] and len(fixed["annotations"]) == 4
        assert changes == []
        assert any(problem.severity == "error" for problem in find_problems(fixed, tmp_path))


def test_name_that_is_not_unicode_is_not_corrected() -> None:
    dataset = valid_dataset()
    dataset["images"][0]["file_name"] = "\udcff.png"  # what Python makes of the byte 0xFF
    fixed, changes = repair(dataset)
    assert fixed == dataset and changes == []
    assert [problem.rule for problem in find_problems(fixed)] == ["file-name"]
