"""Random masks, and exports of annotation tools that were made of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from click.testing import CliRunner, Result
from pycocotools import mask as mask_utils

from pipeline.cli import main
from pipeline.data.rle import encode_mask
from pipeline.data.validation.check import load_validated_coco
from pipeline.labelling.prelabel import WRITERS
from pipeline.labelling.proposals import ProposedImage, ProposedObject

Mask = npt.NDArray[np.bool_]
CLASSES = ("pedestrian", "pallet truck")
XML = '<?xml version="1.0"?><annotations><version>1.1</version>{}</annotations>'
IMAGE = '<image id="0" name="p1.jpg" width="80" height="60">{}</image>'
SQUARE = np.zeros((60, 80), bool)
SQUARE[10:30, 20:50] = True


def random_masks(count: int, seed: int = 0) -> list[Mask]:
    """Return masks of images of different sizes, each of several parts, most of them with holes."""
    rng = np.random.default_rng(seed)
    masks = []
    for number in range(count):
        height, width = rng.integers(30, 90, 2)
        mask = np.zeros((height, width), bool)
        for _ in range(4):
            y, x = rng.integers(0, height - 12), rng.integers(0, width - 12)
            h, w = rng.integers(6, 24, 2)
            mask[y : y + h, x : x + w] = True
            mask[y + 2 : y + h - 2, x + 2 : x + w - 2] ^= rng.random() < 0.7
        mask ^= rng.random(mask.shape) < 0.02 * (number % 3)  # single pixels inside and outside
        masks.append(mask)
    return masks


def propose(masks: list[Mask]) -> list[ProposedImage]:
    """Return an image for each mask, with one object whose class alternates."""
    return [
        ProposedImage(
            f"{number:04d}-image.png", mask.shape[1], mask.shape[0],
            (ProposedObject(CLASSES[number % 2], encode_mask(mask), 0.5),),
        )
        for number, mask in enumerate(masks)
    ]  # fmt: skip


def write(tool: str, out: Path, masks: list[Mask]) -> Path:
    """Write masks for a tool, as ``prelabel`` does."""
    out.mkdir(parents=True)
    WRITERS[tool](out, propose(masks), CLASSES)
    return out


def accept_predictions(tasks: Path) -> list[dict[str, Any]]:
    """Return the tasks with the annotations that Label Studio makes of unchanged predictions."""
    exported: list[dict[str, Any]] = json.loads(tasks.read_bytes())
    for number, task in enumerate(exported, start=1):
        results = task["predictions"][0]["result"] if task["predictions"] else []
        task |= {"id": number, "annotations": [{"id": number, "was_cancelled": False, "result": results}]}
    return exported


def run_labels(export: Path, out: Path, *options: object) -> Result:
    """Run the command labels."""
    return CliRunner().invoke(main, ["labels", str(export), "--out", str(out), *map(str, options)])


def read_masks(dataset: dict[str, Any]) -> dict[str, Mask]:
    """Return the union of the masks of each image by its file name."""
    masks = {i["file_name"]: np.zeros((i["height"], i["width"]), bool) for i in dataset["images"]}
    names = {i["id"]: i["file_name"] for i in dataset["images"]}
    for a in dataset["annotations"]:
        if "segmentation" in a:
            masks[names[a["image_id"]]] |= mask_utils.decode(a["segmentation"]).astype(bool)
    return masks


def zip_folder(folder: Path, path: Path) -> Path:
    """Write a zip archive of the files of a folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def task(results: list[dict[str, Any]], image: str = "/data/upload/7/1a2b3c4d-p1.jpg", **fields: Any) -> Any:
    """Return a task of Label Studio's export with one annotation."""
    annotation = {"id": 1, "was_cancelled": False, "result": results}
    return {"id": 5, "data": {"image": image}, "annotations": [annotation]} | fields


def region(kind: str, labels: list[str] | None = None, size: tuple[int, int] = (80, 60), **value: Any) -> Any:
    """Return a result of Label Studio of an image of ``size`` (width, height)."""
    named = {kind: labels} if labels else {}
    return {
        "id": f"{kind}-1", "type": kind, "from_name": "label", "to_name": "image", "image_rotation": 0,
        "original_width": size[0], "original_height": size[1], "value": value | named,
    }  # fmt: skip


def write_json(path: Path, value: Any) -> Path:
    """Write JSON and return the path."""
    path.write_text(json.dumps(value))
    return path


def write_cvat_file(path: Path, *shapes: str) -> Path:
    """Write a CVAT file of one image."""
    path.write_text(XML.format(IMAGE.format("".join(shapes))))
    return path


def read_labels(export: Path, *options: object) -> dict[str, Any]:
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


def coco_file(path: Path, *annotations: dict[str, Any], **image: Any) -> Path:
    """Write a COCO file of one image and its annotations."""
    images = [{"id": 1, "file_name": "p1.jpg", "width": 80, "height": 60} | image]
    ids = {"image_id": 1, "category_id": 1, "bbox": [20, 10, 30, 20], "area": 600, "iscrowd": 0}
    entries = [{"id": number} | ids | a for number, a in enumerate(annotations, start=1)]
    categories = [{"id": 1, "name": "person"}]
    return write_json(path, {"images": images, "annotations": entries, "categories": categories})
